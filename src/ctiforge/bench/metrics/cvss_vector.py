"""Metrics of CVSS vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ctiforge.bench.completion import ScoredItem
from ctiforge.bench.metrics.over_trials import Trials, mean_over_trials, share
from ctiforge.bench.task import Sample

__all__ = ["cvss_vector_metrics"]


def cvss_vector_metrics(trials: Trials, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the mean absolute deviation of the base score (0 to 10) and the share of exact vectors.

    The deviation is that of the answers that could be read, as in CTI-Bench (Alam et al. 2024, arXiv 2406.07599), so it is to
    be read with their number, ``parsed``. Exact vectors are a share of all items.
    """
    return {
        "mean_absolute_deviation": mean_over_trials(_mean_deviation, trials),
        "exact_vector": mean_over_trials(lambda items: share(item.answer == item.target for item in items), trials),
        "parsed": sum(len(_deviations(items)) for items in trials),
    }


def _deviations(items: Sequence[ScoredItem]) -> list[float]:
    return [item.value for item in items if item.answer is not None and item.value is not None]


def _mean_deviation(items: Sequence[ScoredItem]) -> float | None:
    deviations = _deviations(items)
    return math.fsum(deviations) / len(deviations) if deviations else None
