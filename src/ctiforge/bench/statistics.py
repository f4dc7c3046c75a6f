"""Statistics of a benchmark as pure functions over arrays: spread over trials, intervals over items, paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import MissingExtraError
from ctiforge.core.metrics import Interval

__all__ = [
    "BOOTSTRAP_SAMPLES",
    "BOOTSTRAP_SEED",
    "CONFIDENCE",
    "Discordance",
    "MeanAndDeviation",
    "bootstrap_interval",
    "discordance",
    "holm",
    "mcnemar",
    "mean_and_deviation",
    "paired_bootstrap_interval",
]

Doubles = npt.NDArray[np.float64]

BOOTSTRAP_SAMPLES: Final = 10_000
BOOTSTRAP_SEED: Final = 0
CONFIDENCE: Final = 0.95
_BLOCK_CELLS = 1 << 20


@dataclass(frozen=True, slots=True)
class MeanAndDeviation:
    """Mean of some trials, and their sample standard deviation (None of one trial)."""

    mean: float
    deviation: float | None


@dataclass(frozen=True, slots=True)
class Discordance:
    """Items on which two systems were right: both, one of them, neither."""

    both: int
    only_a: int
    only_b: int
    neither: int


def mean_and_deviation(values: Sequence[float]) -> MeanAndDeviation:
    """Return mean and sample standard deviation (divisor n - 1) of one number a trial.

    Over trials on the same items it measures the sampling of the model alone, not that of the items: see `bootstrap_interval`.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no trials, no mean")
    array = np.sort(np.asarray(values, dtype=np.float64))
    return MeanAndDeviation(float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else None)


def bootstrap_interval(
    totals: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    *,
    samples: int = BOOTSTRAP_SAMPLES,
    seed: int = BOOTSTRAP_SEED,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the bootstrap percentile interval, over items, of ``sum(totals) / sum(counts)``.

    Items are drawn with replacement, each with all its trials. The order of the items does not matter.
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.3.

    Args:
        totals: shape (n,), of each item the sum over its trials (number of right answers), or its mean if `counts` is None.
        counts: shape (n,), how many answers each item has; 1 each if None.

    Raises:
        ValueError: there are no items.
    """
    drawn = _resampled_means(totals, counts, samples, seed)
    return _percentiles(drawn, confidence)


def paired_bootstrap_interval(
    differences: npt.ArrayLike,
    *,
    samples: int = BOOTSTRAP_SAMPLES,
    seed: int = BOOTSTRAP_SEED,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the bootstrap percentile interval of the mean of paired differences, one an item.

    Half of the resamples are made of the negated differences, so that the interval of B - A mirrors that of A - B exactly.
    Source: Efron and Tibshirani 1993, chapter 13.3, with the pair as the unit that is drawn.

    Args:
        differences: shape (n,), of each item the score of one system (its mean over trials) minus that of the other.

    Raises:
        ValueError: there are no items.
    """
    values = np.asarray(differences, dtype=np.float64)
    there = _resampled_means(values, None, (samples + 1) // 2, seed)
    back = _resampled_means(-values, None, (samples + 1) // 2, seed)
    return _percentiles(np.concatenate([there, -back]), confidence)


def _resampled_means(totals: npt.ArrayLike, counts: npt.ArrayLike | None, samples: int, seed: int) -> Doubles:
    """Draw how often each distinct item occurs instead of the items: the same distribution, and as cheap as items are alike."""
    sums = np.asarray(totals, dtype=np.float64)
    if not sums.size:
        raise ValueError("no items, no interval")
    sizes = np.ones_like(sums) if counts is None else np.asarray(counts, dtype=np.float64)
    kinds, times = np.unique(np.stack([sums + 0.0, sizes]), axis=1, return_counts=True)  # + 0.0: there is no -0
    shares = times / times.sum()
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // len(shares))
    means = []
    for start in range(0, samples, block):
        drawn = generator.multinomial(sums.size, shares, size=min(block, samples - start))
        means.append((drawn @ kinds[0]) / (drawn @ kinds[1]))
    return np.concatenate(means)


def _percentiles(drawn: Doubles, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(float(low), float(high))


def discordance(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> Discordance:
    """Count the items, shape (n,) each and in the same order, on which two systems agree and differ."""
    return Discordance(
        both=int((a & b).sum()), only_a=int((a & ~b).sum()), only_b=int((b & ~a).sum()), neither=int((~a & ~b).sum())
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided p-value of McNemar's test, exact: the binomial test of the discordant pairs at one half.

    Source: McNemar 1947, Psychometrika 12(2), 153-157, in its exact form. Without a discordant pair it is 1.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    if only_a + only_b == 0:
        return 1.0
    try:
        from scipy.stats import binomtest
    except ImportError as error:
        raise MissingExtraError("scipy", "bench") from error
    return float(binomtest(min(only_a, only_b), only_a + only_b, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values of a family adjusted by Holm's step-down procedure, in the order given.

    An adjusted value at or below alpha is significant while the chance of any false claim in the family stays below alpha.
    Source: Holm 1979, Scandinavian Journal of Statistics 6(2), 65-70.
    """
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = reached
    return adjusted
