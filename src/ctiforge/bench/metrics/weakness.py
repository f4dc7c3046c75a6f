"""Metrics of root cause mapping: the long tail, CWE's hierarchy, MITRE's mapping usage, families."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, get_args

from ctiforge.bench.completion import ScoredItem
from ctiforge.bench.metrics.over_trials import Trials, mean_over_trials, share
from ctiforge.bench.metrics.reliability import reliability
from ctiforge.bench.task import Sample
from ctiforge.core.ids import cwe_number
from ctiforge.core.weakness import MappingUsage
from ctiforge.sources.cwe import CweCatalogue, load_catalogue

__all__ = ["OTHER_FAMILY", "UNKNOWN_USAGE", "macro_f1", "weakness_metrics"]

UNKNOWN_USAGE: Final = "Unknown"
"""Usage of an identifier that the catalogue does not have."""
OTHER_FAMILY: Final = "other"
"""Family of what is below no pillar: categories, views, deprecated and unknown entries."""


def weakness_metrics(trials: Trials, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the metrics of a task whose answers are CWE identifiers, by the catalogue in force.

    ``hierarchy_accuracy`` also credits an ancestor or descendant of the gold in View-1000; ``best_possible_with_allowed_only``
    is the share of samples whose gold MITRE lets be mapped to (Allowed or Allowed-with-Review); ``unanswered`` counts, by
    family of the gold, the items that are in no column of the matrix. ``n`` of a label counts samples, not answers.

    Raises:
        CatalogueError: the user's CWE catalogue cannot be read.
    """
    catalogue = load_catalogue()
    items = [item for trial in trials for item in trial]
    return {
        "cwe_version": catalogue.version,
        "macro_f1": mean_over_trials(macro_f1, trials),
        "hierarchy_accuracy": mean_over_trials(
            lambda trial: share(_is_on_one_line(catalogue, item.answer, item.target) for item in trial), trials
        ),
        "answers_by_mapping_usage": _by_usage(catalogue, (item.answer for item in items if item.answer is not None)),
        "golds_by_mapping_usage": _by_usage(catalogue, (item.target for item in items)),
        "best_possible_with_allowed_only": share(catalogue.is_suggestable(sample.target) for sample in samples),
        "families": _families(catalogue, items),
        "per_label": _per_label(trials, samples),
        "reliability": reliability(trials),
    }


def macro_f1(items: Sequence[ScoredItem]) -> float | None:
    """Return the unweighted mean of the F1 of every label that is the gold of some item.

    Labels that only answers name have no F1 of their own (what they were wrongly given for is a miss of its gold), so that all
    models are compared over the same labels. An item without an answer is a miss too.
    """
    golds = Counter(item.target for item in items)
    answers = Counter(item.answer for item in items)
    right = Counter(item.target for item in items if item.answer == item.target)
    scores = [2 * right[label] / (answers[label] + golds[label]) for label in golds]
    return math.fsum(scores) / len(scores) if scores else None


def _is_on_one_line(catalogue: CweCatalogue, answer: str | None, gold: str) -> bool:
    if answer is None:
        return False
    return answer == gold or answer in catalogue.ancestors(gold) or gold in catalogue.ancestors(answer)


def _by_usage(catalogue: CweCatalogue, cwe_ids: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = dict.fromkeys((*get_args(MappingUsage), UNKNOWN_USAGE), 0)
    for cwe_id in cwe_ids:
        entry = catalogue.get(cwe_id)
        counts[entry.usage if entry else UNKNOWN_USAGE] += 1
    return counts


def _families(catalogue: CweCatalogue, items: Sequence[ScoredItem]) -> dict[str, Any]:
    pillars = sorted((entry.cwe_id for entry in catalogue if entry.abstraction == "Pillar"), key=cwe_number)
    labels = [*pillars, OTHER_FAMILY]
    place = {label: number for number, label in enumerate(labels)}

    def family(cwe_id: str) -> int:
        """Return the place of the pillar above, over primary parents."""
        ways = catalogue.paths_to_root(cwe_id)
        return place.get(ways[0][-1] if ways else "", place[OTHER_FAMILY])

    matrix = [[0] * len(labels) for _ in labels]
    unanswered = [0] * len(labels)
    for item in items:
        if item.answer is None:
            unanswered[family(item.target)] += 1
        else:
            matrix[family(item.target)][family(item.answer)] += 1
    return {"labels": labels, "matrix": matrix, "unanswered": unanswered}


def _per_label(trials: Trials, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    right: defaultdict[str, int] = defaultdict(int)
    asked: defaultdict[str, int] = defaultdict(int)
    for item in (item for trial in trials for item in trial):
        asked[item.target] += 1
        right[item.target] += item.outcome == "correct"
    counts = sorted(Counter(sample.target for sample in samples).items(), key=lambda each: (-each[1], _label_order(each[0])))
    return [{"label": label, "n": n, "accuracy": right[label] / asked[label] if asked[label] else None} for label, n in counts]


def _label_order(label: str) -> tuple[int, str]:
    number = label.removeprefix("CWE-")
    return (int(number) if number.isdecimal() else -1, label)
