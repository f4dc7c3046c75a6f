"""A comparison of runs for the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ctiforge.bench.compare import Comparison, TaskComparison

__all__ = ["render_comparison"]

_ALPHA = 0.05


def render_comparison(comparison: Comparison) -> RenderableType:
    """Return the warnings, a table a run with one row a task, and how to read it."""
    parts: list[RenderableType] = [Text(f"warning: {warning}", style="yellow") for warning in comparison.warnings]
    for run in comparison.runs:
        parts.append(_table(comparison.baseline, run, [row for row in comparison.tasks if row.run_b == run]))
    family = len(comparison.tasks)
    note = (
        "B - A in percentage points, with its 95 % paired bootstrap interval over items; only A, only B: items that one run "
        "alone has right, by majority of its trials; p: exact McNemar test; Holm: p adjusted over "
        f"{family} comparison{'s' if family != 1 else ''}; * below {_ALPHA}"
    )
    parts.append(Text(note, style="dim"))
    return Group(*parts)


def _table(baseline: str, run: str, rows: list[TaskComparison]) -> Table:
    table = Table(
        title=Text(f"A = {baseline}   B = {run}"), title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    table.add_column("Task", no_wrap=True)
    for column in ("n", "A", "B", "B - A", "95 % interval", "only A", "only B", "p", "Holm"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        significant = row.p_holm < _ALPHA
        style = ("green" if row.difference > 0 else "red") if significant else ""
        table.add_row(
            Text(row.task),
            f"{row.n:,}",
            f"{row.accuracy_a:.1%}",
            f"{row.accuracy_b:.1%}",
            Text(f"{100 * row.difference:+.1f}", style=style),
            f"{100 * row.ci95_low:+.1f} to {100 * row.ci95_high:+.1f}",
            str(row.only_a),
            str(row.only_b),
            _p_text(row.p_value),
            _p_text(row.p_holm) + ("*" if significant else " "),
        )
    return table


def _p_text(p_value: float) -> str:
    return f"{p_value:.3f}" if p_value >= 0.001 else f"{p_value:.0e}"
