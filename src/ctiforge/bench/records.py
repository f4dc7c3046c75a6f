"""Benchmark records as reports take them: read, and checked before anything is made of them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from ctiforge.core.errors import InputError

__all__ = ["RECORD_FORMAT", "Record", "check_record", "check_records", "load_record"]

Record = Mapping[str, Any]
"""A ``record.json``."""

RECORD_FORMAT: Final = "ctiforge-benchmark/1"
_VERSION: Final = 1
_FORMAT: Final = re.compile(r"ctiforge-benchmark/(\d{1,9})")
_MAKE_ONE: Final = "give a record.json, or the folder of a run, made by `ctiforge bench run` or `ctiforge bench rescore`"
_PARTS: Final[dict[str, type | tuple[type, ...]]] = {
    "model": dict,
    "protocol": dict,
    "tasks": list,
    "complete": bool,
    "environment": dict,
}
_TASK_PARTS: Final[dict[str, type | tuple[type, ...]]] = {
    "task": str,
    "answer_kind": str,
    "n": int,
    "rule": str,
    "trials": list,
    "accuracy": (dict, type(None)),
    "metrics": dict,
    "sensitivity": list,
}
_TRIAL_PARTS: Final[dict[str, type | tuple[type, ...]]] = {"trial": int, "valid": bool, "counts": dict}
_RULE_PARTS: Final[dict[str, type | tuple[type, ...]]] = {"rule": str}


def load_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the checked record of a run folder or a ``record.json``.

    Raises:
        InputError: there is none, it is not JSON, or `check_record` refuses it.
    """
    file = Path(path)
    file = file / "record.json" if file.is_dir() else file
    try:
        record = orjson.loads(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}", fix=_MAKE_ONE) from None
    except ValueError as error:
        raise InputError(f"{file}: not JSON: {error}", fix=_MAKE_ONE) from None
    return dict(check_record(record, str(file)))


def check_records(records: Sequence[Record]) -> tuple[Record, ...]:
    """Return the records, each checked.

    Raises:
        InputError: there is none, or one is not usable.
    """
    if not records:
        raise InputError("there is no record to report", fix=_MAKE_ONE)
    return tuple(check_record(record, f"record {number}") for number, record in enumerate(records, 1))


def check_record(record: Any, where: str = "record") -> Record:
    """Return `record` if this program can read it.

    Args:
        where: names it in errors (a path).

    Raises:
        InputError: it is of another format, of a newer version, or lacks parts; all of those that are missing are named.
    """
    if not isinstance(record, Mapping):
        raise InputError(f"{where}: not a benchmark record but {type(record).__name__}", fix=_MAKE_ONE)
    name = record.get("format")
    version = _FORMAT.fullmatch(name) if isinstance(name, str) else None
    if version is None:
        raise InputError(f"{where}: its format is {str(name)[:60]!r}, not {RECORD_FORMAT!r}", fix=_MAKE_ONE)
    if int(version[1]) > _VERSION:
        raise InputError(
            f"{where}: of format {name!r}, which is newer than this program reads ({RECORD_FORMAT})",
            fix="pip install --upgrade ctiforge",
        )
    if int(version[1]) < _VERSION:
        raise InputError(f"{where}: of format {name!r}, which no release ever wrote", fix=_MAKE_ONE)
    if faults := _faults(record):
        raise InputError(f"{where}: a damaged record: {'; '.join(faults)}", fix="score the run's completions again")
    return record


def _faults(record: Record) -> list[str]:
    faults = _wrong(record, _PARTS, "")
    for path, task in _objects(record.get("tasks"), "tasks", faults):
        faults += _wrong(task, _TASK_PARTS, f"{path}.")
        for trial_path, trial in _objects(task.get("trials"), f"{path}.trials", faults):
            faults += _wrong(trial, _TRIAL_PARTS, f"{trial_path}.")
        for rule_path, rule in _objects(task.get("sensitivity"), f"{path}.sensitivity", faults):
            faults += _wrong(rule, _RULE_PARTS, f"{rule_path}.")
    return faults


def _objects(items: Any, path: str, faults: list[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the objects of a list with their paths; what is no object is a fault, what is no list has been one already."""
    found = []
    for place, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, Mapping):
            found.append((f"{path}[{place}]", item))
        else:
            faults.append(f"{path}[{place}] is not an object")
    return found


def _wrong(part: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]], prefix: str) -> list[str]:
    missing = [f"{prefix}{key} is missing" for key in kinds if key not in part]
    return missing + [
        f"{prefix}{key} is wrong" for key, kind in kinds.items() if key in part and not isinstance(part[key], kind)
    ]
