"""Reading the results in a run folder: ``record.json`` and ``scores.jsonl``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final, get_args

import orjson

from ctiforge.bench.completion import Outcome, ScoredItem
from ctiforge.bench.records import load_record
from ctiforge.core.errors import InputError

__all__ = ["WRITE_ANEW", "SavedRun", "load_run", "read_scores"]

WRITE_ANEW: Final = "repeat the `ctiforge bench run` that made the folder: nothing is asked twice, both files are written anew"
_OUTCOMES: Final = get_args(Outcome)
_FIELDS: Final = {field.name for field in fields(ScoredItem)}
_NEEDED: Final = {field.name for field in fields(ScoredItem) if field.default is MISSING and field.default_factory is MISSING}
_STRINGS: Final = ("task", "sample_id", "target")
_WHOLE: Final = ("trial", "permutation")


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A run folder's record, and its scored items in the order of the file."""

    folder: Path
    record: Mapping[str, Any]
    scores: Sequence[ScoredItem]


def load_run(folder: str | os.PathLike[str]) -> SavedRun:
    """Return the results in a run folder.

    Raises:
        InputError: see `load_record` and `read_scores`.
    """
    path = Path(folder) / "record.json"
    _read(path)  # the folder, not any record, so that its scores are beside it
    return SavedRun(Path(folder), load_record(path), read_scores(folder))


def read_scores(folder: str | os.PathLike[str]) -> list[ScoredItem]:
    """Return the scored items of a run folder, in the order of the file.

    Raises:
        InputError: there is no file of them, a line is no scored item, or an item is there twice.
    """
    path = Path(folder) / "scores.jsonl"
    items: list[ScoredItem] = []
    seen: dict[tuple[str, str, int, int], int] = {}
    for number, line in enumerate(_read(path).split(b"\n"), 1):
        if not line.strip():
            continue
        item = _scored_item(line, f"{path}:{number}")
        key = (item.task, item.sample_id, item.trial, item.permutation)
        if key in seen:
            raise InputError(
                f"{path}:{number}: {item.sample_id} of trial {item.trial} is on line {seen[key]} already",
                fix=WRITE_ANEW,
            )
        seen[key] = number
        items.append(item)
    return items


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        missing = "no such folder" if not path.parent.is_dir() else f"there is no {path.name} in this folder"
        raise InputError(
            f"{path.parent}: {missing}", fix="name the folder of a finished run: ctiforge bench run makes one"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", fix="check the path and its permissions") from error


def _scored_item(line: bytes, place: str) -> ScoredItem:
    fix = WRITE_ANEW
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{place}: not JSON: {error}", fix=fix) from error
    if not isinstance(data, dict):
        raise InputError(f"{place}: not a JSON object", fix=fix)
    if missing := sorted(_NEEDED - data.keys()):
        raise InputError(f"{place}: a scored item without {', '.join(missing)}", fix=fix)
    if unknown := sorted(data.keys() - _FIELDS):
        raise InputError(f"{place}: a scored item with {', '.join(unknown)}, which this version does not know", fix=fix)
    if fault := _fault(data):
        raise InputError(f"{place}: {fault}", fix=fix)
    return ScoredItem(**(data | {"ranked": tuple(data.get("ranked") or ())}))


def _fault(data: Mapping[str, Any]) -> str:
    """Say what is wrong with the values of a scored item, empty if nothing."""
    for name in _STRINGS:
        if not isinstance(data[name], str):
            return f"{name} is {data[name]!r}, not a text"
    for name in _WHOLE:
        if type(value := data.get(name, 0)) is not int or value < 0:
            return f"{name} is {value!r}, not a whole number from 0"
    for name in ("value", "confidence"):
        if (value := data.get(name)) is not None and type(value) not in (int, float):
            return f"{name} is {value!r}, not a number"
    if data["outcome"] not in _OUTCOMES:
        return f"outcome is {data['outcome']!r}, none of {', '.join(_OUTCOMES)}"
    if not isinstance(data.get("answer"), str | None):
        return f"answer is {data['answer']!r}, not a text"
    ranked = data.get("ranked") or []
    if not isinstance(ranked, list) or not all(isinstance(each, str) for each in ranked):
        return f"ranked is {ranked!r}, not a list of texts"
    return ""
