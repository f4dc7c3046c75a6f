"""Gold answers from a second file, for tasks that are published without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ctiforge.bench.task import AnswerKind, Sample
from ctiforge.bench.task_rows import Row, read_table
from ctiforge.bench.task_targets import target_of
from ctiforge.core.errors import InputError

__all__ = ["join_gold"]

_KEYS = ("id", "sample_id", "URL", "source")
_GOLDS = ("gold", "GT", "answer", "target")


def join_gold(samples: Sequence[Sample], kind: AnswerKind, path: Path) -> list[Sample]:
    """Return the samples with the golds of a CSV (or .tsv) of two columns: ``id`` or ``URL``, and ``gold`` or ``GT``.

    An id is that of a sample (``cti-taa/0007``) or its last part. A URL gives its gold to every sample that comes from it. A
    sample that `path` does not name stays as it is.

    Raises:
        InputError: the file cannot be read, names a sample that is not there, or contradicts a gold that is.
    """
    names: dict[str, list[int]] = {}
    for place, sample in enumerate(samples):
        for name in {sample.id, sample.id.rpartition("/")[2], sample.source} - {""}:
            names.setdefault(name, []).append(place)
    joined = list(samples)
    for row in read_table(path, delimiter="\t" if path.suffix.lower() == ".tsv" else ","):
        gold = target_of(row, kind, *_GOLDS, choices=_most_choices(samples))
        for place in _places(row, names):
            if joined[place].target not in ("", gold):
                raise row.fault(f"the gold of {joined[place].id} is {joined[place].target!r} already, here it is {gold!r}")
            joined[place] = replace(joined[place], target=gold)
    return joined


def _places(row: Row, names: Mapping[str, list[int]]) -> list[int]:
    key = row.text(*_KEYS).strip()
    if key not in names:
        raise InputError(
            f"{row.path}: row {row.number} (line {row.line}): no sample has the id or source {key[:200]!r}",
            fix="use ids such as cti-taa/0007, or the URLs of the task's file",
        )
    return names[key]


def _most_choices(samples: Sequence[Sample]) -> int:
    return max((len(sample.choices) for sample in samples), default=0)
