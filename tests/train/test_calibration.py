from __future__ import annotations

import numpy as np

from ctiforge.core.metrics import expected_calibration_error
from ctiforge.train.calibration import UNCALIBRATED, calibrate, calibrate_with_shift, fit_shift


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
    shift = fit_shift(scores, hits)
    assert 0.7 < shift[0] - shift[1] < 1.3, "not all of 1.5: what is liked for some months does not last"
    assert -1.3 < shift[3] - shift[1] < -0.7


def test_a_shifted_split_is_judged_by_shifts_fitted_elsewhere() -> None:
    scores, hits = draw(4000, np.array([1.5, 0.0, 0.0, -1.5]), seed=3)
    calibrated = calibrate_with_shift(scores, hits)
    assert calibrated.shift is not None
    assert not np.allclose(calibrated.scores, scores + np.array(calibrated.shift), atol=1e-6)
    plain = hits[np.arange(len(hits)), scores.argmax(axis=1)].mean()
    shifted = hits[np.arange(len(hits)), calibrated.scores.argmax(axis=1)].mean()
    assert shifted > plain + 0.02
