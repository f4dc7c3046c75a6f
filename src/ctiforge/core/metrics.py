"""Scores of a classifier, as pure functions over arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "expected_calibration_error", "wilson_interval"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a proportion."""

    low: float
    high: float


def wilson_interval(successes: int, n: int, z: float = 1.959964) -> Interval:
    """Return the Wilson score interval (95 % by default) of `successes` out of `n`.

    Source: Wilson 1927, JASA 22(158). With n = 0 nothing is known: (0, 1).
    """
    if n == 0:
        return Interval(0.0, 1.0)
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Interval(max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def expected_calibration_error(
    probabilities: npt.NDArray[np.floating], correct: npt.NDArray[np.bool_], bins: int = 15
) -> float:
    """Return the expected calibration error over equal-width bins of [0, 1].

    Args:
        probabilities: shape (n,), the probability of each answer given.
        correct: shape (n,), whether that answer was right.
        bins: number of bins; 15 as in Guo et al. 2017 (arXiv 1706.04599, section 2).
    """
    if probabilities.size == 0:
        return 0.0
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    counts = np.bincount(places, minlength=bins)
    confidence = np.bincount(places, weights=probabilities, minlength=bins)
    accuracy = np.bincount(places, weights=correct, minlength=bins)
    return float(np.abs(accuracy - confidence)[counts > 0].sum() / probabilities.size)
