"""How far a period is from the reference: population stability index, shift of texts, change of shares, each with an interval.

The index of two distributions over bins is the sum of (p - q) ln(p / q); of two samples of one distribution it is not zero,
but about (bins - 1)(1/n + 1/m). What two samples of the reference of these sizes give is therefore taken off before a measure
is judged. Sources: Yurdakul 2018, Statistical Properties of Population Stability Index; Efron and Tibshirani 1993, chapter 13
(percentile intervals).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctiforge.core.metrics import Interval

__all__ = [
    "Measure",
    "bin_confidences",
    "bin_labels",
    "cosine_distance",
    "population_stability_index",
    "psi_measure",
    "share_change",
    "text_shift",
]

Doubles = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_SAMPLES: Final = 500
_SEED: Final = 0
_TAILS: Final = (0.025, 0.975)
_HALF: Final = 0.5
_LABELS: Final = 20
_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of a period.

    Attributes:
        value: the measure beyond what two samples of the reference would have.
        interval: 95 %, bootstrap over items.
        alarms: the whole interval is beyond the threshold.
    """

    name: str
    value: float
    interval: Interval
    threshold: float
    alarms: bool


def population_stability_index(reference: npt.ArrayLike, period: npt.ArrayLike) -> float:
    """Return the index of two histograms of counts, shape (bins,) each; half an item is added to every bin."""
    return float(_indices(np.asarray(reference, dtype=np.float64), np.asarray(period, dtype=np.float64)))


def _indices(reference: npt.NDArray[Any], period: npt.NDArray[Any]) -> Doubles:
    """Return the index of each pair of histograms, shape (..., bins)."""
    p, q = reference + _HALF, period + _HALF
    p, q = p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)
    found: Doubles = ((q - p) * np.log(q / p)).sum(axis=-1)
    return found


def bin_labels(reference: Sequence[str], *others: Sequence[str]) -> list[Counts]:
    """Return counts of the reference's most frequent labels, and of all others together, for it and for each other sample."""
    frequent = [label for label, _ in sorted(Counter(reference).items(), key=lambda each: (-each[1], each[0]))[:_LABELS]]
    place = {label: number for number, label in enumerate(frequent)}
    return [
        np.bincount([place.get(label, len(frequent)) for label in sample], minlength=len(frequent) + 1)
        for sample in (reference, *others)
    ]


def bin_confidences(reference: Sequence[float], *others: Sequence[float]) -> list[Counts]:
    """Return counts in tenths of the reference, for it and for each other sample."""
    edges = np.unique(np.quantile(np.asarray(reference), np.linspace(0, 1, _BINS + 1)[1:-1]))
    return [
        np.bincount(np.searchsorted(edges, np.asarray(sample), side="right"), minlength=len(edges) + 1)
        for sample in (reference, *others)
    ]


def psi_measure(name: str, reference: Counts, period: Counts, threshold: float) -> Measure:
    """Judge the index of two histograms."""
    generator = np.random.default_rng(_SEED)
    n, m = int(reference.sum()), int(period.sum())
    shares, own = reference / n, period / m
    same = _indices(generator.multinomial(n, shares, _SAMPLES), generator.multinomial(m, shares, _SAMPLES))
    drawn = _indices(generator.multinomial(n, shares, _SAMPLES), generator.multinomial(m, own, _SAMPLES))
    # A resample has the sampling noise twice, once of its own and once of the sample it is drawn from.
    noise = float(np.mean(same))
    return _measure(name, population_stability_index(reference, period) - noise, drawn - 2 * noise, threshold)


def _measure(name: str, value: float, drawn: Doubles, threshold: float) -> Measure:
    low, high = (float(each) for each in np.quantile(drawn, _TAILS))
    return Measure(name, value, Interval(low, high), threshold, low > threshold or high < -threshold)


def share_change(name: str, reference: tuple[int, int], period: tuple[int, int], threshold: float) -> Measure | None:
    """Judge the change of a share, each given as hits and number; None where one of them is of nothing."""
    if not reference[1] or not period[1]:
        return None
    generator = np.random.default_rng(_SEED)
    before, now = (hits / number for hits, number in (reference, period))
    drawn = (
        generator.binomial(period[1], now, _SAMPLES) / period[1]
        - generator.binomial(reference[1], before, _SAMPLES) / reference[1]
    )
    return _measure(name, now - before, drawn, threshold)


def text_shift(reference: Doubles, period: Doubles, threshold: float) -> Measure:
    """Judge how far the mean text vector has moved, by cosine.

    Args:
        reference, period: shape (n, size) and (m, size), vectors of Euclidean length 1 or 0.
    """
    generator = np.random.default_rng(_SEED)

    def mean(vectors: Doubles, number: int) -> Doubles:
        weights = generator.multinomial(number, np.full(len(vectors), 1 / len(vectors))) / number
        drawn: Doubles = weights @ vectors
        return drawn

    n, m = len(reference), len(period)
    same = _repeat(lambda: cosine_distance(mean(reference, n), mean(reference, m)))
    drawn = _repeat(lambda: cosine_distance(mean(reference, n), mean(period, m)))
    noise = float(same.mean())
    return _measure(
        "text_shift", cosine_distance(reference.mean(axis=0), period.mean(axis=0)) - noise, drawn - 2 * noise, threshold
    )


def _repeat(draw: Callable[[], float], times: int = _SAMPLES // 5) -> Doubles:
    return np.array([draw() for _ in range(times)])


def cosine_distance(one: Doubles, other: Doubles) -> float:
    """Return 1 - cosine; 0 where one of them is the zero vector."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return 1 - float(one @ other) / lengths if lengths else 0.0
