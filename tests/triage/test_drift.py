from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.errors import InputError, SettingError
from ctiforge.core.metrics import Interval
from ctiforge.triage import TriageStore, drift, review
from ctiforge.triage.drift import EVERY, DriftReport, PeriodDrift, _period
from ctiforge.triage.drift_measures import (
    Measure,
    bin_confidences,
    bin_labels,
    population_stability_index,
    psi_measure,
    share_change,
    text_shift,
)
from ctiforge.triage.drift_plot import draw_drift
from ctiforge.triage.drift_texts import TextShifts


def test_the_index_is_that_of_the_definition() -> None:
    expected = (0.25 - 0.75) * np.log(0.25 / 0.75) + (0.75 - 0.25) * np.log(0.75 / 0.25)
    assert population_stability_index([29.5, 9.5], [9.5, 29.5]) == pytest.approx(expected)
    assert population_stability_index([10, 20], [10, 20]) == pytest.approx(0)


def test_samples_of_one_distribution_do_not_alarm_and_others_do() -> None:
    generator = np.random.default_rng(1)
    shares = np.full(20, 0.05)
    reference = generator.multinomial(300, shares)
    values = [psi_measure("label_psi", reference, generator.multinomial(100, shares), 0.2) for _ in range(20)]
    assert not any(each.alarms for each in values)
    assert abs(np.mean([each.value for each in values])) < 0.1
    moved = psi_measure("label_psi", 2 * reference, generator.multinomial(400, np.arange(20) / 190), 0.2)
    assert moved.alarms
    assert moved.interval.low < moved.value < moved.interval.high


def test_bins_are_those_of_the_reference() -> None:
    assert [each.tolist() for each in bin_labels(["a", "a", "b"], ["b", "z"])] == [[2, 1, 0], [0, 1, 1]]
    reference, period = bin_confidences(list(np.linspace(0, 1, 100)), [0.01, 0.99, 0.99])
    assert reference.tolist() == [10] * 10
    assert period.tolist() == [1, *[0] * 8, 2]
    assert len(bin_confidences([0.5] * 10, [0.1])[0]) == len(bin_confidences([0.5] * 10, [0.1])[1])


def test_shares_and_texts() -> None:
    assert share_change("abstention", (0, 0), (1, 2), 0.1) is None
    found = share_change("abstention", (10, 100), (60, 100), 0.1)
    assert found is not None
    assert (found.value, found.alarms) == (0.5, True)
    fewer = share_change("abstention", (60, 100), (10, 100), 0.1)
    assert fewer is not None
    assert fewer.alarms
    vectors = np.eye(4)[np.arange(80) % 4]
    assert not text_shift(vectors, vectors[::-1], 0.1).alarms
    assert text_shift(vectors, np.eye(4)[np.zeros(40, dtype=int)], 0.1).alarms


@pytest.fixture
def filled(quick_store: TriageStore, feed: Any, invented: SimpleNamespace) -> TriageStore:
    batch = []
    for n in range(180):
        month = n // 60 + 1
        text = "script injection in the login" if month == 3 else (invented.SQL, invented.OVERFLOW, invented.VAGUE)[n % 3]
        batch.append(invented.cve(10000 + n, text, published=f"2099-0{month}-10T00:00:00Z"))
    batch.append(invented.cve(19999, published="2099-04-10T00:00:00Z"))
    feed(quick_store, *batch)
    return quick_store


def test_the_period_that_changed_is_named(filled: TriageStore, tiny_model: Path) -> None:
    for n in range(60):
        if n % 3 == 0:
            review(filled, f"CVE-2099-{10000 + n}", "accept", reviewer="Ada")
    for n in range(120, 150):
        review(filled, f"CVE-2099-{10000 + n}", "reject", reviewer="Ada", reason="no")
    report = drift(filled, model=str(tiny_model))
    assert (report.reference, report.reference_items) == ("2099-01", 60)
    assert [(each.period, each.items, bool(each.measures)) for each in report.periods] == [
        ("2099-02", 60, True), ("2099-03", 60, True), ("2099-04", 1, False),
    ]  # fmt: skip
    same, changed, _ = report.periods
    assert same.alarms == ()
    assert set(changed.alarms) == {"label_psi", "confidence_psi", "text_shift", "abstention", "override"}
    assert report.drifted
    assert drift(filled, model=str(tiny_model)) == report
    picture = draw_drift(report)
    assert picture == draw_drift(report)
    assert "2099-03" in picture
    assert not drift(filled, reference="2099-03..2099-03", model=None).drifted
    by_week = drift(filled, every="week", model=None)
    assert (by_week.reference, [each.period for each in by_week.periods]) == ("2099-W02", ["2099-W07", "2099-W11", "2099-W15"])
    assert by_week.newest_judged is not None
    assert set(by_week.newest_judged.alarms) == set(changed.alarms) - {"text_shift"}
    assert [each.period for each in drift(filled, every="quarter", model=None, reference="2099-Q1").periods] == ["2099-Q2"]


def test_texts_are_read_again_only_where_they_changed(
    filled: TriageStore, feed: Any, invented: SimpleNamespace, tiny_model: Path
) -> None:
    texts = TextShifts(str(tiny_model))
    first = drift(filled, texts=texts)
    assert first == drift(filled, model=str(tiny_model))
    vectors, read = texts._vectors, []
    texts._vectors = lambda store, rows: read.append(len(rows)) or vectors(store, rows)  # type: ignore[method-assign, func-returns-value]
    review(filled, "CVE-2099-10000", "accept", reviewer="Ada")
    assert drift(filled, texts=texts) == first
    assert read == []
    changed = [
        invented.cve(10060 + n, "another text altogether", published="2099-02-10T00:00:00Z", modified="2099-06-01")
        for n in range(60)
    ]
    feed(filled, *changed)
    assert drift(filled, texts=texts).periods[0].alarms != first.periods[0].alarms
    assert read == [60]


@given(st.dates(date(1, 1, 4), date(9999, 12, 26)), st.sampled_from(EVERY))
def test_periods_sort_as_days_do(day: date, every: str) -> None:
    later = day + timedelta(days=1)
    assert _period(day.isoformat(), every) <= _period(later.isoformat(), every)
    assert _period("soon", every) == ""


def test_the_picture_labels_the_newest_period_and_not_too_many() -> None:
    measure = Measure("label_psi", 0.1, Interval(0.05, 0.3), 0.2, alarms=False)
    names = [f"2099-W{week:02}" for week in range(1, 53)]
    picture = draw_drift(DriftReport("2098-W52", 60, tuple(PeriodDrift(name, 60, 0, (measure,)) for name in names)))
    labels = [name for name in names if name in picture]
    assert labels[-1] == "2099-W52"
    assert 12 < len(labels) <= 24


def test_what_cannot_be_compared_says_so(quick_store: TriageStore, filled: TriageStore) -> None:
    with pytest.raises(InputError, match="has 0 items"):
        drift(filled, reference="1999-01", model=None)
    with pytest.raises(SettingError, match="fortnight"):
        drift(filled, every="fortnight")
    with pytest.raises(SettingError, match="mood"):
        drift(filled, by="mood")


def test_an_empty_store_has_no_reference(quick_store: TriageStore) -> None:
    with pytest.raises(InputError, match="nothing to compare"):
        drift(quick_store, model=None)
