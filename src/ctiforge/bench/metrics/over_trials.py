"""How a metric of one trial becomes that of several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from ctiforge.bench.completion import ScoredItem

__all__ = ["Trials", "mean_over_trials", "share"]

Trials = Sequence[Sequence[ScoredItem]]
"""Of each complete trial its items, every (sample, permutation) once."""


def mean_over_trials(metric: Callable[[Sequence[ScoredItem]], float | None], trials: Trials) -> float | None:
    """Return the mean of `metric` over the trials that have it, None if none has."""
    values = [value for value in map(metric, trials) if value is not None]
    return math.fsum(values) / len(values) if values else None


def share(hits: Iterable[bool]) -> float | None:
    """Return how many of `hits` are true, 0 to 1; None of nothing."""
    found = list(hits)
    return sum(found) / len(found) if found else None
