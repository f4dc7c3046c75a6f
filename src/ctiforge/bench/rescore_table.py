"""A re-scored file for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ctiforge.bench.rescore import Rescore

__all__ = ["render_rescore"]

_SPARE = 3
"""Differing items that are named."""


def render_rescore(result: Rescore) -> RenderableType:
    """Return the trials, how they agree with what the file prints, and what other rules make of the same completions."""
    heading = Text(f"{result.task}: {result.path.name}\n", style="bold")
    parts: list[RenderableType] = [heading, _trials(result), *_agreement(result), Text(""), _sensitivity(result)]
    notes = []
    if result.cut:
        notes.append(
            f"{result.cut:,} completions stand cut off in the file. Under the authors' own rule their printed answers count; "
            "the other rules read what is there."
        )
    if result.unscored:
        notes.append(f"{result.unscored:,} items have no gold answer and are left out.")
    if result.dropped_duplicates:
        notes.append(f"{result.dropped_duplicates:,} repeated items are left out.")
    return Group(*parts, *(Text(note, style="dim") for note in notes))


def _trials(result: Rescore) -> Table:
    table = _table(f"rule {result.rule}, {result.n:,} items a trial")
    for column in ("trial", "accuracy", "correct", "wrong", "unparsed", "truncated", "failed", "parse rate"):
        table.add_column(column, justify="right")
    for trial in result.trials:
        counts = [f"{trial.counts.get(outcome, 0):,}" for outcome in ("correct", "wrong", "unparsed", "truncated", "failed")]
        accuracy = f"{trial.accuracy:.4f}" if trial.valid else "invalid"
        table.add_row(str(trial.trial), accuracy, *counts, f"{trial.parse_rate:.4f}")
    if result.accuracy_mean is not None and result.accuracy_std is not None:
        table.caption = f"mean {result.accuracy_mean:.4f} ± {result.accuracy_std:.4f}"
    return table


def _agreement(result: Rescore) -> list[Text]:
    lines = []
    for each in result.agreement:
        printed = f"trial {each.trial}: the file prints {each.printed_accuracy:.4f}"
        if each.accuracy is None:
            lines.append(Text(f"{printed} and has no items", style="dim"))
            continue
        differing = f"; others: {', '.join(each.differing[:_SPARE])}" if each.differing else ""
        read = f"{each.same_answers:,} of {each.answers:,} printed answers are read from their texts{differing}"
        said = "recomputed exactly" if each.agrees else f"recomputed {each.accuracy:.4f}"
        lines.append(Text(f"{printed}: {said}; {read}", style="green" if each.agrees else "yellow"))
    return lines


def _sensitivity(result: Rescore) -> Table:
    table = _table("the same completions under every rule")
    table.add_column("rule")
    columns = ["accuracy", "of parsed", "parsed"]
    whole = any(row.whole_accuracy is not None for row in result.sensitivity)
    for column in [*columns, "of whole texts"] if whole else columns:
        table.add_column(column, justify="right")
    for row in result.sensitivity:
        cells = [f"{row.accuracy:.4f}", _or_dash(row.accuracy_of_parsed), f"{row.parsed:,}/{row.n:,}"]
        if whole:
            cells.append(_or_dash(row.whole_accuracy))
        table.add_row(row.rule + (" *" if row.is_default else ""), *cells, style="bold" if row.is_default else "")
    return table


def _table(title: str) -> Table:
    return Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold", caption_justify="left")


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
