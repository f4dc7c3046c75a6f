"""What an encoder learns of each example: soft targets over the labels, and how much the example weighs."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ctiforge.core.advisory import Party
from ctiforge.core.errors import InputError
from ctiforge.core.files import write_bytes
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.labelled_cves import telling_labels
from ctiforge.train.encoder_recipe import ExampleWeights, SoftTargets
from ctiforge.train.examples import Example

__all__ = [
    "TEACHER",
    "TeacherProbabilities",
    "build_targets",
    "class_weights",
    "example_weights",
    "learnt_labels",
    "load_teacher",
    "log_prior",
    "relatives_matrix",
    "soften",
    "write_teacher",
]

TEACHER = "teacher.npz"

_SMALLEST = 5e-4
"""Probabilities below this are not kept: what the teacher does not believe in need not be stored."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TeacherProbabilities:
    """Soft targets by another model: `probabilities` has shape (n, K), each row adding up to 1, for the model's K labels."""

    row: Mapping[str, int]
    probabilities: Floats


def write_teacher(folder: Path, cve_ids: Sequence[str], labels: Sequence[str], probabilities: npt.NDArray[np.floating]) -> Path:
    """Write `TEACHER`: ``cve_ids`` (n), ``labels`` (K), ``probabilities`` (n, K) in float16; return its path."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, cve_ids=np.array(cve_ids, dtype=np.str_), labels=np.array(labels, dtype=np.str_),
        probabilities=np.where(probabilities < _SMALLEST, 0, probabilities).astype(np.float16),
    )  # fmt: skip
    write_bytes(folder / TEACHER, buffer.getvalue())
    return folder / TEACHER


def load_teacher(path: str | os.PathLike[str], labels: Sequence[str]) -> TeacherProbabilities:
    """Read a teacher's probabilities and put them into the order of `labels`; labels that are not learnt are dropped.

    Raises:
        InputError: the file is missing, no NumPy archive, or its arrays do not fit each other; or it knows no label.
    """
    wanted = {"cve_ids", "labels", "probabilities"}
    try:
        with np.load(Path(path), allow_pickle=False) as arrays:
            missing = wanted - set(arrays.files)
            if missing:
                raise ValueError(f"no array {', '.join(sorted(missing))}")
            cve_ids, known, given = (arrays[name] for name in ("cve_ids", "labels", "probabilities"))
    except (OSError, ValueError, EOFError) as error:
        fix = "a .npz with cve_ids (n), labels (K) and probabilities (n, K), or no 'teacher' in the recipe"
        raise InputError(f"{path}: cannot read the teacher's probabilities ({error})", fix=fix) from None
    column = {str(label): i for i, label in enumerate(known)}
    shared = [(i, column[label]) for i, label in enumerate(labels) if label in column]
    if given.shape != (len(cve_ids), len(known)) or not shared or not np.isfinite(given).all() or (given < 0).any():
        raise InputError(
            f"{path}: probabilities of shape {given.shape} for {len(cve_ids)} CVEs and {len(known)} labels, "
            f"{len(shared)} of them learnt: no teacher's probabilities",
            fix="write one row for each CVE and one column for each label, none of them negative",
        )
    probabilities = np.zeros((len(cve_ids), len(labels)), dtype=np.float32)
    own, theirs = np.array(shared).T
    probabilities[:, own] = given[:, theirs]
    total = probabilities.sum(axis=1, keepdims=True)
    probabilities /= np.where(total > 0, total, 1)
    return TeacherProbabilities({str(cve): i for i, cve in enumerate(cve_ids) if total[i] > 0}, probabilities)


def learnt_labels(example: Example, catalogue: CweCatalogue, party: Mapping[Party, float]) -> dict[str, float]:
    """Return the telling labels of all parties with their shares: each party has a vote as heavy as its weight, and splits it
    evenly over its labels. The shares add up to 1, unless every party weighs nothing: then there are none."""
    votes: dict[str, float] = {}
    for name, assigned in example.by_party.items():
        telling = telling_labels(assigned, catalogue)
        for label in telling:
            votes[label] = votes.get(label, 0.0) + party.get(name, 1.0) / len(telling)
    total = sum(votes.values())
    return {label: vote / total for label, vote in votes.items() if vote > 0}


def build_targets(
    examples: Sequence[Example],
    labels: Sequence[str],
    catalogue: CweCatalogue,
    weights: ExampleWeights,
    teacher: TeacherProbabilities | None = None,
    teacher_share: float = 0.0,
) -> Floats:
    """Return float32 targets of shape (n, K), each row adding up to 1, or to 0 where none of the labels is known.

    Args:
        teacher_share: of each target that the teacher gives, where it knows the CVE (Hinton, Vinyals and Dean 2015,
            arXiv 1503.02531, section 2, at temperature 1).
    """
    place = {label: i for i, label in enumerate(labels)}
    targets = np.zeros((len(examples), len(labels)), dtype=np.float32)
    for row, example in enumerate(examples):
        shares = {k: v for k, v in learnt_labels(example, catalogue, weights.party).items() if k in place}
        total = sum(shares.values())
        for label, share in shares.items():
            targets[row, place[label]] = share / total
        if teacher is not None and example.cve_id in teacher.row and total > 0:
            given = teacher.probabilities[teacher.row[example.cve_id]]
            targets[row] = (1 - teacher_share) * targets[row] + teacher_share * given
    return targets


def relatives_matrix(labels: Sequence[str], catalogue: CweCatalogue, relatives: str) -> Floats:
    """Return shape (K, K): how a label's share is spread over its relatives in View-1000 among `labels`, evenly.

    With ``both``, half goes to the parents and half to the siblings where there are both. A row without relatives is the label
    itself, so that every row adds up to 1.
    """
    place = {label: i for i, label in enumerate(labels)}
    spread = np.zeros((len(labels), len(labels)), dtype=np.float32)
    for row, label in enumerate(labels):
        parents = catalogue.parents(label) if label in catalogue else ()
        siblings = {child for parent in parents for child in catalogue.children(parent)} - {label}
        by_name: dict[str, list[Collection[str]]] = {
            "parents": [parents], "siblings": [siblings], "both": [parents, siblings],
        }  # fmt: skip
        known = [[place[each] for each in sorted(kind) if each in place] for kind in by_name[relatives]]
        known = [columns for columns in known if columns] or [[row]]
        for columns in known:
            spread[row, columns] += 1 / len(known) / len(columns)
    return spread


def soften(targets: Floats, settings: SoftTargets, relatives: Floats | None) -> Floats:
    """Spread each target over the relatives of its labels and then over all labels, by the recipe's shares."""
    soft = targets
    if relatives is not None and settings.hierarchy_share:
        soft = (1 - settings.hierarchy_share) * soft + settings.hierarchy_share * (soft @ relatives)
    if settings.label_smoothing:
        known = soft.sum(axis=1, keepdims=True) > 0
        soft = (1 - settings.label_smoothing) * soft + settings.label_smoothing / soft.shape[1] * known
    return soft.astype(np.float32)


