"""Benchmark records of a folder: a list with the accuracy on each task, and one record in full."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ctiforge.serve.pages.sessions import Session
from ctiforge.serve.pages.site import Site
from ctiforge.serve.problems import Problem

__all__ = ["BenchmarkRecord", "TaskScore", "read_records", "show_report", "show_reports"]

_FORMAT: Final = "ctiforge-benchmark/1"
_MOST_BYTES: Final = 20_000_000
_OUTCOMES: Final = ("correct", "wrong", "unparsed", "truncated", "failed")
_log = logging.getLogger("ctiforge.serve")


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One task of a record; `mean`, `low`, `high` are None where no trial is valid."""

    task: str
    n: int
    rule: str
    mean: float | None
    low: float | None
    high: float | None
    std: float | None
    trials: int
    outcomes: tuple[tuple[str, int], ...]
    licence: str
    sha256: str


@dataclass(frozen=True, slots=True)
class BenchmarkRecord:
    """A record as the pages show it; `name` is that of its file, or of the folder it is in."""

    name: str
    model: str
    digest: str
    protocol: str
    custom: bool
    complete: bool
    settings: Mapping[str, Any]
    tasks: tuple[TaskScore, ...]


def read_records(folder: Path) -> list[BenchmarkRecord]:
    """Return the records of a folder, ``NAME.json`` and ``NAME/record.json``; what is no record is left out, and logged."""
    found = []
    for path in sorted([*folder.glob("*.json"), *folder.glob("*/record.json")]):
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ValueError("too large")
            record = orjson.loads(path.read_bytes())
            if record["format"] != _FORMAT:
                raise ValueError(f"format {record['format']!r}")
            found.append(_record(path.parent.name if path.name == "record.json" else path.stem, record))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("%s is no benchmark record that can be shown: %s", path, error)
    return found


def _record(name: str, record: Mapping[str, Any]) -> BenchmarkRecord:
    model, protocol = record["model"], record["protocol"]
    return BenchmarkRecord(
        name=name,
        model=str(model["name"]),
        digest=str(model.get("digest") or ""),
        protocol=f"{protocol['name']} {protocol['version']}",
        custom=bool(protocol["custom"]),
        complete=bool(record["complete"]),
        settings=dict(model.get("settings") or {}),
        tasks=tuple(map(_task, record["tasks"])),
    )


def _task(task: Mapping[str, Any]) -> TaskScore:
    accuracy = task["accuracy"] or {}
    counts = [trial["counts"] for trial in task["trials"]]
    return TaskScore(
        task=str(task["task"]),
        n=int(task["n"]),
        rule=str(task["rule"]),
        mean=accuracy.get("mean"),
        low=accuracy.get("ci95_low"),
        high=accuracy.get("ci95_high"),
        std=accuracy.get("std"),
        trials=len(task["trials"]),
        outcomes=tuple((name, sum(int(each.get(name, 0)) for each in counts)) for name in _OUTCOMES),
        licence=str(task.get("licence") or ""),
        sha256=str(task.get("sha256") or ""),
    )


def show_reports(site: Site, request: Request, session: Session) -> Response:
    """List the records of the folder that the server was given."""
    folder = site.state.settings.reports
    records = read_records(folder) if folder else []
    tasks = list(dict.fromkeys(score.task for record in records for score in record.tasks))
    rows = [(record, {score.task: score for score in record.tasks}) for record in records]
    return site.render(request, session, "reports.html", configured=folder is not None, rows=rows, tasks=tasks)


def show_report(site: Site, request: Request, session: Session) -> Response:
    """Show one record; its name is looked for among those that are there, never as a path."""
    folder = site.state.settings.reports
    name = request.path_params["name"]
    record = next((each for each in (read_records(folder) if folder else []) if each.name == name), None)
    if record is None:
        raise Problem(404, "there is no such benchmark record", fix="see the list of reports")
    return site.render(request, session, "report.html", record=record)
