"""Write docs/cli.md from the commands themselves; a test fails when they differ.

.venv/bin/python docs/render_cli.py
"""

from __future__ import annotations

from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from ctiforge.cli.commands import app
from ctiforge.core.files import write_text

__all__ = ["TARGET", "render_cli"]

TARGET = Path(__file__).parent / "cli.md"


def render_cli() -> str:
    """Return the help of every command as Markdown."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="ctiforge", title="Commands")
    return text.strip() + "\n"


if __name__ == "__main__":
    write_text(TARGET, render_cli())
