"""Corpus records and rejections as lines of JSON, one spelling for equal values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ctiforge.corpus.record import CorpusRecord

__all__ = ["Rejection", "decode_record", "encode_line", "read_lines", "reject_record"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Something that left, and why.

    Attributes:
        stage, reason: codes; `detail` says it for a person.
        id: of the record, empty where it had none yet; `source_id`, `source`: see `CorpusRecord`.
        excerpt: at most 200 characters of the text.
    """

    stage: str
    reason: str
    detail: str
    id: str = ""
    source_id: str = ""
    source: str = ""
    excerpt: str = ""


def reject_record(record: CorpusRecord, stage: str, reason: str, detail: str) -> Rejection:
    """Return the rejection of a record."""
    return Rejection(stage, reason, detail, record.id, record.source_id, record.source, record.text[:200])


def encode_line(value: CorpusRecord | Rejection | Mapping[str, Any]) -> bytes:
    """Return a value as one line of JSON, keys sorted."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def decode_record(line: bytes) -> CorpusRecord:
    """Return the record of a line that `encode_line` made."""
    fields = orjson.loads(line)
    fields["steps"] = tuple(fields["steps"])
    return CorpusRecord(**fields)


def read_lines(paths: Iterable[Path]) -> Iterator[bytes]:
    """Yield the lines of files compressed with Zstandard, file by file."""
    import io

    import zstandard

    for path in paths:
        with zstandard.open(path, "rb") as stream:
            yield from io.BufferedReader(stream, 1 << 20)
