"""Statistics against independent computations, and the properties that a reader relies on."""

from __future__ import annotations

import itertools
import math
import statistics as reference
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap

from ctiforge.bench.statistics import (
    Discordance,
    bootstrap_interval,
    discordance,
    holm,
    mcnemar,
    mean_and_deviation,
    paired_bootstrap_interval,
)
from ctiforge.core.errors import MissingExtraError

SCORES = st.lists(st.integers(0, 5), min_size=1, max_size=60)
P_VALUES = st.lists(st.floats(0, 1), max_size=12)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=10))
def test_mean_and_deviation_are_those_of_the_standard_library(values: list[float]) -> None:
    found = mean_and_deviation(values)
    assert found.mean == pytest.approx(reference.fmean(values))
    assert found.deviation == pytest.approx(reference.stdev(values), abs=1e-12)


def test_deviation_divides_by_n_minus_one_and_one_trial_has_none() -> None:
    assert mean_and_deviation([0.5, 0.6, 0.7]).deviation == pytest.approx(0.1)
    assert mean_and_deviation([0.5]).deviation is None
    with pytest.raises(ValueError, match="no trials"):
        mean_and_deviation([])


@pytest.mark.parametrize("confidence", [0.95, 0.9, 0.5, 0.3])
def test_interval_is_that_of_all_resamples_of_three_items(confidence: float) -> None:
    means = [sum(drawn) / 3 for drawn in itertools.product([0, 0, 1], repeat=3)]
    tail = (1 - confidence) / 2
    interval = bootstrap_interval([0, 0, 1], confidence=confidence)
    expected = np.quantile(means, [tail, 1 - tail], method="inverted_cdf")
    assert [interval.low, interval.high] == pytest.approx(list(expected))


def test_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(7).integers(0, 6, 400) / 5
    interval = bootstrap_interval(values)
    theirs = scipy_bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1))
    assert interval.low == pytest.approx(theirs.confidence_interval.low, abs=0.003)
    assert interval.high == pytest.approx(theirs.confidence_interval.high, abs=0.003)


def test_interval_is_near_the_normal_one_on_many_items() -> None:
    values = np.zeros(1000)
    values[:640] = 1
    interval = bootstrap_interval(values)
    half = 1.96 * math.sqrt(0.64 * 0.36 / 1000)
    assert interval.low == pytest.approx(0.64 - half, abs=0.003)
    assert interval.high == pytest.approx(0.64 + half, abs=0.003)


def test_items_are_drawn_with_all_their_trials() -> None:
    """Five trials that agree on every item tell nothing new: the interval is that of one trial, not of five times the items."""
    one = bootstrap_interval([1] * 60 + [0] * 40)
    five = bootstrap_interval([5] * 60 + [0] * 40, [5] * 100)
    assert (five.low, five.high) == pytest.approx((one.low, one.high))


def test_items_weigh_by_their_number_of_answers() -> None:
    """Of one item with 9 right answers of 9 and one with 0 of 1, the resamples are 0, 0.9 (twice as often) and 1."""
    interval = bootstrap_interval([9, 0], [9, 1], confidence=0.4)
    assert (interval.low, interval.high) == pytest.approx((0.9, 0.9))


@given(SCORES, st.integers(0, 3), st.randoms())
def test_interval_holds_the_mean_and_ignores_order(scores: list[int], seed: int, random) -> None:  # type: ignore[no-untyped-def]
    values = [score / 5 for score in scores]
    interval = bootstrap_interval(values, samples=1000, seed=seed)
    assert interval.low - 1e-12 <= sum(values) / len(values) <= interval.high + 1e-12
    random.shuffle(values)
    assert bootstrap_interval(values, samples=1000, seed=seed) == interval


def test_seed_decides_and_constant_items_have_no_width() -> None:
    values = np.random.default_rng(0).random(50)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)
    assert bootstrap_interval([1, 1, 1]).low == 1.0
    with pytest.raises(ValueError, match="no items"):
        bootstrap_interval([])


def test_all_blocks_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 3, 40)
    whole = bootstrap_interval(values)
    monkeypatch.setattr("ctiforge.bench.statistics._BLOCK_CELLS", 3 * 999)
    assert bootstrap_interval(values) == whole


