"""The examples that a recipe asks for, cut by date into those to learn from, to develop on and to test on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctiforge.core.advisory import Party, Reject
from ctiforge.core.errors import InputError
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.read import read_advisories
from ctiforge.sources.reservation_dates import ReservationCalendar
from ctiforge.train.examples import Example, ExampleSet, collect_examples, load_holdout
from ctiforge.train.labelled_texts import LabelledText, read_labelled_texts
from ctiforge.train.recipe import ExampleRecipe, Window

__all__ = ["SplitExamples", "build_examples", "split_examples"]


@dataclass(frozen=True, slots=True)
class SplitExamples:
    """Examples by date: before, within and after the development split; and those of the recipe's windows, in its order."""

    train: list[Example]
    development: list[Example]
    later: list[Example]
    windows: list[list[Example]]


def build_examples(recipe: ExampleRecipe, data: str | os.PathLike[str], catalogue: CweCatalogue) -> ExampleSet:
    """Read the recipe's feeds below `data` and label their CVEs; benchmark CVEs are left out.

    Raises:
        InputError: a file that the recipe names is not there.
    """
    folder = Path(data)
    feeds = [str(folder / source.path) for source in recipe.sources]
    for feed in [*feeds, *(str(folder / source.path) for source in recipe.instructions)]:
        if not Path(feed).is_file():
            raise InputError(f"{feed}: no such file, but the recipe names it", fix="--data DIR is the folder that holds it")
    excluded = ((folder / exclusion.path, exclusion.text_column) for exclusion in recipe.exclude)
    return collect_examples(
        read_advisories(feeds, duplicates="keep"),
        catalogue,
        recipe.party_order,
        ReservationCalendar(recipe.split.reserved),
        load_holdout(excluded, recipe.near_duplicate, recipe.shared_phrases),
        _labelled_texts(recipe, folder),
        undated_before=recipe.split.development_from,
    )


def _labelled_texts(recipe: ExampleRecipe, folder: Path) -> Iterator[tuple[Party, LabelledText | Reject]]:
    for source in recipe.instructions:
        settings = source.model_dump(include={"prompt_field", "answer_field", "text_after"})
        for labelled in read_labelled_texts(folder / source.path, **settings):
            yield source.party, labelled


def split_examples(examples: Sequence[Example], recipe: ExampleRecipe) -> SplitExamples:
    """Cut the examples by date as the recipe says."""
    windows = recipe.split.windows
    split = SplitExamples([], [], [], [[] for _ in windows])
    for example in examples:
        within = [i for i, window in enumerate(windows) if _is_within(example, window)]
        for i in within:
            split.windows[i].append(example)
        if within:
            continue
        if example.day < recipe.split.development_from:
            split.train.append(example)
        elif example.day < recipe.split.test_from:
            split.development.append(example)
        else:
            split.later.append(example)
    return split


def _is_within(example: Example, window: Window) -> bool:
    return window.party in example.by_party and window.since <= example.day < window.until
