"""Settings from a recipe: counts, limits, names; all faults at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.errors import SettingError
from ctiforge.corpus.qa import DEFAULT_COUNTS, FormCounts, build_settings


def test_the_default_is_about_the_size_of_the_card() -> None:
    total = sum(each.total for each in DEFAULT_COUNTS.values())
    assert 5_800 <= total <= 6_500
    assert build_settings().counts == DEFAULT_COUNTS


@given(st.integers(0, 40_000))
def test_a_limit_is_met_exactly_and_in_proportion(limit: int) -> None:
    counts = build_settings(limit=limit).counts
    assert sum(each.total for each in counts.values()) == limit
    whole = sum(each.total for each in DEFAULT_COUNTS.values())
    for name, each in counts.items():
        assert abs(each.choice - DEFAULT_COUNTS[name].choice * limit / whole) <= 1


def test_generators_can_be_chosen_and_counted() -> None:
    settings = build_settings(generators=["weakness-parent", "cve-weakness"], limit=100, exclude=["T1"])
    assert list(settings.counts) == ["weakness-parent", "cve-weakness"]
    assert sum(each.total for each in settings.counts.values()) == 100
    assert settings.exclude == {"T1"}
    own = build_settings(counts={"weakness-parent": {"choice": 7}}, generators=["weakness-child"], limit=17)
    assert own.counts == {"weakness-parent": FormCounts(7, 0), "weakness-child": FormCounts(10, 0)}


def test_every_fault_is_named() -> None:
    with pytest.raises(SettingError) as raised:
        build_settings(generators=["weakness-parents"], counts={"cve-weakness": {"choise": 3}, "frob": {}}, limit=-1)
    message = raised.value.message
    assert "'weakness-parents' is not a question generator; did you mean 'weakness-parent'" in message
    assert "'frob' is not a question generator" in message
    assert "counts of 'cve-weakness' must be like {choice: 100, short: 20}, not {'choise': 3}" in message
    assert "limit is -1" in message
