"""Days of work and calibration, counted on both databases."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ctiforge.core.errors import SettingError
from ctiforge.triage import TriageStore, bulk_accept, measure_performance, review, show, undo


@pytest.fixture
def filled(store: TriageStore, feed: Any, invented: SimpleNamespace) -> TriageStore:
    texts = (invented.SQL, invented.SQL, invented.OVERFLOW, invented.OVERFLOW)
    feed(store, *(invented.cve(10001 + number, text) for number, text in enumerate(texts)))
    return store


def test_days_count_each_act_on_its_day(filled: TriageStore, clock: Any) -> None:
    review(filled, "CVE-2099-10001", "accept", reviewer="Ada")
    clock.pass_days(2)
    review(filled, "CVE-2099-10002", "correct", cwe_ids=["CWE-79"], reviewer="Ada")
    review(filled, "CVE-2099-10003", "reject", reason="too vague", reviewer="Grace")
    undo(filled, "CVE-2099-10003", reviewer="Grace")
    days = measure_performance(filled, days=4).days
    assert [each.day for each in days] == ["2099-02-28", "2099-03-01", "2099-03-02", "2099-03-03"]
    assert [each.came_in for each in days] == [0, 4, 0, 0]
    assert [(each.accepted, each.corrected, each.rejected, each.undone) for each in days] == [
        (0, 0, 0, 0),
        (1, 0, 0, 0),
        (0, 0, 0, 0),
        (0, 1, 1, 1),
    ]


def test_bulk_acceptance_is_counted_apart_and_is_no_evidence(filled: TriageStore) -> None:
    top = show(filled, "CVE-2099-10001").item.probability
    if top < 0.9:
        pytest.fail(f"the tiny model is not sure enough for this test: {top}")
    done = bulk_accept(filled, min_probability=0.9, reviewer="Ada", reason="all the same", limit=2)
    found = measure_performance(filled, days=1)
    assert len(done.item_ids) == 2
    assert (found.days[0].accepted, found.days[0].in_bulk) == (2, 2)
    assert found.bins == ()


def test_bins_compare_probability_and_decision(filled: TriageStore) -> None:
    review(filled, "CVE-2099-10001", "accept", reviewer="Ada")
    review(filled, "CVE-2099-10002", "correct", cwe_ids=["CWE-79"], reviewer="Ada")
    found = measure_performance(filled)
    (only,) = found.bins
    probability = show(filled, "CVE-2099-10001").item.probability
    assert (only.n, only.agreed, found.decisions) == (2, 1, 2)
    assert only.low <= probability <= only.high
    assert only.expected == pytest.approx(probability)
    assert only.interval.low < 0.5 < only.interval.high


@pytest.mark.parametrize("days", [0, 367])
def test_days_out_of_range_are_refused(quick_store: TriageStore, days: int) -> None:
    with pytest.raises(SettingError, match="is not from 1 to 366"):
        measure_performance(quick_store, days=days)
