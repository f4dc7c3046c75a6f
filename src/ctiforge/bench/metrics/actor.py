"""Metrics of threat-actor attribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ctiforge.bench.metrics.over_trials import Trials, mean_over_trials, share
from ctiforge.bench.task import Sample

__all__ = ["actor_metrics"]


def actor_metrics(trials: Trials, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the share of items with the very name of the gold, and of those that the task's alias table lets pass too."""
    return {
        "exact": mean_over_trials(
            lambda items: share((item.answer or "").casefold() == item.target.casefold() for item in items), trials
        ),
        "with_aliases": mean_over_trials(lambda items: share(item.outcome == "correct" for item in items), trials),
    }
