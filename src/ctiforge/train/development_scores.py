"""Scores on the development splits, calibration by them, and abstention thresholds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ctiforge.core.metrics import expected_calibration_error
from ctiforge.models.linear import Doubles, Floats
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.calibration import (
    MIN_SHIFT_EXAMPLES,
    calibrate,
    calibrate_with_shift,
    fit_calibration,
    label_traits,
)
from ctiforge.train.recipe import Window

__all__ = [
    "ScoredWindow",
    "calibration_settings",
    "half_fitted_error",
    "hit_matrix",
    "lowest_threshold",
    "macro_f1",
    "mean_loss",
    "split_scores",
    "window_scores",
]

Hits = npt.NDArray[np.bool_]

_MIN_ITEMS = 5


@dataclass(frozen=True, slots=True)
class ScoredWindow:
    """A window's examples that the scoring model did not learn: scores of shape (n, K), and what its party assigned."""

    window: Window
    scores: Floats
    assigned: list[tuple[str, ...]]


def hit_matrix(labels: Sequence[str], assigned: Sequence[tuple[str, ...]]) -> Hits:
    """Return shape (n, K): whether each label is one of those assigned."""
    place = {label: i for i, label in enumerate(labels)}
    hits = np.zeros((len(assigned), len(labels)), dtype=bool)
    for row, right in enumerate(assigned):
        hits[row, [place[label] for label in right if label in place]] = True
    return hits


def mean_loss(scores: Floats, hits: Hits) -> float:
    """Return the mean cross-entropy of the examples that have a known label, equal shares for each of theirs."""
    known = hits.any(axis=1)
    given = scores[known].astype(np.float64)
    given -= given.max(axis=1, keepdims=True)
    log_shares = given - np.log(np.exp(given).sum(axis=1, keepdims=True))
    wanted = hits[known] / hits[known].sum(axis=1, keepdims=True)
    return float(-(wanted * log_shares).sum() / max(len(given), 1))


def macro_f1(predicted: Sequence[str], assigned: Sequence[tuple[str, ...]], min_items: int = _MIN_ITEMS) -> tuple[float, int]:
    """Return the mean F1 over the labels that are right for `min_items` examples or more, and how many labels these are.

    What is right for an example is its prediction if that was assigned, else the first label assigned.
    """
    right = [guess if guess in labels else labels[0] for guess, labels in zip(predicted, assigned, strict=True)]
    golds, guesses = Counter(right), Counter(predicted)
    both = Counter(guess for guess, gold in zip(predicted, right, strict=True) if guess == gold)
    chosen = [label for label, n in golds.items() if n >= min_items]
    scores = [2 * both[label] / (golds[label] + guesses[label]) for label in chosen]
    return (float(np.mean(scores)) if scores else 0.0), len(chosen)


def split_scores(scores: Floats, assigned: Sequence[tuple[str, ...]], labels: Sequence[str]) -> dict[str, Any]:
    """Return n, top-1, top-3 (any assigned label counts), macro-F1 and cross-entropy; rounded to four digits."""
    if not len(scores):
        return {"n": 0}
    hits = hit_matrix(labels, assigned)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    right = np.take_along_axis(hits, best, axis=1)
    f1, counted = macro_f1([labels[i] for i in best[:, 0]], assigned)
    found = {
        "top1": float(right[:, 0].mean()), "top3": float(right.any(axis=1).mean()),
        "macro_f1": f1, "loss": mean_loss(scores, hits),
    }  # fmt: skip
    return {"n": len(scores), **{name: round(value, 4) for name, value in found.items()}, "macro_f1_labels": counted}


def window_scores(scored: ScoredWindow, labels: Sequence[str], catalogue: CweCatalogue) -> dict[str, Any]:
    """Return the settings and scores of a window: as it is, and with a shift fitted on other parts of the same window."""
    found = scored.window.model_dump(mode="json") | split_scores(scored.scores, scored.assigned, labels)
    if len(scored.scores) < MIN_SHIFT_EXAMPLES:
        return found
    shifted = calibrate_with_shift(scored.scores, hit_matrix(labels, scored.assigned), label_traits(labels, catalogue))
    scores = split_scores(shifted.scores, scored.assigned, labels)
    error = expected_calibration_error(*_top1(shifted.probabilities, shifted.hits))
    return found | {
        "shifted_top1": scores["top1"],
        "shifted_top3": scores["top3"],
        "shifted_macro_f1": scores["macro_f1"],
        "shifted_calibration_error_15_bins": round(error, 4),
    }


def calibration_settings(
    development: Floats,
    assigned: Sequence[tuple[str, ...]],
    windows: Sequence[ScoredWindow],
    labels: Sequence[str],
    catalogue: CweCatalogue,
    target_precision: float,
) -> dict[str, Any]:
    """Return the manifest's ``calibration``, ``shift``, ``threshold`` and ``development``.

    Policy mitre follows the development split; policy nvd the windows that fit a shift, where these have enough examples.
    """
    own = calibrate(development, hit_matrix(labels, assigned))
    chosen = [each for each in windows if each.window.party == "nvd" and each.window.fit_shift]
    nvd = own
    if sum(len(each.scores) for each in chosen) >= MIN_SHIFT_EXAMPLES:
        scores = np.concatenate([each.scores for each in chosen])
        hits = np.concatenate([hit_matrix(labels, each.assigned) for each in chosen])
        nvd = calibrate_with_shift(scores, hits, label_traits(labels, catalogue))
    offered = np.array([catalogue.is_suggestable(label) for label in labels])
    error = expected_calibration_error(*_top1(own.probabilities, own.hits))
    return {
        "calibration": {"mitre": asdict(own.calibration), "nvd": asdict(nvd.calibration)},
        "shift": {} if nvd.shift is None else {"nvd": nvd.shift},
        "threshold": {
            "mitre": lowest_threshold(*_top1(np.where(offered, own.probabilities, 0), own.hits), target_precision),
            "nvd": lowest_threshold(*_top1(nvd.probabilities, nvd.hits), target_precision),
        },
        "development": split_scores(development, assigned, labels)
        | {
            "expected_calibration_error_15_bins": round(error, 4),
            "half_fitted_calibration_error": round(half_fitted_error(own.scores, own.hits), 4),
        },
    }


def _top1(probabilities: Doubles, hits: Hits) -> tuple[Doubles, Hits]:
    first = probabilities.argmax(axis=1)
    rows = np.arange(len(first))
    return probabilities[rows, first], hits[rows, first]


def half_fitted_error(scores: Floats, hits: Hits, second: Floats | None = None, unsure: float = 0) -> float:
    """Return the calibration error when each half of the split is judged with the calibration of the other half.

    Args:
        second: scores that answer where the highest probability by `scores` is below `unsure`, with a calibration of their own.
    """
    errors = []
    for half in (0, 1):
        learnt, judged = slice(half, None, 2), slice(1 - half, None, 2)
        probabilities = fit_calibration(scores[learnt], hits[learnt]).probabilities(scores[judged])
        if second is not None:
            again = fit_calibration(second[learnt], hits[learnt]).probabilities(second[judged])
            probabilities = np.where(probabilities.max(axis=1, keepdims=True) < unsure, again, probabilities)
        errors.append(expected_calibration_error(*_top1(probabilities, hits[judged])))
    return float(np.mean(errors))


def lowest_threshold(confidence: Doubles, right: Hits, precision: float) -> float:
    """Return the lowest threshold at which the answers given are right in at least `precision` of the cases."""
    order = np.argsort(-confidence)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(share >= precision)
    return round(float(confidence[order][enough[-1]]), 4) if enough.size else 1.0
