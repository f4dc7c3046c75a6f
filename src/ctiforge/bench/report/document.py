"""The report as data: a summary over tasks and models, then a section a task. Terminal, Markdown and HTML only draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ctiforge.bench.records import Record, check_records
from ctiforge.bench.report.caveats import CAVEATS
from ctiforge.bench.report.entries import Entry, build_entries, group_by_task
from ctiforge.bench.report.table import Cell, Column, Table
from ctiforge.bench.report.task_tables import task_tables
from ctiforge.bench.report.wording import MISSING, decimal, figure, interval, mean_and_deviation, plain, plural, short_digest

__all__ = ["Report", "Section", "build_report"]


@dataclass(frozen=True, slots=True)
class Section:
    """One task.

    Attributes:
        notes: sentences on the data and on what was left out.
        entries: what was measured, for the plots.
    """

    title: str
    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All there is to say of some records.

    Attributes:
        warnings: what makes figures here partial or not comparable; to be shown before any of them.
    """

    warnings: tuple[str, ...]
    summary: Table
    sections: tuple[Section, ...]
    provenance: Table
    entries: tuple[Entry, ...] = field(default=())


def build_report(records: Sequence[Record]) -> Report:
    """Return the report on `records`; equal records give an equal report.

    Raises:
        InputError: there is no record, or one that this program cannot read.
    """
    records = check_records(records)
    entries = build_entries(records)
    sections = tuple(
        Section(name, _task_notes(group), task_tables(group), tuple(group)) for name, group in group_by_task(entries).items()
    )
    return Report(_warnings(records, entries), _summary(entries), sections, _provenance(records), entries)


def _summary(entries: Sequence[Entry]) -> Table:
    own = any(entry.own_measure for entry in entries)
    columns = [
        Column("Task"),
        Column("Model"),
        Column("Accuracy", "right"),
        Column("95 % interval", "right"),
        *([Column("Own measure", "right")] if own else []),
        Column("n", "right"),
        Column("Valid trials", "right"),
        Column("Parsed", "right"),
        Column("Rule"),
        Column("Protocol"),
    ]
    rows = [
        (
            Cell(entry.name),
            Cell(entry.label, "strong"),
            _accuracy_cell(entry),
            Cell(interval(entry.accuracy)),
            *([Cell(entry.own_measure or MISSING)] if own else []),
            Cell(figure(entry.task["n"])),
            _trials_cell(entry),
            Cell(decimal(entry.task.get("parse_rate"), 3)),
            Cell(plain(entry.task["rule"], 40)),
            Cell(entry.protocol, "warn" if entry.record["protocol"].get("custom") else ""),
        )
        for entry in entries
    ]
    caption = (
        "Strict accuracy (an unreadable answer is wrong): mean ± standard deviation over valid trials, interval over items"
    )
    return Table("summary", caption, tuple(columns), tuple(rows))


def _accuracy_cell(entry: Entry) -> Cell:
    return Cell(mean_and_deviation(entry.accuracy), "strong" if entry.accuracy else "bad")


def _trials_cell(entry: Entry) -> Cell:
    trials = len(entry.task["trials"])
    if not entry.invalid:
        return Cell(str(trials))
    return Cell(f"{len(entry.valid)} of {trials}", "warn" if entry.valid else "bad")


def _warnings(records: Sequence[Record], entries: Sequence[Entry]) -> tuple[str, ...]:
    found = []
    for entry in entries:
        if not entry.invalid:
            continue
        failed = sum(trial["counts"].get("failed", 0) for trial in entry.invalid)
        missing = sum(trial.get("missing") or 0 for trial in entry.invalid)
        which = ", ".join(str(trial["trial"]) for trial in entry.invalid)
        why = " and ".join(
            [plural(failed, "failed request")] * bool(failed) + [plural(missing, "item") + " not asked"] * bool(missing)
        )
        found.append(
            f"{entry.label} on {entry.name}: {'trial' if len(entry.invalid) == 1 else 'trials'} {which} invalid"
            f"{f' ({why})' if why else ''}; in no figure here. Run the same command again to complete them."
        )
    known = {id(entry.record) for entry in entries if entry.invalid}
    found += [
        f"{plain(record['model'].get('name'), 60)}: the run is not complete."
        for record in records
        if not record["complete"] and id(record) not in known
    ]
    if custom := sorted({entry.label for entry in entries if entry.record["protocol"].get("custom")}):
        found.append(
            f"Settings of the protocol were changed for {', '.join(custom)}: not comparable with the protocol's figures."
        )
    return tuple(found)


def _task_notes(entries: Sequence[Entry]) -> tuple[str, ...]:
    data = tuple(dict.fromkeys(_data_note(entry.task) for entry in entries))
    differ = len({str(entry.task.get("sha256")) for entry in entries}) > 1
    warning = ("The models were not measured on the same file; their figures cannot be compared.",) if differ else ()
    return (*CAVEATS.get(entries[0].name, ()), *data, *warning)


def _data_note(task: Mapping[str, Any]) -> str:
    parts = [
        f"{plain(task.get('file') or 'no file', 60)}, SHA-256 {short_digest(task.get('sha256'))}",
        f"{plural(task['n'], 'item')} scored",
        *(f"{count:,} left out ({plain(why, 60)})" for why, count in sorted((task.get("left_out") or {}).items()) if count),
        *([f"{plural(task['unscored'], 'item')} without a gold answer"] if task.get("unscored") else []),
        *([f"licence {plain(task['licence'], 60)}"] if task.get("licence") else []),
    ]
    return f"Data: {', '.join(parts)}."


def _provenance(records: Sequence[Record]) -> Table:
    names = ("Model", "Backend", "Weights", "Endpoint", "Chat template", "Protocol digest", "ctiforge", "Revision")
    rows = []
    for record in records:
        model, environment = record["model"], record["environment"]
        rows.append(
            (
                Cell(plain(model.get("name") or "unnamed", 60), "strong"),
                Cell(plain(model.get("backend") or MISSING, 40)),
                Cell(short_digest(model.get("digest"))),
                Cell(plain(model.get("endpoint") or MISSING, 80)),
                Cell(short_digest(model.get("chat_template_sha256"))),
                Cell(short_digest(record["protocol"].get("digest"))),
                Cell(plain(environment.get("ctiforge") or MISSING, 40)),
                Cell(plain(environment.get("git_revision") or MISSING, 60)[:20]),
            )
        )
    return Table("provenance", "What was measured, and with what", tuple(map(Column, names)), tuple(rows))
