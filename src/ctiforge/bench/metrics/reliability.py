"""Whether the probabilities that a model gives of its own answers hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ctiforge.bench.completion import ScoredItem
from ctiforge.bench.metrics.over_trials import Trials, mean_over_trials
from ctiforge.core.metrics import expected_calibration_error

__all__ = ["reliability"]

BINS: Final = 15


def reliability(trials: Trials) -> dict[str, Any] | None:
    """Return the bins of a reliability diagram and the expected calibration error; None unless every answer has a confidence.

    Items without an answer are left out. Bins are of equal width, empty ones left out, and hold the answers of all trials; the
    error is the mean over trials. Source: Guo et al. 2017, arXiv 1706.04599, section 2.
    """
    answered = [item for trial in trials for item in trial if item.answer is not None]
    if not answered or any(item.confidence is None for item in answered):
        return None
    binned: list[list[ScoredItem]] = [[] for _ in range(BINS)]
    for item in answered:
        binned[min(int(_confidence(item) * BINS), BINS - 1)].append(item)
    return {
        "bins": [
            {
                "low": place / BINS,
                "high": (place + 1) / BINS,
                "n": len(items),
                "confidence": sum(sorted(map(_confidence, items))) / len(items),
                "accuracy": sum(item.outcome == "correct" for item in items) / len(items),
            }
            for place, items in enumerate(binned)
            if items
        ],
        "ece": mean_over_trials(_calibration_error, trials),
    }


def _confidence(item: ScoredItem) -> float:
    return item.confidence if item.confidence is not None else 0.0


def _calibration_error(items: Sequence[ScoredItem]) -> float | None:
    answered = sorted((_confidence(item), item.outcome == "correct") for item in items if item.answer is not None)
    if not answered:
        return None
    confidence, correct = np.array(answered, dtype=np.float64).T
    return expected_calibration_error(confidence, correct.astype(bool), bins=BINS)
