"""Generated questions as features, made in chunks that are kept: a run that was stopped goes on where it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctiforge.ask.questions import Question
from ctiforge.ask.reader.evidence import EvidenceFinder
from ctiforge.ask.reader.features import FEATURES, read_features
from ctiforge.ask.reader.fitting import Material
from ctiforge.core.errors import InputError

__all__ = ["CHUNK", "choose_questions", "make_material"]

CHUNK: Final = 100
"""Questions between two writes: what a kill costs at most."""
_PARTS: Final = ("features", "answers", "negated", "kinds", "subjects")


def choose_questions(
    questions: Iterable[Question], count: int, per_kind: int, keep: Callable[[Question], bool] = lambda question: True
) -> tuple[list[Question], int]:
    """Return the first `count` questions, of no kind more than `per_kind`, and how many were refused by `keep`."""
    chosen: list[Question] = []
    taken: Counter[str] = Counter()
    refused = 0
    for each in questions:
        if len(chosen) == count:
            break
        if taken[each.kind] == per_kind:
            continue
        if not keep(each):
            refused += 1
            continue
        taken[each.kind] += 1
        chosen.append(each)
    return chosen, refused


def make_material(
    questions: Sequence[Question], finder: EvidenceFinder, folder: Path, watch: Callable[[int, int], None]
) -> Material:
    """Return the questions as features; chunks that `folder` has are not made again.

    Args:
        folder: belongs to these questions and this knowledge base alone; the caller names it after both.
        watch: takes how many of how many questions are read.

    Raises:
        InputError: the folder cannot be written.
    """
    chunks = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place in range(-(-len(questions) // CHUNK)):
            chunk = questions[place * CHUNK : (place + 1) * CHUNK]
            file = folder / f"{place:05d}.npz"
            if (held := _load(file, len(chunk))) is None:
                held = dict(zip(_PARTS, _arrays(chunk, finder), strict=True))
                part = file.with_suffix(".part")
                with open(part, "wb") as stream:
                    np.savez_compressed(stream, **held)
                part.rename(file)
            chunks.append(held)
            watch(min((place + 1) * CHUNK, len(questions)), len(questions))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}", fix="name another folder") from None
    return Material(*(np.concatenate([each[part] for each in chunks]) for part in _PARTS))


def _load(file: Path, count: int) -> dict[str, Any] | None:
    try:
        with np.load(file, allow_pickle=False) as held:
            arrays = {part: held[part] for part in _PARTS}
    except (OSError, ValueError, EOFError, KeyError):
        return None
    fits = arrays["features"].shape[0] == count and arrays["features"].shape[2] == len(FEATURES)
    return arrays if fits else None


def _arrays(questions: Sequence[Question], finder: EvidenceFinder) -> Iterator[Any]:
    features, negated = [], []
    for each in questions:
        evidence = finder.find(each.stem, each.options)
        features.append(read_features(evidence))
        negated.append(evidence.cues.negated)
    yield np.stack(features)
    yield np.array([each.answer for each in questions], dtype=np.int64)
    yield np.array(negated, dtype=bool)
    yield np.array([each.kind for each in questions], dtype=np.str_)
    yield np.array([each.subject for each in questions], dtype=np.str_)
