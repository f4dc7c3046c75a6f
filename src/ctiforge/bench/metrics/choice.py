"""Metrics of multiple choice: position bias, the floor of a constant answer, agreement over rotated options."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from string import ascii_uppercase
from typing import Any

from ctiforge.bench.completion import ScoredItem
from ctiforge.bench.metrics.over_trials import Trials, mean_over_trials, share
from ctiforge.bench.task import Sample

__all__ = ["choice_metrics"]


def choice_metrics(trials: Trials, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return accuracy and counts by letter of the published options, the share of the commonest gold, and the rotations.

    ``majority_baseline`` is what always answering one letter scores; a model is to be compared with it, not with 1 / options.
    """
    golds = Counter(sample.target for sample in samples)
    return {
        "per_letter": _per_letter(trials, samples),
        "majority_baseline": max(golds.values()) / len(samples),
        "permutation": _permutation(trials),
    }


def _per_letter(trials: Trials, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    items = [item for trial in trials for item in trial]
    golds = Counter(item.target for item in items)
    answers = Counter(item.answer for item in items if item.answer is not None)
    shown = ascii_uppercase[: max(len(sample.choices) for sample in samples)]
    return [
        {
            "letter": letter,
            "golds": golds[letter],
            "answers": answers[letter],
            "accuracy": mean_over_trials(partial(_accuracy_of, letter), trials),
        }
        for letter in sorted({*shown, *golds, *answers})
    ]


def _accuracy_of(letter: str, items: Sequence[ScoredItem]) -> float | None:
    return share(item.outcome == "correct" for item in items if item.target == letter)


def _permutation(trials: Trials) -> dict[str, Any] | None:
    """Return how far answers depend on the order of the options; None if each question was asked in one order only.

    ``all_rotations_right`` and ``consistent`` are shares of questions: right in every rotation; answered in every rotation, and
    with the same option (which may be a wrong one).
    """
    rotations = {item.permutation for trial in trials for item in trial}
    if rotations <= {0}:
        return None
    return {
        "rotations": len(rotations),
        "accuracy_over": "every question in every rotation of its options",
        "accuracy_mean": mean_over_trials(lambda items: share(item.outcome == "correct" for item in items), trials),
        "all_rotations_right": mean_over_trials(
            lambda items: share(all(item.outcome == "correct" for item in asked) for asked in _by_question(items)), trials
        ),
        "consistent": mean_over_trials(
            lambda items: share(
                asked[0].answer is not None and len({item.answer for item in asked}) == 1 for asked in _by_question(items)
            ),
            trials,
        ),
    }


def _by_question(items: Sequence[ScoredItem]) -> list[list[ScoredItem]]:
    found: defaultdict[str, list[ScoredItem]] = defaultdict(list)
    for item in items:
        found[item.sample_id].append(item)
    return list(found.values())
