"""The report as one HTML file that needs nothing else: no script, no font, no address outside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Final

from ctiforge.bench.records import Record
from ctiforge.bench.report.document import Section, build_report
from ctiforge.bench.report.plots import Plot, accuracy_plots, entry_plots
from ctiforge.bench.report.table import Cell, Table
from ctiforge.bench.report.wording import escape_html
from ctiforge.core.files import write_text

__all__ = ["render_html", "write_html"]

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --muted: #57606a; --grid: #d8dee4; --accent: #0b66c2; --second: #c4560b;
  --paper: #ffffff; --soft: #f3f5f8; --warn: #8a5a00; --bad: #b3261e;
  --font: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --muted: #9aa5b1; --grid: #3a424c; --accent: #5aa9f5;
  --second: #f0883e; --paper: #0f1419; --soft: #19202a; --warn: #e3b341; --bad: #ff7b72; } }
@media print { :root { color-scheme: light; --ink: #000; --muted: #444; --grid: #bbb; --accent: #0b66c2; --second: #c4560b;
  --paper: #fff; --soft: #fff; --warn: #000; --bad: #000; }
  figure, table, .warnings { break-inside: avoid; } h2, h3 { break-after: avoid; } nav { display: none; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 var(--font); }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 2px solid var(--grid); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .25rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: 0 0 1rem; list-style: none; }
a { color: var(--accent); }
.warnings { border-left: 4px solid var(--warn); background: var(--soft); padding: .5rem 1rem; margin: 1rem 0; }
.warnings p { margin: .25rem 0; }
.notes { color: var(--muted); padding-left: 1.2rem; margin: .25rem 0 1rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .25rem 0; }
th, td { text-align: left; padding: .28rem .75rem .28rem 0; border-bottom: 1px solid var(--grid); vertical-align: top;
  overflow-wrap: break-word; max-width: 22rem; }
thead th { color: var(--muted); font-weight: 600; border-bottom: 2px solid var(--grid); vertical-align: bottom; }
tbody th { font-weight: 400; white-space: nowrap; max-width: none; }
.right { text-align: right; white-space: nowrap; }
.strong { font-weight: 600; } .warn { color: var(--warn); } .bad { color: var(--bad); font-weight: 600; }
.quiet { color: var(--muted); }
figure { margin: 1.25rem 0 2rem; }
figcaption strong { display: block; font-size: 1.02rem; }
figcaption { color: var(--muted); margin-bottom: .5rem; } figcaption strong { color: var(--ink); }
figure svg { width: 100%; height: auto; max-width: 47rem; display: block; }
.plots h3 { overflow-wrap: anywhere; }
"""
_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Benchmark report</title>
"""


def write_html(records: Sequence[Record], path: str | os.PathLike[str]) -> None:
    """Write the report with its plots to `path`, atomically; equal records give an equal file.

    Raises:
        InputError: there is no record, or one that this program cannot read.
        MissingExtraError: matplotlib is not installed.
        OSError: `path` cannot be written.
    """
    write_text(path, render_html(records))


def render_html(records: Sequence[Record]) -> str:
    """Return the report with its plots as one HTML document.

    Raises:
        InputError: there is no record, or one that this program cannot read.
        MissingExtraError: matplotlib is not installed.
    """
    report = build_report(records)
    parts = [_HEAD, f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Benchmark report</h1>\n"]
    places = [(f"task{number}", section.title) for number, section in enumerate(report.sections, 1)]
    links = "".join(
        f'<li><a href="#{key}">{escape_html(title)}</a></li>' for key, title in [*places, ("provenance", "Provenance")]
    )
    parts.append(f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n')
    if report.warnings:
        lines = "".join(f"<p>{escape_html(warning)}</p>" for warning in report.warnings)
        parts.append(f'<div class="warnings" role="note">{lines}</div>\n')
    parts.append(_table(report.summary))
    parts += map(_figure, accuracy_plots(report.entries))
    for (key, _), section in zip(places, report.sections, strict=True):
        parts += _section(key, section)
    parts.append(
        f'<section aria-labelledby="provenance">\n<h2 id="provenance">Provenance</h2>\n{_table(report.provenance)}</section>\n'
    )
    parts.append("</main>\n</body>\n</html>\n")
    return "".join(parts)


def _section(key: str, section: Section) -> Iterable[str]:
    yield f'<section aria-labelledby="{key}">\n<h2 id="{key}">{escape_html(section.title)}</h2>\n'
    if section.notes:
        yield '<ul class="notes">' + "".join(f"<li>{escape_html(note)}</li>" for note in section.notes) + "</ul>\n"
    for place, entry in enumerate(section.entries):
        plots = entry_plots(entry, f"{key}-{place}")
        if plots:
            heading = f"<h3>{escape_html(entry.label)}</h3>\n" if len(section.entries) > 1 else ""
            yield f'<div class="plots">\n{heading}' + "".join(map(_figure, plots)) + "</div>\n"
    yield from map(_table, section.tables)
    yield "</section>\n"


def _figure(plot: Plot) -> str:
    caption = f"<figcaption><strong>{escape_html(plot.title)}</strong>{escape_html(plot.note)}</figcaption>"
    return f"<figure>\n{caption}\n{plot.svg}\n</figure>\n"


def _table(table: Table) -> str:
    heads = "".join(
        f'<th scope="col"{_classes("right" if column.align == "right" else "")}>{escape_html(column.name)}</th>'
        for column in table.columns
    )
    rows = "".join(f"<tr>{''.join(_cells(table, row))}</tr>\n" for row in table.rows)
    caption = f"<caption>{escape_html(table.caption)}</caption>"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape_html(table.caption)}">\n'
        f"<table>\n{caption}\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )


def _cells(table: Table, row: Sequence[Cell]) -> Iterable[str]:
    for place, (column, cell) in enumerate(zip(table.columns, row, strict=True)):
        classes = _classes("right" if column.align == "right" else "", cell.tone)
        tag = ("th", ' scope="row"') if place == 0 else ("td", "")
        yield f"<{tag[0]}{tag[1]}{classes}>{escape_html(cell.text)}</{tag[0]}>"


def _classes(*names: str) -> str:
    used = " ".join(filter(None, names))
    return f' class="{used}"' if used else ""
