"""Rows of data files as they come: JSON Lines, JSON, CSV, TSV and Parquet, compressed or not; faults name file, row, fix."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import orjson

from ctiforge.core.advisory import Reject
from ctiforge.core.errors import InputError, MissingExtraError
from ctiforge.sources.compression import StreamError
from ctiforge.sources.encodings import to_utf8
from ctiforge.sources.json_split import split_json
from ctiforge.sources.lines import LongLine, split_lines
from ctiforge.sources.options import ReadOptions
from ctiforge.sources.streams import HEAD_BYTES, ByteStream, open_streams, peek
from ctiforge.sources.tables import BadRow, Table, TableRow, split_rows
from ctiforge.sources.walk import find_files

__all__ = ["DATA_SUFFIXES", "FileRow", "data_files", "read_file_rows"]

DATA_SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_COMPRESSED: Final = (".gz", ".xz", ".bz2", ".zst", ".zip")
_OPTIONS: Final = ReadOptions()
_PARQUET_MAGIC: Final = b"PAR1"
_PARQUET_ROWS = 4096
_REPAIR = "correct or remove the row, or leave out rows that cannot be read: --skip-unreadable"


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row.

    Attributes:
        path: the file as the user named it; `number`: of the row in the file, from 1, blank lines not counted.
        line: on which it starts, from 1; 0 where the format has no lines.
        cells: by column name; any JSON value, text for tables.
        fault: why the row cannot be read, empty if it can; `cells` are then empty.
    """

    path: str
    number: int
    line: int
    cells: Mapping[str, Any]
    fault: str = ""

    def error(self, reason: str, fix: str = _REPAIR) -> InputError:
        """Return an error that names the file and the row."""
        where = f"row {self.number}" + (f" (line {self.line})" if self.line else "")
        return InputError(f"{self.path}: {where}: {reason}", fix=fix)


def data_files(path: Path) -> list[Path]:
    """Return `path` if it is a file, or the data files under it, known by their names' endings, sorted.

    Raises:
        InputError: there is no such path, or no data file under it.
    """
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"{path}: no such file or folder", fix="name a file or folder that exists")
        return [path]
    found = [each for each in sorted(path.rglob("*")) if each.is_file() and _is_data(each.name)]
    if not found:
        raise InputError(f"{path}: no data files in it", fix=f"name a file, or a folder with {', '.join(DATA_SUFFIXES)} files")
    return found


def _is_data(name: str) -> bool:
    low = name.lower()
    for suffix in _COMPRESSED:
        low = low.removesuffix(suffix)
    return low.endswith(DATA_SUFFIXES) and not low.startswith(".")


def read_file_rows(path: str | os.PathLike[str]) -> Iterator[FileRow]:
    """Yield the rows of one file in order; rows that cannot be read come with their fault.

    JSON may be an array of objects, or an object with one array of objects. Parquet needs pyarrow.

    Raises:
        InputError: the file cannot be opened or expanded, is damaged, or is of no known format.
        MissingExtraError: a Parquet file, and pyarrow is not installed.
    """
    name = os.fspath(path)
    for found in find_files([name]):
        if isinstance(found, Reject):
            raise InputError(f"{name}: {found.detail}", fix="name a file that can be read")
        for stream in open_streams(found, _OPTIONS, None):
            if stream.head.startswith(_PARQUET_MAGIC):
                yield from _read_parquet(name)
                continue
            yield from _read_stream(name, stream)
            if stream.trouble:
                raise InputError(f"{name}: {stream.trouble[0].detail}", fix="get the file again; what it holds is not complete")


def _read_stream(name: str, stream: ByteStream) -> Iterator[FileRow]:
    head, blocks = peek(to_utf8(stream.head[:4], _guarded(stream)), HEAD_BYTES)
    start = head.lstrip()
    low = (stream.member or name).lower()
    for suffix in _COMPRESSED:
        low = low.removesuffix(suffix)
    if not start:
        raise InputError(f"{name}: empty, nothing to read", fix="name a file with rows")
    if start[:1] == b"[":
        yield from _read_array(name, blocks)
    elif start[:1] == b"{":
        first = start.split(b"\n", 1)[0]
        whole = not low.endswith((".jsonl", ".ndjson")) and not _is_object(first)
        yield from _read_document(name, blocks) if whole else _read_lines(name, blocks)
    elif low.endswith((".tsv", ".csv", ".txt")) or b"\t" in start.split(b"\n", 1)[0]:
        header = start.split(b"\n", 1)[0]
        yield from _read_table(name, blocks, "\t" if low.endswith(".tsv") or b"\t" in header else _delimiter(header))
    elif low.endswith((".jsonl", ".ndjson")):
        yield from _read_lines(name, blocks)
    else:
        raise InputError(
            f"{name}: neither JSON nor a table nor Parquet", fix=f"give a file of one of {', '.join(DATA_SUFFIXES)}"
        )


