"""Metrics of answers that are sets of labels: ATT&CK techniques, mitigations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ctiforge.bench.completion import ScoredItem
from ctiforge.bench.metrics.over_trials import Trials, mean_over_trials
from ctiforge.bench.task import Sample

__all__ = ["label_set_metrics"]


@dataclass(frozen=True, slots=True)
class _Overlap:
    """Labels in answer and gold, in answers, in golds."""

    both: int
    answered: int
    gold: int

    @property
    def precision(self) -> float:
        return self.both / self.answered if self.answered else 0.0

    @property
    def recall(self) -> float:
        return self.both / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.both / (self.answered + self.gold) if self.answered + self.gold else 1.0


def label_set_metrics(trials: Trials, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return micro-averaged precision, recall and F1 over all labels, and ``macro_f1``, the mean of the items' own F1.

    An item without an answer has an empty set: its gold labels are missed and its F1 is 0. Some papers call the mean over
    labels macro; here it is the mean over items, the measure that `ScoredItem.value` holds.
    """
    return {
        "micro_precision": mean_over_trials(lambda items: _total(items).precision, trials),
        "micro_recall": mean_over_trials(lambda items: _total(items).recall, trials),
        "micro_f1": mean_over_trials(lambda items: _total(items).f1, trials),
        "macro_f1": mean_over_trials(lambda items: math.fsum(_overlap(item).f1 for item in items) / len(items), trials),
    }


def _total(items: Sequence[ScoredItem]) -> _Overlap:
    overlaps = [_overlap(item) for item in items]
    return _Overlap(
        sum(each.both for each in overlaps), sum(each.answered for each in overlaps), sum(each.gold for each in overlaps)
    )


def _overlap(item: ScoredItem) -> _Overlap:
    answer, gold = _labels(item.answer or ""), _labels(item.target)
    return _Overlap(len(answer & gold), len(answer), len(gold))


def _labels(text: str) -> frozenset[str]:
    """Return the labels of ``T1059,T1071``."""
    return frozenset(label.strip() for label in text.split(",") if label.strip())
