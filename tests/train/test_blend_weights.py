from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctiforge.models.blend import Places
from ctiforge.train.blend_weights import FittedHabits, PartScores, fit_habits, fit_weights

LABELS = ["CWE-22", "CWE-79", "CWE-89", "CWE-787"]
PLACES = Places.of(LABELS, LABELS[:3], LABELS)


def draw(n: int, seed: int, *, encoder: float, linear: float, bias: float = 0.0) -> PartScores:
    """Scores of two parts, and labels drawn by the sum that these weights make of them, with a liking for the first label."""
    rng = np.random.default_rng(seed)
    parts = PartScores(
        rng.normal(scale=2, size=(n, 3)).astype(np.float32),
        rng.normal(scale=2, size=(n, 4)).astype(np.float32),
        np.zeros((n, 4), dtype=bool),
        [],
    )
    odds = np.exp(parts.blended(PLACES, {"encoder": encoder, "linear": linear}) + np.array([bias, 0, 0, 0]))
    drawn = [int(rng.choice(4, p=row / row.sum())) for row in odds]
    return with_labels(parts, np.array(drawn))


def with_labels(parts: PartScores, drawn: np.ndarray) -> PartScores:
    return replace(parts, hits=np.eye(4, dtype=bool)[drawn], assigned=[(LABELS[i],) for i in drawn])


SMALL = draw(80, seed=1, encoder=0.3, linear=0.9, bias=1.0)


@pytest.fixture(scope="module")
def habits() -> FittedHabits:
    return fit_habits(SMALL, PLACES)


@pytest.mark.parametrize(("encoder", "linear"), [(1.0, 0.0), (0.0, 1.0), (0.4, 0.8)])
def test_the_weights_that_made_the_labels_are_found(encoder: float, linear: float) -> None:
    found = fit_weights(draw(3000, seed=2, encoder=encoder, linear=linear), PLACES)
    assert found == {"encoder": pytest.approx(encoder, abs=0.08), "linear": pytest.approx(linear, abs=0.08)}


@given(rows=st.lists(st.booleans(), min_size=80, max_size=80).filter(lambda rows: sum(rows) > 10))
@settings(max_examples=10, deadline=None)
def test_a_fit_on_some_examples_is_a_fit_on_a_split_of_them(rows: list[bool]) -> None:
    chosen = np.array(rows)
    part = PartScores(SMALL.encoder[chosen], SMALL.linear[chosen], SMALL.hits[chosen], [])
    assert fit_weights(SMALL, PLACES, chosen) == fit_weights(part, PLACES)


@given(row=st.integers(0, 79), away=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_an_example_s_own_label_decides_nothing_of_how_it_is_judged(habits: FittedHabits, row: int, away: int) -> None:
    """Weights and shift behind an example's score come from other quarters; what is written comes from all."""
    drawn = SMALL.hits.argmax(axis=1)
    drawn[row] = (drawn[row] + away) % 4
    other = fit_habits(with_labels(SMALL, drawn), PLACES)
    np.testing.assert_array_equal(other.calibrated.scores[row], habits.calibrated.scores[row])
    same = (other.calibrated.scores == habits.calibrated.scores).all(axis=1)
    assert same.sum() == 20  # its quarter
    assert other.weights != habits.weights
    assert other.calibrated.shift != habits.calibrated.shift


def test_a_party_s_habits_are_weights_and_a_shift_of_what_they_make() -> None:
    party = draw(1500, seed=3, encoder=0.2, linear=0.9, bias=1.5)
    habits = fit_habits(party, PLACES)
    assert habits.weights == fit_weights(party, PLACES)
    assert habits.weights["linear"] > 2 * habits.weights["encoder"]
    shift = np.array(habits.calibrated.shift)
    assert (shift[0] - shift[1:] > 0.5).all()
    everything = party.blended(PLACES, habits.weights) + shift
    assert np.abs(everything - habits.calibrated.scores).max() < 1
    assert not np.allclose(everything, habits.calibrated.scores, atol=1e-3)
    right = (habits.calibrated.scores.argmax(axis=1) == party.hits.argmax(axis=1)).mean()
    foreign = party.blended(PLACES, {"encoder": 0.9, "linear": 0.2})
    assert right > (foreign.argmax(axis=1) == party.hits.argmax(axis=1)).mean() + 0.05
