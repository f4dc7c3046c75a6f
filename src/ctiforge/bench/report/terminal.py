"""The report for a terminal: a rich renderable, whose width and colour are the console's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ctiforge.bench.records import Record
from ctiforge.bench.report.document import build_report
from ctiforge.bench.report.table import Cell, Column, Table, Tone

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.text import Text

__all__ = ["render_terminal"]

_STYLES: Final[dict[Tone, str]] = {
    "": "",
    "strong": "bold",
    "quiet": "dim",
    "good": "cyan",
    "warn": "yellow",
    "bad": "bold red",
}


def render_terminal(records: Sequence[Record], *, details: bool = True) -> RenderableType:
    """Return the report as something `rich.console.Console.print` draws.

    Args:
        details: whether the sections by task follow the summary.

    Raises:
        InputError: there is no record, or one that this program cannot read.
    """
    from rich.console import Group
    from rich.text import Text

    report = build_report(records)
    parts: list[RenderableType] = [_line(f"! {warning}", "yellow") for warning in report.warnings]
    parts += [Text(), _draw(_for_a_screen(report.summary))]
    if details:
        for section in report.sections:
            parts += [Text(), _line(section.title, "bold underline")]
            parts += [_line(note, "dim") for note in section.notes]
            for table in section.tables:
                parts += [Text(), _draw(table)]
        parts += [Text(), _draw(report.provenance)]
    return Group(*parts)


def _line(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(text, style=style)


def _for_a_screen(summary: Table) -> Table:
    """Return the summary with the task on a line of its own and the rule under the protocol, which saves 25 cells of width."""
    names = [column.name for column in summary.columns]
    task, rule, protocol = (names.index(name) for name in ("Task", "Rule", "Protocol"))
    kept = [place for place in range(len(names)) if place not in (task, rule)]
    rows: list[tuple[Cell, ...]] = []
    last = None
    for row in summary.rows:
        if row[task].text != last:
            last = row[task].text
            rows.append((Cell(last, "good"), *(Cell("") for _ in kept[1:])))
        with_rule = Cell(f"{row[protocol].text}, {row[rule].text}", row[protocol].tone)
        rows.append(tuple(with_rule if place == protocol else row[place] for place in kept))
    columns = tuple(Column("Protocol, rule") if place == protocol else summary.columns[place] for place in kept)
    return Table(summary.key, summary.caption, columns, tuple(rows))


def _draw(table: Table) -> Group:
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for column in table.columns:
        right = column.align == "right"
        head = "\n".join(column.name.rsplit(" ", 1)) if right else column.name
        drawn.add_column(Text(head), justify=column.align, no_wrap=right, overflow="fold", min_width=None if right else 8)
    for row in table.rows:
        drawn.add_row(*(Text(cell.text, style=_STYLES[cell.tone]) for cell in row))
    return Group(_line(table.caption, "italic"), drawn)