def class_weights(targets: Floats, power: float) -> Floats:
    """Return a weight for each of K labels: its examples to the power of minus `power`, 1 on average over the examples."""
    counts = np.maximum(targets.sum(axis=0, dtype=np.float64), 1e-6)
    weights = counts**-power
    scaled: Floats = (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)
    return scaled


def log_prior(targets: Floats) -> Floats:
    """Return the log of each label's share of the targets: what logit adjustment adds to the scores while learning.

    Source: Menon et al. 2021, arXiv 2007.07314, equation 10 (the logit-adjusted softmax cross-entropy).
    """
    counts = np.maximum(targets.sum(axis=0, dtype=np.float64), 1e-6)
    prior: Floats = np.log(counts / counts.sum()).astype(np.float32)
    return prior


def example_weights(days: Sequence[date], settings: ExampleWeights) -> Floats:
    """Return one weight an example, by its day, scaled to a mean of 1."""
    steps = sorted(settings.recent, key=lambda step: step.since)
    weights = np.ones(len(days), dtype=np.float32)
    for row, day in enumerate(days):
        for step in steps:
            if day >= step.since:
                weights[row] = step.weight
    scaled: Floats = (weights / max(float(weights.mean()), 1e-9) if len(weights) else weights).astype(np.float32)
    return scaled
