"""What a stronger model says of descriptions that nobody labelled, as targets for a smaller one.

Soft targets at temperature 1 (Hinton, Vinyals and Dean 2015, arXiv 1503.02531, section 2); the texts are those that the teacher
has not learnt, so that it says what it would say of new ones.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, diags

from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, sha256, write_bytes
from ctiforge.models.blend import ALWAYS_UNSURE, NEVER_SURE, BlendModel
from ctiforge.models.cwe_model import CweModel
from ctiforge.models.linear import Floats
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.descriptions import Description, read_descriptions
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.encoder_targets import write_teacher
from ctiforge.train.recipe import ClassifierRecipe, Distillation, ExampleRecipe

__all__ = ["Judged", "TaughtTexts", "judge_unlabelled", "teach"]

_SMALLEST_SHARE = 0.02
"""Labels less likely than this are no targets: what the teacher does not believe in need not be stored."""
_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Judged:
    """What `judge_unlabelled` made."""

    file: Path
    digest: str
    texts: int


@dataclass(frozen=True, slots=True)
class TaughtTexts:
    """Texts, and the teachers' targets for them: shape (n texts, K labels), each row adding up to 1."""

    texts: list[str]
    targets: csr_matrix


def teach(
    teachers: Sequence[CweModel],
    recipe: ClassifierRecipe,
    data: str | os.PathLike[str],
    labels: Sequence[str],
    catalogue: CweCatalogue,
    folder: Path,
    report: Callable[[str], None] = lambda message: None,
) -> TaughtTexts:
    """Let teachers say what they think of the recipe's unlabelled descriptions; the mean of what they say is learnt.

    What each of them said is kept in `folder`, part by part: after a kill only the rest is asked.

    Raises:
        InputError: a teacher knows none of `labels`, there are no such descriptions, or the recipe has no settings for it.
    """
    if recipe.teacher is None:
        raise InputError(
            f"{recipe.name}: the recipe has no 'teacher'", fix="add 'teacher: {since: 2019-01-01}', or leave --teacher out"
        )
    texts = [each.text for each in _unlabelled(recipe, recipe.teacher.since, data, catalogue)]
    said = _mean_said(teachers, texts, labels, folder, report)
    said[said < _SMALLEST_SHARE] = 0
    targets = csr_matrix(said)
    total = np.asarray(targets.sum(axis=1)).ravel()
    usable = np.flatnonzero(total)
    return TaughtTexts([texts[i] for i in usable], diags(1 / total[usable], dtype=np.float32) @ targets[usable])


def judge_unlabelled(
    teachers: Sequence[CweModel],
    recipe: ClassifierRecipe | EncoderRecipe,
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    catalogue: CweCatalogue,
    report: Callable[[str], None] = lambda message: None,
) -> Judged:
    """Write the mean of what models say of the unlabelled descriptions that a recipe wants, for an encoder to learn from.

    All parts of a blend read every text. The same call goes on after a kill.

    Args:
        out: what is written is what `ctiforge.train.teacher` writes.

    Raises:
        InputError: files are missing, the recipe wants none of these descriptions, or there are none.
    """
    settings = recipe.teacher
    since = settings.since if isinstance(settings, Distillation) else settings.unlabelled_since if settings else None
    if since is None:
        raise InputError(
            f"{recipe.name}: the recipe learns nothing from descriptions without a label",
            fix="add 'teacher: {share: 0.5, unlabelled_since: 2021-01-01}' to a copy",
        )
    for teacher in teachers:
        if isinstance(teacher, BlendModel):
            teacher.sure, teacher.unsure = NEVER_SURE, dict.fromkeys(teacher.unsure, ALWAYS_UNSURE)
    chosen = _unlabelled(recipe, since, data, catalogue)
    labels = sorted({label for teacher in teachers for label in teacher.labels}, key=lambda label: int(label[4:]))
    said = _mean_said(teachers, [each.text for each in chosen], labels, Path(out) / "parts", report)
    file = write_teacher(Path(out), [each.cve_id for each in chosen], labels, said)
    return Judged(file, file_sha256(file), len(chosen))


def _unlabelled(recipe: ExampleRecipe, since: date, data: str | os.PathLike[str], catalogue: CweCatalogue) -> list[Description]:
    found, _ = read_descriptions(recipe, data, catalogue)
    chosen = [each for each in found if not each.labelled and each.day >= since]
    if not chosen:
        raise InputError(
            f"{recipe.name}: no description without a label since {since}: nothing to learn from a teacher",
            fix="ask no teacher, or check the recipe's sources",
        )
    return chosen


def _mean_said(
    teachers: Sequence[CweModel], texts: Sequence[str], labels: Sequence[str], folder: Path, report: Callable[[str], None]
) -> Floats:
    """Return the mean of the teachers' shares, shape (n texts, K labels)."""
    said = np.zeros((len(texts), len(labels)), dtype=np.float32)
    for teacher in teachers:
        column = {label: i for i, label in enumerate(teacher.labels)}
        shared = [(i, column[label]) for i, label in enumerate(labels) if label in column]
        if not shared:
            raise InputError(
                f"{teacher.name} knows none of the {len(labels)} labels: nothing to learn from it",
                fix="leave that teacher out",
            )
        report(f"the teacher {teacher.name} reads {len(texts):,} descriptions without a label")
        own, theirs = np.array(shared).T
        start = 0
        for part, shares in _said(teacher, texts, folder, report):
            said[start : start + len(part), own] += shares[:, theirs] / np.float32(len(teachers))
            start += len(part)
    return said


def _said(
    teacher: CweModel, texts: Sequence[str], folder: Path, report: Callable[[str], None]
) -> Iterator[tuple[Sequence[str], Floats]]:
    """Yield parts of the texts with the teacher's shares, shape (n, its labels)."""
    begun, asked = time.monotonic(), 0
    for start in range(0, len(texts), _AT_ONCE):
        part = texts[start : start + _AT_ONCE]
        file = folder / f"{sha256(chr(0).join([teacher.digest, *part]).encode())[:32]}.npy"
        try:
            shares: Floats = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            shares = _shares(teacher.score(list(part)).scores)
            buffer = io.BytesIO()
            np.save(buffer, shares)
            write_bytes(file, buffer.getvalue())
            asked += len(part)
            if asked % (20 * _AT_ONCE) == 0:
                left = (len(texts) - start - len(part)) * (time.monotonic() - begun) / asked
                report(f"taught {start + len(part):,} of {len(texts):,}, {left:.0f} s left")
        yield part, shares


def _shares(scores: Floats) -> Floats:
    given = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = (given / given.sum(axis=1, keepdims=True)).astype(np.float16)
    return shares
