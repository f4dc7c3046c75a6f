"""Terminal and Markdown as a whole, byte for byte. After a wanted change: ``UPDATE_GOLDEN=1 pytest tests/bench/report``."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from ctiforge.bench.report import render_json, render_markdown, render_terminal

GOLDEN = Path(__file__).with_name("golden")


def on_a_terminal(records: list[dict[str, Any]], width: int, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False, _environ={})
    console.print(render_terminal(records, **options))
    return console.file.getvalue()  # type: ignore[attr-defined]


def rendered(variant: str, invented: SimpleNamespace) -> str:
    match variant:
        case "terminal-100.txt":
            return on_a_terminal(invented.usual(), 100)
        case "terminal-80.txt":
            return on_a_terminal(invented.usual(), 80, details=False)
        case "terminal-hard.txt":
            return on_a_terminal([invented.no_valid_trial(), invented.nothing_answered(), invented.hostile()], 100)
        case "report.md":
            return render_markdown(invented.usual())
        case "report-hard.md":
            return render_markdown([invented.no_valid_trial(), invented.nothing_answered(), invented.hostile()])
        case _:
            return render_json(invented.usual()[1:])


@pytest.mark.parametrize(
    "variant", ["terminal-100.txt", "terminal-80.txt", "terminal-hard.txt", "report.md", "report-hard.md", "report.json"]
)
def test_report_is_the_golden_file(variant: str, invented: SimpleNamespace) -> None:
    text = rendered(variant, invented)
    path = GOLDEN / variant
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_bytes(text.encode())
    assert text.encode() == path.read_bytes()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_line_is_wider_than_the_terminal_and_no_column_is_lost(width: int, invented: SimpleNamespace) -> None:
    lines = on_a_terminal(invented.usual(), width).splitlines()
    assert max(map(len, lines)) <= width
    summary = " ".join(lines[: [line.strip() for line in lines].index("cti-mcq")])
    for word in ("Accuracy", "interval", "trials", "Parsed", "Protocol", "0.7500 ± 0.0100", "0.688–0.807"):
        assert word in summary
