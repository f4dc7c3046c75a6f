"""The examples of an encoder's fits: those to learn, those to develop on, and the parts of the windows that it never sees."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import InputError
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.encoder_targets import learnt_labels
from ctiforge.train.examples import Example
from ctiforge.train.splits import build_examples, split_examples

__all__ = ["EncoderMaterial", "WindowExample", "collect_material"]

_LEARNT = -1


@dataclass(frozen=True, slots=True)
class WindowExample:
    """An example of the recipe's window number `window`; `fold` is the fit that does not learn it, -1 if all of them do."""

    example: Example
    window: int
    fold: int


@dataclass(frozen=True, slots=True)
class EncoderMaterial:
    """What the fits learn from and are judged on.

    Attributes:
        labels: the K labels that are learnt, by number.
        counts: training examples of each of them, those of the windows included.
        rare: training examples that have none of these labels.
        folds: extra fits for the windows (0 unless the shift is cross-fitted).
    """

    labels: list[str]
    counts: Counter[str]
    train: list[Example]
    development: list[Example]
    windows: list[WindowExample]
    later: int
    rare: int
    folds: int
    left_out: Counter[str]

    def learnt_by(self, fold: int | None) -> list[Example]:
        """Return the examples that a fit learns: of a fold's fit, or (None) of the fit that is written."""
        unseen = fold if fold is not None else (_LEARNT - 1 if self.folds else 0)
        known = set(self.labels)
        usable = [each.example for each in self.windows if each.fold != unseen and known & set(each.example.targets)]
        return [*self.train, *_unique(usable)]

    def unseen_by(self, fold: int | None) -> list[int]:
        """Return the places in `windows` of the examples that a fit must score."""
        if fold is None and self.folds:
            return []
        return [i for i, each in enumerate(self.windows) if each.fold == (fold or 0)]


def collect_material(recipe: EncoderRecipe, data: str | os.PathLike[str], catalogue: CweCatalogue) -> EncoderMaterial:
    """Read the recipe's feeds and cut their examples.

    Raises:
        InputError: files are missing, or there is nothing to learn or to develop on.
    """
    collected = build_examples(recipe, data, catalogue)
    split = split_examples(collected.examples, recipe)
    rng = np.random.default_rng(recipe.seed)
    train = _some(_newest(split.train, recipe.max_per_label), recipe.max_train, rng)
    development = _some(split.development, recipe.max_development, rng)
    windows = _windows([_some(within, recipe.max_train, rng) for within in split.windows], recipe, rng)
    folds = recipe.split.folds if recipe.shift.fit == "cross_fit" and windows else 0

    learnt = {id(each.example): each.example for each in windows if folds or each.fold == _LEARNT}
    targets = {id(each): learnt_labels(each, catalogue, recipe.weights.party) for each in [*train, *learnt.values()]}
    counts = Counter(label for found in targets.values() for label in found)
    labels = sorted((label for label, n in counts.items() if n >= recipe.min_examples), key=lambda label: int(label[4:]))
    if len(labels) < 2 or len(development) < 2:
        raise InputError(
            f"{len(labels)} labels to learn and {len(development)} examples to develop on: nothing to train",
            fix="check --data, and the dates and min_examples of the recipe",
        )
    known = set(labels)
    kept = [each for each in train if known & targets[id(each)].keys()]
    return EncoderMaterial(
        labels, Counter({label: counts[label] for label in labels}), kept, development, windows,
        len(split.later), len(train) - len(kept), folds, collected.left_out,
    )  # fmt: skip


def _windows(windows: Sequence[Sequence[Example]], recipe: EncoderRecipe, rng: np.random.Generator) -> list[WindowExample]:
    """Deal the windows' examples to the folds; one that is in two windows is in the same fold in both."""
    unique = _unique([example for within in windows for example in within])
    place = rng.permutation(len(unique))
    if recipe.shift.fit == "cross_fit":
        folds = place % recipe.split.folds
    elif recipe.shift.fit == "window":
        folds = np.where(place < round(recipe.shift.window_share * len(unique)), 0, _LEARNT)
    else:
        folds = np.full(len(unique), _LEARNT)
    fold: npt.NDArray[np.int64] = folds
    fold_of = {id(example): int(fold[i]) for i, example in enumerate(unique)}
    return [WindowExample(example, i, fold_of[id(example)]) for i, within in enumerate(windows) for example in within]


def _unique(examples: Sequence[Example]) -> list[Example]:
    return list({id(example): example for example in examples}.values())


def _newest(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """Return the newest `limit` examples of each first label, in the order given."""
    if limit is None:
        return list(examples)
    kept: set[int] = set()
    taken: Counter[str] = Counter()
    for place in sorted(range(len(examples)), key=lambda i: examples[i].day, reverse=True):
        label = examples[place].labels[0]
        taken[label] += 1
        if taken[label] <= limit:
            kept.add(place)
    return [example for place, example in enumerate(examples) if place in kept]


def _some(examples: Sequence[Example], limit: int | None, rng: np.random.Generator) -> list[Example]:
    if limit is None or len(examples) <= limit:
        return list(examples)
    return [examples[i] for i in np.sort(rng.choice(len(examples), limit, replace=False))]
