"""The rows of a file of predictions, whatever its shape and compression; a fault is an `InputError` with its place."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import orjson

from ctiforge.bench.completion import Completion
from ctiforge.core.errors import InputError
from ctiforge.sources.compression import Expansion, StreamError, decompress, detect_compression, in_blocks

__all__ = ["PredictionRow", "PredictionTable", "read_prediction_file"]

_MAX_BYTES = 2**30
_SMALL_NUMBER = re.compile(r"\s*\d{1,9}\s*", re.ASCII)
_MAX_CELL = 2**26
_FIX = "give JSON Lines or CSV with the fields id and completion, a published predictions file, or a run folder"
_COMPLETION_FIELDS = frozenset(field.name for field in fields(Completion))
_FINISH_REASONS = ("stop", "length", "error")


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One prediction: where it stands, the id as given, and its text; all of the completion if the row is of a run folder."""

    place: str
    id: str
    text: str
    trial: int = 0
    finish_reason: str = "stop"
    completion: Completion | None = None


@dataclass(frozen=True, slots=True)
class PredictionTable:
    """The rows of a file. A ``run`` has `PredictionRow.completion` in every row."""

    shape: Literal["run", "jsonl", "csv"]
    rows: Sequence[PredictionRow]


def read_prediction_file(path: Path) -> PredictionTable | dict[str, Any]:
    """Return the rows of a file, or the document if it has ``subsets`` (the published shape).

    Raises:
        InputError: the file cannot be read, has no rows, or has one without what is needed.
    """
    data = _read(path).removeprefix(b"\xef\xbb\xbf")
    start = data.lstrip()[:1]
    if not start:
        raise InputError(f"{path}: the file is empty", fix=_FIX)
    if start == b"[":
        return _table(path, "jsonl", _json_array(path, data))
    if start != b"{":
        return _table(path, "csv", _csv_objects(path, data))
    document = _loads(data)
    if isinstance(document, dict) and "subsets" in document:
        return document
    objects = [("row 0 (line 1)", document)] if isinstance(document, dict) else list(_json_lines(path, data))
    if isinstance(objects[0][1], dict) and {"sample_id", "text"} <= objects[0][1].keys():
        return PredictionTable("run", [_run_row(path, place, item) for place, item in objects])
    return _table(path, "jsonl", iter(objects))


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        kind = detect_compression(data[:16])
        if kind is None or kind == "zip":
            return data
        return b"".join(decompress(in_blocks([data]), kind, Expansion(_MAX_BYTES, compressed=len(data))))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", fix="check the path and its permissions") from error
    except StreamError as error:
        raise InputError(f"{path}: {error.detail}", fix="fetch or write the file again") from error


def _loads(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _json_array(path: Path, data: bytes) -> Iterator[tuple[str, Any]]:
    document = _loads(data)
    if not isinstance(document, list):
        raise InputError(f"{path}: starts as a JSON array, but is not one", fix=_FIX)
    for number, item in enumerate(document):
        yield f"row {number}", item


def _json_lines(path: Path, data: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the objects of JSON Lines; half a line that a killed run left at the end is passed over."""
    lines = data.split(b"\n")
    number = 0
    for line_number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"row {number} (line {line_number})"
        item = _loads(line)
        if not isinstance(item, dict):
            if line_number == len(lines) and path.name == "completions.jsonl" and number:
                return
            raise InputError(f"{path}: {place} is not a JSON object", fix="put one JSON object on each line")
        yield place, item
        number += 1


def _csv_objects(path: Path, data: bytes) -> Iterator[tuple[str, Any]]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start:,} is not UTF-8", fix="save the table as UTF-8") from error
    header = text.partition("\n")[0]
    previous = csv.field_size_limit(_MAX_CELL)
    try:
        reader = csv.DictReader(
            io.StringIO(text, newline=""), delimiter="\t" if "\t" in header else ",", strict=True, restkey="\0more"
        )
        for number, row in enumerate(reader):
            place = f"row {number} (line {reader.line_num})"
            if "\0more" in row or None in row.values():
                raise InputError(
                    f"{path}: {place} has {'more' if chr(0) + 'more' in row else 'fewer'} cells than the header",
                    fix="put completions with commas or line ends in double quotes",
                )
            yield place, row
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: {error}", fix="write the table as RFC 4180 has it") from error
    finally:
        csv.field_size_limit(previous)


def _table(path: Path, shape: Literal["jsonl", "csv"], objects: Iterator[tuple[str, Any]]) -> PredictionTable:
    rows = [_row(path, place, item) for place, item in objects]
    if not rows:
        raise InputError(f"{path}: no predictions", fix=_FIX)
    return PredictionTable(shape, rows)


def _row(path: Path, place: str, item: Any) -> PredictionRow:
    if not isinstance(item, dict):
        raise InputError(f"{path}: {place} is not an object", fix=_FIX)
    missing = [name for name in ("id", "completion") if name not in item]
    if missing:
        has = ", ".join(str(name) for name in item)[:200] or "nothing"
        raise InputError(f"{path}: {place} has no {' and no '.join(missing)}; it has {has}", fix=_FIX)
    given, text = item["id"], item["completion"]
    if isinstance(given, bool) or not isinstance(given, str | int) or not str(given).strip():
        raise InputError(f"{path}: {place}: id is {given!r}", fix="give a sample's id, a row number from 0, a URL or a CVE ID")
    if not isinstance(text, str | None):
        raise InputError(
            f"{path}: {place}: completion is {type(text).__name__}, not text", fix="give the model's text as a string"
        )
    reason = item.get("finish_reason") or "stop"
    if reason not in _FINISH_REASONS:
        raise InputError(f"{path}: {place}: finish_reason is {reason!r}", fix=f"one of {', '.join(_FINISH_REASONS)}")
    return PredictionRow(place, str(given), text or "", _trial_number(path, place, item.get("trial")), reason)


def _trial_number(path: Path, place: str, given: Any) -> int:
    if given is None or given == "":
        return 0
    if isinstance(given, str) and _SMALL_NUMBER.fullmatch(given):
        given = int(given)
    if type(given) is not int or given < 0:
        raise InputError(f"{path}: {place}: trial is {given!r}", fix="number trials 0, 1, 2 ...")
    return given


def _run_row(path: Path, place: str, item: Mapping[str, Any]) -> PredictionRow:
    """Read one line of a run; fields of later versions are passed over."""
    ranked = item.get("ranked") or []
    sound = (
        all(isinstance(item.get(name), str) for name in ("task", "sample_id", "text", "finish_reason"))
        and all(type(item.get(name, 0)) is int and item.get(name, 0) >= 0 for name in ("trial", "permutation"))
        and all(isinstance(item.get(name), dict | None) for name in ("error", "choice_logprobs"))
        and isinstance(ranked, list)
        and all(isinstance(each, str) for each in ranked)
        and "trial" in item
    )
    if not sound:
        raise InputError(f"{path}: {place} is not a completion of a run", fix="remove the line and resume the run")
    known = {name: value for name, value in item.items() if name in _COMPLETION_FIELDS}
    completion = Completion(**(known | {"ranked": tuple(ranked)}))
    return PredictionRow(place, completion.sample_id, completion.text, completion.trial, completion.finish_reason, completion)
