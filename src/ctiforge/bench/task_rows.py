"""Rows of a task's file: TSV, CSV or JSON Lines in, cells with their place out; what cannot be used is an `InputError`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from ctiforge.core.errors import InputError, did_you_mean
from ctiforge.sources.lines import split_lines
from ctiforge.sources.tables import BadRow, Table, TableRow, split_rows

__all__ = ["Row", "RowFormat", "read_jsonl", "read_rows", "read_table"]

RowFormat = Literal["jsonl", "csv", "tsv"]

_MAX_ROW_BYTES = 64 * 2**20
_BOM = b"\xef\xbb\xbf"
_NOT_NAME = re.compile(r"[\W_]+")


def _same_name(name: str) -> str:
    """``Option A``, ``option_a`` and ``optionA`` are one column."""
    return _NOT_NAME.sub("", name).casefold()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a task's file.

    Attributes:
        number: from 0, blank lines not counted; the number in a sample's id.
        line: from 1, where the row starts in the file.
        cells: by column name, as the file has them; any JSON value for JSON Lines, else text.
    """

    path: Path
    number: int
    line: int
    cells: Mapping[str, Any]

    def value(self, *names: str) -> Any:
        """Return the first cell under one of `names` that is not null or blank, else None; spelling variants are one name."""
        by_name = {_same_name(name): value for name, value in self.cells.items()}
        for name in names:
            found = self.cells.get(name, by_name.get(_same_name(name)))
            if found is not None and not (isinstance(found, str) and not found.strip()):
                return found
        return None

    def optional(self, *names: str) -> str:
        """Return the first cell under one of `names` as text, unchanged; empty if there is none.

        Raises:
            InputError: the cell is a list, an object or a truth value.
        """
        found = self.value(*names)
        if found is None:
            return ""
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            raise self.fault(f"{names[0]!r} is {_kind(found)}, where text is needed")
        return str(found)

    def text(self, *names: str) -> str:
        """Return the same as `optional` where there must be something.

        Raises:
            InputError: there is nothing, or no text.
        """
        found = self.optional(*names)
        if not found:
            has = ", ".join(self.cells) or "nothing"
            raise self.fault(f"{names[0]!r} is missing or empty (the row has {has[:200]})")
        return found

    def fault(self, reason: str, fix: str = "correct or remove the row") -> InputError:
        """Return an error that names the file and the row."""
        return InputError(f"{self.path}: row {self.number} (line {self.line}): {reason}", fix=fix)


def read_rows(path: Path, format_: RowFormat, required: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of a file; `required` columns must be there (in JSON Lines: in the first row).

    Raises:
        InputError: the file cannot be read, is not UTF-8, has no rows, lacks a column, or has a row that cannot be read.
    """
    if format_ == "jsonl":
        return read_jsonl(path, required)
    return read_table(path, required, delimiter="," if format_ == "csv" else "\t")


def read_table(path: Path, required: Sequence[str] = (), *, delimiter: str = "\t") -> Iterator[Row]:
    """Yield the rows of a table with a header, quoted as RFC 4180 has it or not at all, as CTI-Bench's files are.

    Cells stay the text that they are: an option called ``None`` or ``nan`` is no missing value.

    Raises:
        InputError: as `read_rows` says.
    """
    data = _read_utf8(path)
    table = Table(delimiter, "tsv" if delimiter == "\t" else "csv")
    number = 0
    for item in split_rows(split_lines([data], _MAX_ROW_BYTES), table, _MAX_ROW_BYTES):
        if isinstance(item, TableRow):
            yield Row(path, number, item.line, item.cells)
            number += 1
        elif isinstance(item, BadRow):
            raise Row(path, number, item.line, {}).fault(item.detail)
        else:
            _check_columns(path, item, required)
    if not number:
        raise InputError(f"{path}: no rows", fix="give a table with a header line and a row for each item")


def read_jsonl(path: Path, required: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of a file with one JSON object a line.

    Raises:
        InputError: as `read_rows` says.
    """
    number = 0
    for line, text in enumerate(_read_utf8(path).split(b"\n"), start=1):
        if not text.strip():
            continue
        row = Row(path, number, line, {})
        try:
            cells = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise row.fault(f"not JSON: {error.msg}") from None
        if not isinstance(cells, dict):
            raise row.fault(f"{_kind(cells)}, where an object is needed", fix="put one JSON object on each line")
        if not number:
            _check_columns(path, list(cells), required)
        yield Row(path, number, line, cells)
        number += 1
    if not number:
        raise InputError(f"{path}: no rows", fix="put one JSON object for each item on a line of its own")


def _read_utf8(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", fix="name a file that can be read") from None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line} is not UTF-8 ({error.reason})", fix="save the file as UTF-8") from None
    return data.removeprefix(_BOM)


def _check_columns(path: Path, names: Sequence[str], required: Sequence[str]) -> None:
    known = {_same_name(name) for name in names}
    missing = [name for name in required if _same_name(name) not in known]
    if missing:
        hints = [hint for name in missing if (hint := did_you_mean(name, names))]
        raise InputError(
            f"{path}: no column {', '.join(map(repr, missing))} among {', '.join(map(repr, names))[:300]}",
            fix=hints[0] if hints else "give a file that has the columns of this task; see docs/benchmark-tasks.md",
        )


def _kind(value: object) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", bool: "true or false", str: "text", type(None): "null"}
    return names.get(type(value), "a number")
