"""Many small records in one file, read one at a time: JSON lines, and where each begins."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import orjson

__all__ = ["RecordFile", "write_records"]


def write_records(path: Path, records: Iterable[Any]) -> int:
    """Write records as JSON lines to `path`, and offsets (int64, one more than records) beside it; return how many there are.

    Dataclasses are written as objects. The file is not written atomically: it belongs into a folder that is.
    """
    offsets = [0]
    with open(path, "wb") as stream:
        for record in records:
            offsets.append(offsets[-1] + stream.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)))
    np.save(_offsets_of(path), np.array(offsets, dtype=np.int64), allow_pickle=False)
    return len(offsets) - 1


def _offsets_of(path: Path) -> Path:
    return path.with_suffix(".offsets.npy")


class RecordFile:
    """A file as `write_records` wrote it, mapped into memory; safe to read from several threads."""

    def __init__(self, path: Path) -> None:
        self._offsets = np.load(_offsets_of(path), allow_pickle=False)
        if path.stat().st_size != self._offsets[-1]:
            raise ValueError(f"{path.name} has another length than its offsets say")
        with open(path, "rb") as stream:
            self._bytes: mmap.mmap | bytes = (
                mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if self._offsets[-1] else b""
            )

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> Any:
        return orjson.loads(self._bytes[self._offsets[row] : self._offsets[row + 1]])
