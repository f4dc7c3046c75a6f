"""Benchmark files in, items with what may be recognised of them out: text, options, CVE IDs, source object."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256
from ctiforge.core.ids import find_cve_ids
from ctiforge.core.object_ids import find_object_ids, object_of_url
from ctiforge.corpus.contamination.choices import find_choices
from ctiforge.corpus.contamination.instructions import Instructions, all_instructions
from ctiforge.corpus.rows import FileRow, data_files, read_file_rows
from ctiforge.sources.benchmark_pins import BENCHMARK_PINS

__all__ = ["BenchmarkFile", "BenchmarkItem", "Benchmarks", "load_benchmarks"]

_TEXT_COLUMNS: Final = ("description", "question", "text", "report", "passage", "input", "prompt", "instruction", "messages")
_ID_COLUMNS: Final = ("url", "source", "sourceid", "link", "reference", "id", "cve", "cveid")
_OPTION_COLUMNS: Final = ("options", "choices", "answeroptions")


@dataclass(frozen=True, slots=True)
class BenchmarkItem:
    """One item.

    Attributes:
        file: name of its file; `item_id`: file's name without endings and the row from 0, as ``cti-rcm/0017``.
        text: description, question or report, without instruction and options.
        options: option texts in order, for multiple choice.
        cve_ids: those that its address or ID names; `source_object`: the ATT&CK, CWE or CAPEC object likewise, or empty.
    """

    file: str
    item_id: str
    text: str
    options: tuple[str, ...] = ()
    cve_ids: frozenset[str] = frozenset()
    source_object: str = ""


@dataclass(frozen=True, slots=True)
class BenchmarkFile:
    """One file that was read.

    Attributes:
        pin: ``matches`` or ``differs`` from the published digest, or ``none`` where none is known.
        text_column: the column that items are compared by.
    """

    name: str
    sha256: str
    items: int
    pin: str
    text_column: str


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """Items of all files, and their files.

    Attributes:
        instructions: what the benchmarks' own prompts share.
        skipped: files of a folder that hold no benchmark, with the reason.
    """

    items: Sequence[BenchmarkItem]
    files: Sequence[BenchmarkFile]
    instructions: Instructions = field(default_factory=Instructions)
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def cve_ids(self) -> frozenset[str]:
        """The CVE IDs of all items."""
        return frozenset(cve_id for item in self.items for cve_id in item.cve_ids)


def load_benchmarks(paths: Iterable[str | os.PathLike[str]], *, allow_changed: bool = False) -> Benchmarks:
    """Read benchmark files, or folders of them, known by their columns (Description, Question, Text or Prompt; case is free).

    A file that has the name of a published one must be that file byte for byte, since a shortened benchmark finds less; a
    folder's other files are skipped if they hold no texts. An item listed twice is two items.

    Args:
        allow_changed: take a file that differs from its pin; `BenchmarkFile.pin` then says so.

    Raises:
        InputError: a file is missing, unreadable, without a text column or with an empty text, or not what its pin says.
    """
    items: list[BenchmarkItem] = []
    files: list[BenchmarkFile] = []
    prompts: list[list[str]] = []
    skipped: dict[str, str] = {}
    given = [Path(path) for path in paths]
    for path in given:
        for file in data_files(path):
            rows = _rows(file, skipped, in_folder=path.is_dir())
            if not rows:
                continue
            name = file.name if file.name not in {each.name for each in files} else str(file)
            read, column = _items(rows, name)
            files.append(
                BenchmarkFile(name, (digest := file_sha256(file)), len(read), _pin(file, digest, allow_changed), column)
            )
            items += read
            if column != "prompt":
                prompts.append([prompt for row in rows if isinstance(prompt := _columns(row.cells).get("prompt"), str)])
    if not items:
        where = ", ".join(map(str, given)) or "no path"
        raise InputError(f"{where}: no benchmark items", fix="name TSV, CSV, JSON or Parquet files with a column of texts")
    return Benchmarks(tuple(items), tuple(files), all_instructions(prompts), skipped)


def _pin(path: Path, digest: str, allow_changed: bool) -> str:
    pinned = BENCHMARK_PINS.get(path.name)
    if pinned is None or pinned == digest:
        return "matches" if pinned else "none"
    if not allow_changed:
        raise InputError(
            f"{path}: not the published {path.name}: its SHA-256 is {digest}, the pinned one {pinned}",
            fix="fetch it again (ctiforge bench fetch), rename it if it is another one, or take it as it is: --allow-changed",
        )
    return "differs"


def _rows(path: Path, skipped: dict[str, str], *, in_folder: bool) -> list[FileRow]:
    rows = []
    try:
        for row in read_file_rows(path):
            if row.fault:
                raise row.error(row.fault, "correct the row: an item that is not read is not looked for")
            rows.append(row)
    except InputError as error:
        if path.name in BENCHMARK_PINS or rows or not in_folder:
            raise
        skipped[path.name] = error.message
        return []
    if not rows:
        if not in_folder:
            raise InputError(f"{path}: no rows", fix="name a file with one item a row")
        skipped[path.name] = "no rows"
    elif _text_column(rows[0].cells) is None:
        reason = f"no column of texts among {', '.join(rows[0].cells)[:200]}"
        if not in_folder:
            raise rows[0].error(reason, f"name a column one of {', '.join(_TEXT_COLUMNS)}")
        skipped[path.name] = reason
        return []
    return rows


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def _columns(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {_plain(name): value for name, value in cells.items()}


def _text_column(cells: Mapping[str, Any]) -> str | None:
    columns = _columns(cells)
    return next((name for name in _TEXT_COLUMNS if name in columns), None)


def _items(rows: Sequence[FileRow], file: str) -> tuple[list[BenchmarkItem], str]:
    column = _text_column(rows[0].cells) or ""
    stem = file.split(".")[0]
    found: list[BenchmarkItem] = []
    texts = [_text(row, column) for row in rows]
    instructions = all_instructions([texts]) if column in ("prompt", "messages", "instruction", "input") else None
    for row, text in zip(rows, texts, strict=True):
        columns = _columns(row.cells)
        options = _options(columns)
        bare = instructions.remove_from(text) if instructions else text
        if not options and (choices := find_choices(bare)):
            bare, options = choices.question, choices.options
        address = " ".join(str(columns[name]) for name in _ID_COLUMNS if isinstance(columns.get(name), str | int))
        named = object_of_url(address) or next(iter(find_object_ids(address)), "")
        item_id = f"{stem}/{row.number - 1:04d}"
        found.append(BenchmarkItem(file, item_id, bare.strip(), options, frozenset(find_cve_ids(address)), named))
    return found, column


def _text(row: FileRow, column: str) -> str:
    value = _columns(row.cells).get(column)
    if isinstance(value, list):
        value = "\n".join(str(turn.get("content") or turn.get("value") or "") for turn in value if isinstance(turn, dict))
    if not isinstance(value, str) or not value.strip():
        raise row.error(f"{column!r} is empty or no text", "correct the row: an item without text cannot be looked for")
    return value


def _options(columns: Mapping[str, Any]) -> tuple[str, ...]:
    lettered = [columns[name] for letter in "abcdefghij" if (name := f"option{letter}") in columns]
    for name in _OPTION_COLUMNS:
        value = columns.get(name)
        if isinstance(value, dict):
            lettered = list(value.values())
        elif isinstance(value, list):
            lettered = [each.get("text") if isinstance(each, dict) else each for each in value]
    return tuple(str(option).strip() for option in lettered if option is not None and str(option).strip())
