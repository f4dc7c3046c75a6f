"""Figures of a classifier, as pure functions: shares with intervals, F1, curves, slices, confusions, a paired test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from ctiforge.bench.statistics import BOOTSTRAP_SEED, discordance, mcnemar, paired_bootstrap_interval
from ctiforge.core.metrics import wilson_interval

__all__ = [
    "commonest_confusions",
    "coverage_curve",
    "label_scores",
    "macro_f1",
    "paired",
    "reliability",
    "share",
    "slices",
]

_RESAMPLES = 2000
_COVERAGES = tuple(round(0.05 * step, 2) for step in range(1, 21))


def share(right: Sequence[bool]) -> dict[str, float]:
    """Return the share of right answers, n, and the 95 % Wilson interval over items."""
    interval = wilson_interval(sum(right), len(right))
    value = sum(right) / len(right) if len(right) else 0.0
    return {"value": round(value, 4), "n": len(right)} | {f"ci95_{k}": round(v, 4) for k, v in asdict(interval).items()}


def macro_f1(given: Sequence[str], golds: Sequence[str], min_items: int = 1) -> dict[str, Any]:
    """Return the mean F1 over the gold labels with `min_items` items or more, how many these are, and a 95 % interval.

    The interval is the bootstrap's percentile interval over items (Efron and Tibshirani 1993, chapter 13.3); labels that do not
    occur in a resample do not count there.
    """
    chosen = sorted(label for label, n in Counter(golds).items() if n >= min_items)
    found = {"value": 0.0, "labels": len(chosen), "min_items": min_items}
    if not chosen:
        return found
    place = {label: i for i, label in enumerate(chosen)}
    said, wanted = (np.array([place.get(each, len(chosen)) for each in labels]) for labels in (given, golds))
    drawn = np.random.default_rng(BOOTSTRAP_SEED).integers(0, len(golds), size=(_RESAMPLES, len(golds)))
    low, high = np.quantile([_mean_f1(said[rows], wanted[rows], len(chosen)) for rows in drawn], [0.025, 0.975])
    value = _mean_f1(said, wanted, len(chosen))
    return found | {"value": round(value, 4), "ci95_low": round(float(low), 4), "ci95_high": round(float(high), 4)}


def _mean_f1(said: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64], labels: int) -> float:
    """Return the mean F1 of labels 0 to `labels` - 1; another number is an answer or gold that is none of them."""
    right = np.bincount(wanted[said == wanted], minlength=labels)[:labels]
    both = np.bincount(wanted, minlength=labels)[:labels] + np.bincount(said, minlength=labels)[:labels]
    return float((2 * right[both > 0] / both[both > 0]).mean()) if both.any() else 0.0


def reliability(confidence: Sequence[float], right: Sequence[bool], bins: int = 15) -> list[dict[str, float]]:
    """Return n, mean probability and share of right answers of each bin of equal width that has any."""
    values, hits = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=bool)
    place = np.minimum((values * bins).astype(int), bins - 1)
    found = []
    for each in range(bins):
        within = place == each
        if within.any():
            found.append(
                {"n": int(within.sum()), "probability": round(float(values[within].mean()), 4)}
                | {"right": round(float(hits[within].mean()), 4)}
            )
    return found


def coverage_curve(confidence: Sequence[float], right: Sequence[bool]) -> list[dict[str, float]]:
    """Return the accuracy of the answers that the model is surest of, for some shares of all items."""
    ordered = np.asarray(right, dtype=bool)[np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")]
    sizes = [(coverage, round(coverage * len(ordered))) for coverage in _COVERAGES]
    return [{"coverage": each, "accuracy": round(float(ordered[:n].mean()), 4)} for each, n in sizes if n]


def slices(keys: Sequence[str], right: Sequence[bool], min_items: int = 1) -> dict[str, dict[str, float]]:
    """Return the share of right answers by key, in the order of the keys; slices with fewer items together as ``others``."""
    counts = Counter(keys)
    named = [key if counts[key] >= min_items else "others" for key in keys]
    order = sorted(set(named), key=lambda key: (key == "others", key))
    return {key: share([ok for own, ok in zip(named, right, strict=True) if own == key]) for key in order}


def label_scores(given: Sequence[str], golds: Sequence[str], min_items: int) -> dict[str, dict[str, Any]]:
    """Return, for each gold label with enough items, how many were right and what was answered instead most often."""
    found: dict[str, dict[str, Any]] = {}
    for label, n in Counter(golds).most_common():
        if n < min_items:
            break
        said = Counter(one for one, gold in zip(given, golds, strict=True) if gold == label)
        wrong = [[each, times] for each, times in said.most_common() if each != label][:2]
        found[label] = {"n": n, "right": said[label], "instead": wrong}
    return found


def commonest_confusions(given: Sequence[str], golds: Sequence[str], most: int = 10) -> list[dict[str, Any]]:
    """Return the pairs of gold and wrong answer that occur most often (twice at least), the commonest first."""
    wrong = Counter((gold, one) for one, gold in zip(given, golds, strict=True) if one != gold)
    ordered = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))
    return [{"gold": gold, "answer": one, "times": n} for (gold, one), n in ordered[:most] if n > 1]


def paired(ours: Sequence[bool], theirs: Sequence[bool]) -> dict[str, Any]:
    """Compare two models' right and wrong answers to the same items: McNemar's exact test, two-sided, and the difference of
    their accuracies with its 95 % bootstrap interval over items."""
    a, b = np.asarray(ours, dtype=bool), np.asarray(theirs, dtype=bool)
    counts = discordance(a, b)
    differences = a.astype(float) - b.astype(float)
    interval = paired_bootstrap_interval(differences)
    return {
        "n": len(a),
        "difference": round(float(differences.mean()), 4),
        "ci95_low": round(interval.low, 4),
        "ci95_high": round(interval.high, 4),
        "only_ours_right": counts.only_a,
        "only_theirs_right": counts.only_b,
        "mcnemar_p": float(f"{mcnemar(counts.only_a, counts.only_b):.3g}"),
    }