def _guarded(stream: ByteStream) -> Iterator[bytes]:
    try:
        yield from stream.blocks
    except StreamError as error:
        stream.trouble.append(error)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _delimiter(header: bytes) -> str:
    return max(",;|", key=lambda each: header.count(each.encode()))


def _read_lines(name: str, blocks: Iterable[bytes]) -> Iterator[FileRow]:
    number = 0
    for line, data in enumerate(split_lines(blocks, _OPTIONS.max_record_bytes), 1):
        if isinstance(data, bytes) and (not data or data.isspace()):
            continue
        number += 1
        if isinstance(data, LongLine):
            yield FileRow(name, number, line, {}, f"{data.length:,} bytes, more than {_OPTIONS.max_record_bytes:,}")
        else:
            yield _row_of(name, number, line, data)


def _row_of(name: str, number: int, line: int, data: bytes) -> FileRow:
    try:
        cells = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            data.decode()
        except UnicodeDecodeError as bad:
            return FileRow(name, number, line, {}, f"not UTF-8 (byte {bad.start}: {bad.reason}); save the file as UTF-8")
        return FileRow(name, number, line, {}, f"not JSON: {error.msg}")
    if not isinstance(cells, dict):
        return FileRow(name, number, line, {}, "not an object; every row must be {...} with named columns")
    return FileRow(name, number, line, cells)


def _read_array(name: str, blocks: Iterable[bytes]) -> Iterator[FileRow]:
    number = 0
    for number, piece in enumerate(split_json(blocks, _OPTIONS.max_record_bytes), 1):
        if piece.kind == "record":
            yield _row_of(name, number, piece.line, piece.data)
        else:
            yield FileRow(name, number, piece.line, {}, f"damaged JSON ({piece.kind.replace('_', ' ')})")


def _read_document(name: str, blocks: Iterable[bytes]) -> Iterator[FileRow]:
    try:
        document = orjson.loads(b"".join(blocks))
    except orjson.JSONDecodeError as error:
        raise InputError(f"{name}: not JSON: {error.msg}", fix="correct the file, or give JSON Lines") from None
    lists = {key: value for key, value in document.items() if isinstance(value, list) and value and isinstance(value[0], dict)}
    if len(lists) > 1:
        raise InputError(f"{name}: several lists of records: {', '.join(lists)}", fix="save the one you mean by itself")
    for number, cells in enumerate(next(iter(lists.values()), [document]), 1):
        fault = "" if isinstance(cells, dict) else "not an object"
        yield FileRow(name, number, 0, cells if not fault else {}, fault)


def _read_table(name: str, blocks: Iterable[bytes], delimiter: str) -> Iterator[FileRow]:
    table = Table(delimiter, "tsv" if delimiter == "\t" else "csv")
    number = 0
    for item in split_rows(split_lines(blocks, _OPTIONS.max_record_bytes), table, _OPTIONS.max_record_bytes):
        if isinstance(item, TableRow):
            number += 1
            notes = "; ".join(item.notes)
            yield FileRow(name, number, item.line, {} if notes else item.cells, f"{notes}; save it as UTF-8" if notes else "")
        elif isinstance(item, BadRow):
            number += 1
            yield FileRow(name, number, item.line, {}, item.detail)


def _read_parquet(name: str) -> Iterator[FileRow]:
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError("pyarrow", "corpus") from None
    number = 0
    try:
        for batch in parquet.ParquetFile(name).iter_batches(batch_size=_PARQUET_ROWS):
            for cells in batch.to_pylist():
                number += 1
                yield FileRow(name, number, 0, cells)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{name}: row {number + 1}: damaged Parquet: {error}", fix="get the file again") from None
