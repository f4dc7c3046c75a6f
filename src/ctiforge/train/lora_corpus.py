"""The records that a stage of a fine-tuning learns from, and those of the development split that it is looked at with."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256
from ctiforge.train.chat_examples import last_line
from ctiforge.train.lora_recipe import LoraRecipe, Stage

__all__ = ["LoraCorpus", "kinds_of", "load_lora_corpus"]

_COLUMNS = ("id", "kind", "prompt", "completion")

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LoraCorpus:
    """Both splits of a corpus folder.

    Attributes:
        digests: SHA-256 of the files by name.
    """

    folder: Path
    train: Sequence[Row]
    development: Sequence[Row]
    digests: dict[str, str]

    def stage_rows(self, stage: Stage, seed: int) -> list[Row]:
        """Return the rows of a stage in the order of the file, drawn where it wants fewer than there are.

        Raises:
            InputError: the corpus has no record of a kind that the stage wants.
        """
        chosen: set[int] = set()
        for kind, limit in stage.limits.items():
            having = [place for place, row in enumerate(self.train) if row["kind"] == kind]
            if not having:
                raise InputError(
                    f"{self.folder / 'train.jsonl'} has no record of kind {kind!r}, which stage {stage.name!r} learns from",
                    fix="build the corpus with that kind, or take it out of the stage's limits",
                )
            if limit != "all" and limit < len(having):
                having = random.Random(f"{seed}/{stage.name}/{kind}").sample(having, limit)
            chosen.update(having)
        return [self.train[place] for place in sorted(chosen)]

    def development_rows(self, stage: Stage, count: int) -> list[Row]:
        """Return the newest records of the development split of a stage's kinds, as many of each kind as of the others."""
        share = -(-count // len(stage.limits))
        kinds = {kind: [row for row in self.development if row["kind"] == kind][-share:] for kind in stage.limits}
        return [row for rows in kinds.values() for row in rows][:count]


def load_lora_corpus(folder: Path, recipe: LoraRecipe) -> LoraCorpus:
    """Read train.jsonl and development.jsonl of a folder that `ctiforge corpus build` wrote.

    Raises:
        InputError: a file is missing, is no JSON Lines, has other columns, or no row.
    """
    splits: dict[str, list[Row]] = {}
    digests: dict[str, str] = {}
    for split in ("train", "development"):
        file = folder / f"{split}.jsonl"
        if not file.is_file():
            raise InputError(f"{file}: there is no such file", fix="give a folder that `ctiforge corpus build` wrote")
        splits[split] = list(_rows(file, short=recipe.completions == "last-line"))
        digests[file.name] = file_sha256(file)
    if not splits["train"]:
        raise InputError(f"{folder / 'train.jsonl'} has no record", fix="build the corpus again")
    return LoraCorpus(folder, splits["train"], splits["development"], digests)


def _rows(file: Path, *, short: bool) -> Iterator[Row]:
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise InputError(f"{file}, line {number}: not JSON: {error}", fix="build the corpus again") from None
            absent = [name for name in _COLUMNS if not isinstance(record, dict) or not isinstance(record.get(name), str)]
            if absent:
                raise InputError(
                    f"{file}, line {number}: no text in {', '.join(absent)}",
                    fix="a training file has id, kind (rcm or qa), prompt and completion; see docs/corpus.md",
                )
            row = {name: record[name] for name in _COLUMNS}
            yield row | {"completion": last_line(row["completion"])} if short else row


def kinds_of(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many rows there are of each kind."""
    return dict(sorted(Counter(row["kind"] for row in rows).items()))
