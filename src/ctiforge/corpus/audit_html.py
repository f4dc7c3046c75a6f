"""The audit as one HTML file that needs nothing else; pairs side by side with what differs marked."""

from __future__ import annotations

import difflib
import html
import re
from collections.abc import Iterable, Sequence
from typing import Final

from ctiforge.corpus.audit_findings import AuditReport, Pair
from ctiforge.corpus.audit_text import LEVEL_MEANINGS, verdict
from ctiforge.corpus.contamination.normal_form import normalize
from ctiforge.corpus.contamination.settings import LEVELS, TEXT_LEVELS

__all__ = ["mark_differences", "render_html"]

_MAX_PAIRS = 300
"""Pairs shown for each level; the JSON report has all."""
_MAX_WORDS = 1500
_WORD: Final = re.compile(r"\S+")
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --muted: #57606a; --grid: #d8dee4; --paper: #fff; --soft: #f3f5f8;
  --bad: #b3261e; --mark: #ffe08a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --muted: #9aa5b1; --grid: #3a424c; --paper: #0f1419;
  --soft: #19202a; --bad: #ff7b72; --mark: #6b5200; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
h2 { margin-top: 2.5rem; border-top: 2px solid var(--grid); padding-top: .75rem; }
.verdict { background: var(--soft); border-left: 4px solid var(--bad); padding: .75rem 1rem; font-size: 1.05rem; }
.quiet { color: var(--muted); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }
caption { text-align: left; font-weight: 600; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
details { border-bottom: 1px solid var(--grid); padding: .4rem 0; }
summary { cursor: pointer; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.pair p { background: var(--soft); padding: .5rem .75rem; margin: .5rem 0; overflow-wrap: anywhere; white-space: pre-wrap; }
mark { background: var(--mark); color: inherit; }
@media (max-width: 45rem) { .pair { grid-template-columns: 1fr; } }
"""
_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Contamination audit</title>
"""


def render_html(report: AuditReport) -> str:
    """Return the report as one HTML document, without script and without an address outside it."""
    parts = [_HEAD, f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Contamination audit</h1>\n"]
    parts.append(f"<p>{_escape(report.corpus)}</p>\n")
    parts.append(f'<p class="verdict">{_escape(verdict(report))}</p>\n')
    parts += [_levels(report), _sweep(report), _files(report), _instructions(report)]
    for level in TEXT_LEVELS:
        parts += _pairs(level, [pair for pair in report.pairs if pair.level == level])
    parts.append("</main>\n</body>\n</html>\n")
    return "".join(parts)


def _escape(text: str) -> str:
    return html.escape(text.encode("utf-8", "replace").decode())


def _table(caption: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col"{" class=n" if place else ""}>{_escape(name)}</th>' for place, name in enumerate(names))
    body = "".join(
        f'<tr><th scope="row">{_escape(row[0])}</th>'
        + "".join(f"<td class=n>{_escape(cell)}</td>" for cell in row[1:])
        + "</tr>\n"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><caption>{_escape(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def _levels(report: AuditReport) -> str:
    files = [file.name for file in report.benchmarks.files]
    rows = []
    for level in (each for each in LEVELS if each in report.levels_checked):
        counts = [report.counts[level][file] for file in files]
        cells = [f"{count.items:,} / {count.records:,}" if count.items or count.records else "–" for count in counts]
        rows.append([f"{level}: {LEVEL_MEANINGS[level]}", *cells])
    sizes = [f"{file.name} ({file.items:,})" for file in report.benchmarks.files]
    return _table("Items found / records that hold one, by level and benchmark file (its items)", ["level", *sizes], rows)


def _sweep(report: AuditReport) -> str:
    files = [file.name for file in report.benchmarks.files]
    rows = [
        [f"{step:.2f}", *(f"{by[file].items:,} / {by[file].records:,}" for file in files)] for step, by in report.sweep.items()
    ]
    return _table("Items with a record at least so near / such records, by Jaccard index", ["Jaccard", *files], rows)


def _files(report: AuditReport) -> str:
    rows = [[file.name, f"{file.items:,}", file.pin, file.text_column, file.sha256] for file in report.benchmarks.files]
    return _table("Benchmark files", ["file", "items", "pin", "compared column", "SHA-256"], rows)


def _instructions(report: AuditReport) -> str:
    if not report.instructions:
        return '<p class="quiet">No instruction is shared by many prompts.</p>\n'
    lines = "".join(f"<li>{share:.0%}: {_escape(text)}</li>" for text, share in report.instructions)
    return f"<p>Not compared, because so many prompts begin with it:</p><ul>{lines}</ul>\n"


def _pairs(level: str, pairs: Sequence[Pair]) -> Iterable[str]:
    if not pairs:
        return
    more = f", of which the first {_MAX_PAIRS} are shown; the JSON report has all" if len(pairs) > _MAX_PAIRS else ""
    yield f"<h2>{level}: the nearest record of {len(pairs):,} items{more}</h2>\n"
    for pair in pairs[:_MAX_PAIRS]:
        item, record = mark_differences(pair.item_text, pair.record_text)
        detail = f", {_escape(pair.detail)}" if pair.detail else ""
        yield (
            f"<details{' open' if level == 'near_duplicate' else ''}><summary><strong>{_escape(pair.item_id)}</strong> "
            f"{pair.score:.2f}{detail} &middot; {_escape(pair.record)}</summary>\n"
            f'<div class="pair"><p>{item}</p><p>{record}</p></div></details>\n'
        )


def mark_differences(left: str, right: str) -> tuple[str, str]:
    """Return both texts as HTML, with words marked that the other lacks there; case and punctuation do not count."""
    left_words, right_words = (list(_WORD.finditer(text))[:_MAX_WORDS] for text in (left, right))
    keys = [[normalize(word[0]) for word in words] for words in (left_words, right_words)]
    blocks = difflib.SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes()
    changed = [block for block in blocks if block[0] != "equal"]
    return (
        _marked(left, left_words, [(start, end) for _, start, end, _, _ in changed]),
        _marked(right, right_words, [(start, end) for _, _, _, start, end in changed]),
    )


def _marked(text: str, words: Sequence[re.Match[str]], runs: Iterable[tuple[int, int]]) -> str:
    parts, place = [], 0
    for start, end in runs:
        if start == end:
            continue
        begin, stop = words[start].start(), words[end - 1].end()
        parts += [_escape(text[place:begin]), f"<mark>{_escape(text[begin:stop])}</mark>"]
        place = stop
    return "".join(parts) + _escape(text[place:])