@pytest.mark.parametrize("accuracy", [0.37, 0.67, 0.9])
def test_interval_covers_the_truth_about_95_times_in_100(accuracy: float) -> None:
    """400 experiments: the standard error of the coverage is 1.1 points."""
    generator = np.random.default_rng(11)
    experiments = generator.binomial(5, generator.beta(accuracy * 2, (1 - accuracy) * 2, size=(400, 250))) / 5
    covered = 0
    for number, values in enumerate(experiments):
        interval = bootstrap_interval(values, samples=1000, seed=number)
        covered += interval.low <= accuracy <= interval.high
    assert 0.92 <= covered / 400 <= 0.98


def test_paired_interval_covers_the_true_difference() -> None:
    generator = np.random.default_rng(3)
    skill = generator.random((400, 250, 1))
    right = skill + 0.1 * np.array([0, 1]) > generator.random((400, 250, 2))  # min(1, .): b is 0.1 - 0.1 ** 2 / 2 better
    covered = 0
    for number, (a, b) in enumerate(np.moveaxis(right.astype(float), 2, 1)):
        interval = paired_bootstrap_interval(b - a, samples=1000, seed=number)
        covered += interval.low <= 0.095 <= interval.high
    assert 0.92 <= covered / 400 <= 0.98


def test_pairs_are_narrower_than_two_independent_intervals() -> None:
    generator = np.random.default_rng(5)
    a = (generator.random(1000) < 0.6).astype(float)
    b = np.where(generator.random(1000) < 0.02, 1 - a, a)
    paired, alone = paired_bootstrap_interval(b - a), bootstrap_interval(a)
    assert paired.high - paired.low < (alone.high - alone.low) / 2


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40))
def test_swapping_the_runs_mirrors_the_paired_interval(differences: list[int]) -> None:
    values = np.array(differences) / 5
    there, back = paired_bootstrap_interval(values, samples=500), paired_bootstrap_interval(-values, samples=500)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-12)
    assert there.low - 1e-12 <= values.mean() <= there.high + 1e-12


def test_ten_thousand_resamples_of_a_large_task_are_quick() -> None:
    values = np.random.default_rng(0).integers(0, 6, 2500) / 5
    start = time.perf_counter()
    bootstrap_interval(values)
    assert time.perf_counter() - start < 2


@given(st.integers(0, 120), st.integers(0, 120))
def test_mcnemar_is_the_sum_of_binomial_terms(only_a: int, only_b: int) -> None:
    n, least = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(n, k) for k in range(least + 1))
    assert mcnemar(only_a, only_b) == pytest.approx(min(1.0, 2 * tail / 2**n))
    assert mcnemar(only_a, only_b) == mcnemar(only_b, only_a)


def test_mcnemar_by_hand() -> None:
    assert mcnemar(0, 5) == pytest.approx(2 / 32)
    assert mcnemar(1, 5) == pytest.approx(2 * 7 / 64)
    assert mcnemar(4, 4) == 1.0
    assert mcnemar(0, 0) == 1.0


def test_mcnemar_without_scipy_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(MissingExtraError, match="scipy") as caught:
        mcnemar(1, 2)
    assert caught.value.fix == "pip install 'ctiforge[bench]'"


def test_discordance_counts_the_four_cells() -> None:
    a = np.array([1, 1, 1, 0, 0, 0, 0], dtype=bool)
    b = np.array([1, 0, 0, 1, 0, 0, 0], dtype=bool)
    assert discordance(a, b) == Discordance(both=1, only_a=2, only_b=1, neither=3)


def test_holm_by_hand() -> None:
    """0.01 x 4, 0.02 x 3, 0.03 x 2 (lifted to the one before), 0.5 x 1, in the order given."""
    assert holm([0.02, 0.5, 0.01, 0.025]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([]) == []
    assert holm([0.04]) == [0.04]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(P_VALUES)
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    """The procedure as Holm states it: walk up the ordered p-values while each is at most alpha / (those left)."""
    adjusted = holm(p_values)
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, place in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
            if (len(p_values) - rank) * p_values[place] > alpha:
                break
            rejected.add(place)
        assert {place for place, value in enumerate(adjusted) if value <= alpha} == rejected


@given(P_VALUES, st.randoms())
def test_holm_keeps_order_raises_and_ignores_places(p_values: list[float], random) -> None:  # type: ignore[no-untyped-def]
    adjusted = holm(p_values)
    assert all(raw <= value <= 1 for raw, value in zip(p_values, adjusted, strict=True))
    ordered = [value for _, value in sorted(zip(p_values, adjusted, strict=True))]
    assert ordered == sorted(ordered)
    places = list(range(len(p_values)))
    random.shuffle(places)
    assert holm([p_values[place] for place in places]) == [adjusted[place] for place in places]
