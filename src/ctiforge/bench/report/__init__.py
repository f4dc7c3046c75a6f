"""Reports on benchmark records: terminal, Markdown, JSON and one HTML file, all from the same tables."""

from __future__ import annotations

from ctiforge.bench.records import RECORD_FORMAT, Record, check_record, load_record
from ctiforge.bench.report.html import render_html, write_html
from ctiforge.bench.report.json_text import render_json
from ctiforge.bench.report.markdown import render_markdown
from ctiforge.bench.report.terminal import render_terminal

__all__ = [
    "RECORD_FORMAT",
    "Record",
    "check_record",
    "load_record",
    "render_html",
    "render_json",
    "render_markdown",
    "render_terminal",
    "write_html",
]
