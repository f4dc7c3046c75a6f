"""The tables of one task: outcomes, extraction sensitivity, and what its kind of answer has to show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ctiforge.bench.report.entries import OUTCOMES, Entry
from ctiforge.bench.report.table import Cell, Column, Table
from ctiforge.bench.report.wording import MISSING, decimal, figure, interval, plain

__all__ = ["LABELS_SHOWN", "task_tables"]

LABELS_SHOWN: Final = 15
"""Rows of the table of labels; the rest is in the record."""

_USAGES: Final = ("Allowed", "Allowed-with-Review", "Discouraged", "Prohibited", "Unknown")
_METRICS: Final[dict[str, str]] = {
    "macro_f1": "macro-F1",
    "hierarchy_accuracy": "right, or on one line with the gold in View-1000",
    "best_possible_with_allowed_only": "best possible with allowed entries only",
    "majority_baseline": "always the commonest letter",
    "mean_absolute_deviation": "mean absolute deviation of the base score (points, of readable vectors)",
    "exact_vector": "exact vector",
    "parsed": "readable vectors, all valid trials",
    "micro_precision": "micro-precision",
    "micro_recall": "micro-recall",
    "micro_f1": "micro-F1",
    "exact": "the gold's very name",
    "with_aliases": "with known aliases",
}
_ROTATIONS: Final[dict[str, str]] = {
    "rotations": "rotations of the options",
    "accuracy_mean": "accuracy over all rotations",
    "all_rotations_right": "right in every rotation",
    "consistent": "same option in every rotation",
}

Row = tuple[Cell, ...]
Rows = Iterator[Row]


def task_tables(entries: Sequence[Entry]) -> tuple[Table, ...]:
    """Return the tables of one task that have rows; the column Model only where there are several.

    Args:
        entries: of the same task.
    """
    built = []
    for kind in _kinds():
        rows = tuple((Cell(entry.label, "strong"), *row) for entry in entries for row in kind.rows_of(entry))
        if rows:
            columns = (Column("Model"), *map(Column, kind.words), *(Column(name, "right") for name in kind.numbers))
            table = Table(kind.key, kind.caption, columns, rows)
            built.append(table if len(entries) > 1 else table.without("Model"))
    return tuple(built)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A table by its columns (text first, then numbers) and the rows of one entry."""

    key: str
    caption: str
    words: tuple[str, ...]
    numbers: tuple[str, ...]
    rows_of: Callable[[Entry], Rows]


def _kinds() -> tuple[_Kind, ...]:
    outcomes = tuple(map(str.capitalize, OUTCOMES))
    return (
        _Kind("outcomes", "Outcomes by trial", (), ("Trial", "Seed", *outcomes, "Accuracy", "Parsed"), _outcomes),
        _Kind(
            "sensitivity",
            "The same completions under every extraction rule",
            ("Rule",),
            ("Accuracy, all items", "Accuracy, parsed items", "Parsed", "Items"),
            _sensitivity,
        ),
        _Kind("top_k", "The right answer is among the first k", (), ("k", "Accuracy"), _top_k),
        _Kind("metrics", "Further measures", ("Measure",), ("Value",), _metrics),
        _Kind(
            "per_letter",
            "By letter of the gold answer",
            ("Letter",),
            ("Share of golds", "Share of answers", "Accuracy"),
            _letters,
        ),
        _Kind(
            "usage",
            "MITRE's mapping usage of golds and answers, all valid trials",
            ("Usage",),
            ("Golds", "Answers", "Share of answers"),
            _usage,
        ),
        _Kind("per_label", f"By label, the {LABELS_SHOWN} commonest", ("Label",), ("n", "Accuracy"), _labels),
        _Kind(
            "contamination",
            "Items that a contamination report flagged (open book: whose source page is in the index), and the rest",
            ("Slice",),
            ("n", "Accuracy", "95 % interval"),
            _slices,
        ),
    )


