"""What a report is about: one model on one task under one protocol, with the name it goes by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctiforge.bench.open_book import is_open_book
from ctiforge.bench.records import Record
from ctiforge.bench.report.wording import decimal, plain

__all__ = ["OUTCOMES", "Entry", "build_entries", "group_by_task", "protocol_text"]

OUTCOMES = ("correct", "wrong", "unparsed", "truncated", "failed")


@dataclass(frozen=True, slots=True)
class Entry:
    """One task of one record.

    Attributes:
        label: the model's name, made unique among the records.
        task: the ``TaskResult`` of the record.
    """

    label: str
    record: Record
    task: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The task's name."""
        return plain(self.task["task"], 60)

    @property
    def accuracy(self) -> Mapping[str, Any] | None:
        """Mean, deviation and interval over valid trials; None if there is no valid trial."""
        found = self.task["accuracy"]
        return found if found and found.get("mean") is not None else None

    @property
    def valid(self) -> list[Mapping[str, Any]]:
        """The trials that count."""
        return [trial for trial in self.task["trials"] if trial["valid"]]

    @property
    def invalid(self) -> list[Mapping[str, Any]]:
        """The trials that are in no figure."""
        return [trial for trial in self.task["trials"] if not trial["valid"]]

    @property
    def protocol(self) -> str:
        """Name and version, and whether a setting was changed."""
        return protocol_text(self.record)

    @property
    def open_book(self) -> bool:
        """Whether the model looked things up; such figures stand apart from those of models that answer from memory."""
        return is_open_book(self.record)

    @property
    def own_measure(self) -> str:
        """The task's own measure where that is not accuracy, else empty."""
        metrics = self.task["metrics"]
        for key, name in (("mean_absolute_deviation", "MAD"), ("micro_f1", "micro-F1")):
            if metrics.get(key) is not None:
                return f"{name} {decimal(metrics[key], 3)}"
        return ""


def protocol_text(record: Record) -> str:
    """Return ``foundation-sec-ift 1``, with ``(custom)`` where a setting was changed on the command line."""
    protocol = record["protocol"]
    name = " ".join(plain(protocol[key], 60) for key in ("name", "version") if protocol.get(key) is not None)
    return f"{name} (custom)" if protocol.get("custom") else name


def build_entries(records: Sequence[Record]) -> tuple[Entry, ...]:
    """Return every task of every record: tasks in the order they first appear, the most accurate first, no accuracy last."""
    entries = [
        Entry(label, record, task) for label, record in zip(_labels(records), records, strict=True) for task in record["tasks"]
    ]
    order = {name: place for place, name in enumerate(dict.fromkeys(entry.name for entry in entries))}
    return tuple(sorted(entries, key=lambda entry: (order[entry.name], -(entry.accuracy or {}).get("mean", -1.0))))


def group_by_task(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by task, orders kept."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.name, []).append(entry)
    return groups


def _labels(records: Sequence[Record]) -> list[str]:
    """Return the models' names; equal ones with their protocol, and where that is equal too with a number.

    Names of models that looked things up say so.
    """
    names = [
        plain(record["model"].get("name") or "unnamed", 60) + (" (open book)" if is_open_book(record) else "")
        for record in records
    ]
    counts = Counter(names)
    named = [
        f"{name} ({protocol_text(record)})" if counts[name] > 1 else name for name, record in zip(names, records, strict=True)
    ]
    counts = Counter(named)
    seen: Counter[str] = Counter()
    labels = []
    for name in named:
        seen[name] += 1
        labels.append(f"{name} #{seen[name]}" if counts[name] > 1 else name)
    return labels
