"""Rows of CSV and TSV in bounded memory, with quoted line feeds, and a way back after a quote that never closes.

Quoting follows RFC 4180, with two liberties that real files need: a field that starts with a quote but does not end with one
is taken literally (``"Foo" allows ...`` in an unquoted TSV file), and spaces before an opening quote are ignored.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ctiforge.core.advisory import RejectReason
from ctiforge.sources.encodings import NUL_NOTE, decode_repairing
from ctiforge.sources.generic import choose_columns
from ctiforge.sources.kev import KEV_COLUMNS
from ctiforge.sources.lines import LongLine
from ctiforge.sources.options import FieldMap

__all__ = ["MAX_ROW_LINES", "BadRow", "Table", "TableRow", "sniff_table", "split_cells", "split_rows"]

MAX_ROW_LINES = 10_000
"""A quoted field over more lines than this counts as one that was never closed."""

_DELIMITERS = "\t,;|"
_INSIDE_QUOTES = re.compile(r'[^"]*+(?:""[^"]*+)*+')
_MAX_NAME = 80


@dataclass(frozen=True, slots=True)
class Table:
    """How a table is written: its delimiter and its format name (``csv``, ``tsv`` or ``kev``)."""

    delimiter: str
    format: Literal["csv", "tsv", "kev"]


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: 1-based line of its start, cells by column name, and notes on repairs."""

    line: int
    cells: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line that is not a row of the table."""

    line: int
    reason: RejectReason
    detail: str
    data: bytes


class _RowParser:
    """Cells of one row, fed line by line, so that a field of many lines costs no more than its length."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self.cells: list[str] = []
        self._open: list[str] | None = None

    def feed(self, text: str) -> Literal["done", "open", "broken"]:
        place = 0
        if self._open is not None:
            match = _INSIDE_QUOTES.match(text)
            end = match.end() if match else 0
            self._open += ["\n", text[:end]]
            if end == len(text):
                return "open"
            place = end + 1
            if place < len(text) and text[place] != self.delimiter:
                return "broken"
            self.cells.append("".join(self._open).replace('""', '"'))
            self._open = None
            if place == len(text):
                return "done"
            place += 1
        return self._rest(text, place)

    def _rest(self, text: str, place: int) -> Literal["done", "open"]:
        while True:
            quote = place
            while text.startswith(" ", quote):
                quote += 1
            if text.startswith('"', quote):
                match = _INSIDE_QUOTES.match(text, quote + 1)
                end = match.end() if match else quote + 1
                if end == len(text):
                    self._open = [text[quote + 1 :]]
                    return "open"
                if end + 1 == len(text) or text[end + 1] == self.delimiter:
                    self.cells.append(text[quote + 1 : end].replace('""', '"'))
                    if end + 1 == len(text):
                        return "done"
                    place = end + 2
                    continue
            following = text.find(self.delimiter, place)
            if following < 0:
                self.cells.append(text[place:])
                return "done"
            self.cells.append(text[place:following])
            place = following + 1


def split_cells(text: str, delimiter: str) -> list[str] | None:
    """Return the cells of one line, or None where a quoted field stays open."""
    if '"' not in text:
        return text.split(delimiter)
    parser = _RowParser(delimiter)
    return parser.cells if parser.feed(text) == "done" else None


def sniff_table(
    head: str, *, field_map: FieldMap | None, forced: Literal["csv", "tsv", "kev"] | None, hinted: bool
) -> Table | None:
    """Tell from the start of a text whether it is a table, by a first line that names columns.

    A line is a header when it names a column of `field_map`, or columns that usually hold an identifier and a text. Where
    neither is so, `forced` (the user's ``--format``) or `hinted` (the file's name ends in .csv or .tsv, and rows agree in
    length) makes it a table, whose missing columns are then reported.
    """
    lines = [line.rstrip("\r") for line in head.split("\n") if line.strip()][:20]
    if not lines:
        return None
    delimiters = "\t" if forced == "tsv" else _DELIMITERS
    for delimiter in delimiters:
        names = [name.strip() for name in split_cells(lines[0], delimiter) or []]
        if len(names) < 2 or any(len(name) > _MAX_NAME for name in names):
            continue
        if set(names) >= KEV_COLUMNS:
            return Table(delimiter, "kev")
        chosen = choose_columns(names)
        mapped = field_map is not None and not set(field_map.fields.values()).isdisjoint(names)
        if mapped or ("id" in chosen and ("description" in chosen or "title" in chosen)):
            return Table(delimiter, "tsv" if delimiter == "\t" else "csv")
    if forced:
        fallback = max(delimiters, key=lines[0].count) if any(d in lines[0] for d in delimiters) else ","
        return Table("\t" if forced == "tsv" else fallback, "tsv" if forced == "tsv" else "csv")
    if hinted:
        for delimiter in delimiters:
            widths = {len(cells) for line in lines[:-1] or lines if (cells := split_cells(line, delimiter))}
            if len(widths) == 1 and widths.pop() > 1:
                return Table(delimiter, "tsv" if delimiter == "\t" else "csv")
    return None


