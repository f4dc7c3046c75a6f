"""The report as GitHub-flavoured Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from ctiforge.bench.records import Record
from ctiforge.bench.report.document import build_report
from ctiforge.bench.report.table import Cell, Table
from ctiforge.bench.report.wording import escape_markdown

__all__ = ["markdown_table", "render_markdown"]


def render_markdown(records: Sequence[Record]) -> str:
    """Return the report with a heading a task; foreign text in it (names, endpoints) is inert.

    Raises:
        InputError: there is no record, or one that this program cannot read.
    """
    report = build_report(records)
    parts = ["# Benchmark report"]
    if report.warnings:
        parts.append("\n".join(f"> **Note**: {escape_markdown(warning)}  " for warning in report.warnings))
    parts.append(_captioned(report.summary))
    for section in report.sections:
        parts.append(f"## {escape_markdown(section.title)}")
        if section.notes:
            parts.append("\n".join(f"- {escape_markdown(note)}" for note in section.notes))
        parts += map(_captioned, section.tables)
    parts += ["## Provenance", _captioned(report.provenance)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """Return the rows of a table, escaped, without its caption."""
    heads = [escape_markdown(column.name) for column in table.columns]
    rules = ["---:" if column.align == "right" else "---" for column in table.columns]
    return "\n".join(map(_row, [heads, rules, *([_cell(cell) for cell in row] for row in table.rows)]))


def _captioned(table: Table) -> str:
    return f"*{escape_markdown(table.caption)}*\n\n{markdown_table(table)}"


def _cell(cell: Cell) -> str:
    text = escape_markdown(cell.text)
    return f"**{text}**" if cell.tone in ("strong", "bad") and text else text


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