def _outcomes(entry: Entry) -> Rows:
    for trial in entry.task["trials"]:
        valid = trial["valid"]
        counts = [Cell(figure(trial["counts"].get(outcome, 0))) for outcome in OUTCOMES]
        if not valid and trial["counts"].get("failed"):
            counts[-1] = Cell(counts[-1].text, "bad")
        seed = trial.get("seed")
        yield (
            Cell(str(trial["trial"])),
            Cell(MISSING if seed is None else str(seed)),
            *counts,
            Cell(decimal(trial.get("accuracy"))) if valid else Cell("invalid", "bad"),
            Cell(decimal(trial.get("parse_rate"), 3)) if valid else Cell(MISSING, "quiet"),
        )


def _sensitivity(entry: Entry) -> Rows:
    for row in entry.task["sensitivity"]:
        default = bool(row.get("is_default"))
        yield (
            Cell(plain(row["rule"], 40) + (" (used)" if default else ""), "strong" if default else ""),
            Cell(decimal(row.get("accuracy"))),
            Cell(decimal(row.get("accuracy_of_parsed"))),
            Cell(figure(row.get("parsed"))),
            Cell(figure(row.get("n"))),
        )


def _top_k(entry: Entry) -> Rows:
    found = entry.task.get("top_k") or {}
    for k in sorted(found, key=lambda key: (len(str(key)), str(key))):
        yield Cell(plain(k, 10)), Cell(decimal(found[k]))


def _metrics(entry: Entry) -> Rows:
    metrics = entry.task["metrics"]
    for key, name in _METRICS.items():
        if metrics.get(key) is not None:
            yield Cell(name), Cell(figure(metrics[key]) if key == "parsed" else decimal(metrics[key]))
    for key, name in _ROTATIONS.items():
        if (metrics.get("permutation") or {}).get(key) is not None:
            value = metrics["permutation"][key]
            yield Cell(name), Cell(figure(value) if key == "rotations" else decimal(value))
    reliability = metrics.get("reliability") or {}
    if reliability.get("ece") is not None:
        yield Cell("expected calibration error"), Cell(decimal(reliability["ece"]))


def _letters(entry: Entry) -> Rows:
    letters = entry.task["metrics"].get("per_letter") or []
    golds, answers = (sum(letter.get(key) or 0 for letter in letters) for key in ("golds", "answers"))
    for letter in letters:
        yield (
            Cell(plain(letter["letter"], 4)),
            Cell(_share(letter.get("golds"), golds)),
            Cell(_share(letter.get("answers"), answers)),
            Cell(decimal(letter.get("accuracy"), 3)),
        )


def _usage(entry: Entry) -> Rows:
    metrics = entry.task["metrics"]
    answers: Mapping[str, int] = metrics.get("answers_by_mapping_usage") or {}
    golds: Mapping[str, int] = metrics.get("golds_by_mapping_usage") or {}
    named = [usage for usage in _USAGES if usage in answers or usage in golds]
    for usage in [*named, *sorted({*answers, *golds} - set(_USAGES))]:
        if answers.get(usage) or golds.get(usage):
            given = answers.get(usage, 0)
            tone = Cell(figure(given), "warn" if given and usage in ("Discouraged", "Prohibited") else "")
            yield (
                Cell(plain(usage, 40)),
                Cell(figure(golds.get(usage, 0))),
                tone,
                Cell(_share(given, sum(answers.values()))),
            )


def _labels(entry: Entry) -> Rows:
    for label in (entry.task["metrics"].get("per_label") or [])[:LABELS_SHOWN]:
        yield Cell(plain(label["label"], 40)), Cell(figure(label["n"])), Cell(decimal(label.get("accuracy"), 3))


def _slices(entry: Entry) -> Rows:
    for part in entry.task.get("contamination") or []:
        yield Cell(plain(part["slice"], 20)), Cell(figure(part["n"])), Cell(decimal(part.get("accuracy"))), Cell(interval(part))


def _share(count: object, total: int) -> str:
    return decimal(count / total, 3) if isinstance(count, int) and total else MISSING