class _NumberedLines:
    """Lines with their numbers, some of which can be put back."""

    def __init__(self, lines: Iterable[bytes | LongLine]) -> None:
        self._lines = enumerate(lines, 1)
        self._returned: deque[tuple[int, bytes | LongLine]] = deque()

    def take(self) -> tuple[int, bytes | LongLine] | None:
        return self._returned.popleft() if self._returned else next(self._lines, None)

    def put_back(self, lines: list[tuple[int, bytes | LongLine]]) -> None:
        self._returned.extendleft(reversed(lines))


def split_rows(
    lines: Iterable[bytes | LongLine], table: Table, max_bytes: int, field_map: FieldMap | None = None
) -> Iterator[list[str] | TableRow | BadRow]:
    """Yield the header as a list of names, then each row.

    A row that does not close, or has another number of cells than the header, costs its first line only: reading goes on at
    the next line. Cells that hold nothing we read may be left out at the end, and empty ones added. Blank lines are no rows.
    """
    source = _NumberedLines(lines)
    header: list[str] | None = None
    needed = 0
    while (item := source.take()) is not None:
        number, line = item
        if isinstance(line, LongLine):
            yield BadRow(number, "too_large", f"the line has {line.length:,} bytes, more than {max_bytes:,}", line.start)
            continue
        text, notes = _decode(line)
        if not text.strip():
            continue
        cells = text.split(table.delimiter) if '"' not in text else None
        held: list[tuple[int, bytes | LongLine]] = []
        if cells is None:
            cells, more = _gather(source, text, table.delimiter, max_bytes, held)
            notes += tuple(note for note in more if note not in notes)
        if header is None:
            header = [name.strip() for name in (cells or text.split(table.delimiter))]
            needed = _needed_width(header, table, field_map)
            yield header
            continue
        fitted = _fit(cells, header, needed)
        if fitted is None:
            source.put_back(held)
            literal = text.split(table.delimiter)
            fitted = literal if len(literal) == len(header) and '"' in text else None
        if fitted is None:
            count = "a quoted cell that does not close" if cells is None else f"{len(cells)} cells"
            yield BadRow(number, "malformed_row", f"{count}, where the header has {len(header)} columns", line)
        else:
            yield TableRow(number, dict(zip(header, fitted, strict=True)), notes)


def _decode(line: bytes) -> tuple[str, tuple[str, ...]]:
    text, notes = decode_repairing(line)
    if "\0" in text:
        text, notes = text.replace("\0", ""), (*notes, NUL_NOTE)
    return text.rstrip("\r"), notes


def _gather(
    source: _NumberedLines, text: str, delimiter: str, max_bytes: int, held: list[tuple[int, bytes | LongLine]]
) -> tuple[list[str] | None, set[str]]:
    """Return the cells of a row that has quotes, taking more lines while a cell is open; `held` receives those lines."""
    parser = _RowParser(delimiter)
    state = parser.feed(text)
    size, notes = len(text), set[str]()
    while state == "open":
        item = source.take()
        if item is None:
            break
        held.append(item)
        line = item[1]
        size += line.length if isinstance(line, LongLine) else len(line)
        if isinstance(line, LongLine) or size > max_bytes or len(held) > MAX_ROW_LINES:
            break
        following, more = _decode(line)
        notes.update(more)
        state = parser.feed(following)
    if state == "done":
        return parser.cells, notes
    source.put_back(held)
    held.clear()
    return None, set()


def _needed_width(header: list[str], table: Table, field_map: FieldMap | None) -> int:
    used = KEV_COLUMNS if table.format == "kev" else set((field_map.fields if field_map else choose_columns(header)).values())
    return max((place + 1 for place, name in enumerate(header) if name in used), default=1)


def _fit(cells: list[str] | None, header: list[str], needed: int) -> list[str] | None:
    if cells is None or len(cells) < needed or any(cell.strip() for cell in cells[len(header) :]):
        return None
    return cells[: len(header)] + [""] * (len(header) - len(cells))
