from __future__ import annotations

import numpy as np

from ctiforge.core.metrics import expected_calibration_error
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.calibration import LASTING, UNCALIBRATED, calibrate, calibrate_with_shift, fit_shift, label_traits

NO_TRAITS = np.zeros((0, 4))


def draw(n: int, bias: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that say how likely each label is before `bias` is added, and labels drawn after it."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(scale=2, size=(n, len(bias))).astype(np.float32)
    odds = np.exp(scores + bias)
    shares = odds / odds.sum(axis=1, keepdims=True)
    labels = [rng.choice(len(bias), p=share) for share in shares]
    return scores, np.eye(len(bias), dtype=bool)[labels]


def test_calibration_mends_scores_that_are_too_sure() -> None:
    scores, hits = draw(2000, np.zeros(4), seed=1)
    loud = scores * 5
    right = hits[np.arange(len(hits)), loud.argmax(axis=1)]
    before = expected_calibration_error(UNCALIBRATED.probabilities(loud).max(axis=1), right)
    after = expected_calibration_error(calibrate(loud, hits).probabilities.max(axis=1), right)
    assert before > 0.15
    assert after < 0.05


def test_the_shift_finds_what_a_party_likes() -> None:
    bias = np.array([1.5, 0.0, 0.0, -1.5])
    scores, hits = draw(4000, bias, seed=2)
    everything = fit_shift(scores, hits, NO_TRAITS, lasting=1.0)
    assert everything[0] - everything[1] > 0.9
    assert everything[3] - everything[1] < -0.9
    kept = fit_shift(scores, hits, NO_TRAITS)  # what is liked for some months does not last
    np.testing.assert_allclose(kept, LASTING * everything, atol=1e-5)


def test_what_traits_explain_is_kept_whole() -> None:
    """Labels 0 to 2 belong to a view that this party maps to; label 0 is liked beyond that."""
    traits = np.array([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
    bias = 1.6 * traits[0] + np.array([0.8, 0, 0, 0, 0, 0])
    scores, hits = draw(6000, bias, seed=6)
    shift = fit_shift(scores, hits, traits, lasting=0.0)
    np.testing.assert_allclose(shift[:3] - shift[3:], 1.85, atol=0.25)  # the mean of the view's labels, one number for all
    assert np.ptp(shift[:3]) == np.ptp(shift[3:]) == 0
    more = fit_shift(scores, hits, traits)
    assert more[0] - more[1] > 0.2


def test_scores_that_are_too_loud_do_not_hide_a_trait() -> None:
    traits = np.array([[1.0, 1.0, 0.0, 0.0]])
    scores, hits = draw(6000, 1.5 * traits[0], seed=7)
    plain, loud = (fit_shift(each, hits, traits, lasting=0.0) for each in (scores, 4 * scores))
    np.testing.assert_allclose(loud, 4 * plain, rtol=0.02, atol=1e-6)


def test_traits_of_labels(catalogue: CweCatalogue) -> None:
    found = label_traits(["CWE-79", "CWE-787", "CWE-121", "CWE-1321", "CWE-284"], catalogue)
    assert found[0].tolist() == [1, 1, 0, 1, 0]  # View-1003, through categories too
    assert found[1].tolist() == [0, 0, 1, 1, 0]  # Variants
    assert label_traits([], catalogue).shape == (2, 0)


def test_a_shifted_split_is_judged_by_shifts_fitted_elsewhere() -> None:
    scores, hits = draw(4000, np.array([1.5, 0.0, 0.0, -1.5]), seed=3)
    calibrated = calibrate_with_shift(scores, hits, NO_TRAITS)
    assert calibrated.shift is not None
    assert not np.allclose(calibrated.scores, scores + np.array(calibrated.shift), atol=1e-6)
    plain = hits[np.arange(len(hits)), scores.argmax(axis=1)].mean()
    shifted = hits[np.arange(len(hits)), calibrated.scores.argmax(axis=1)].mean()
    assert shifted > plain + 0.02


def test_an_example_s_own_label_decides_nothing_of_how_it_is_judged() -> None:
    scores, hits = draw(400, np.array([1.0, 0.0, 0.0, -1.0]), seed=4)
    before = calibrate_with_shift(scores, hits, NO_TRAITS)
    changed = hits.copy()
    changed[7] = np.roll(hits[7], 1)
    after = calibrate_with_shift(scores, changed, NO_TRAITS)
    same = (after.scores == before.scores).all(axis=1)
    assert same[7]
    assert same.sum() == 100  # its quarter
    assert after.shift != before.shift
