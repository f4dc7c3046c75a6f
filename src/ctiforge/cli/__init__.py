"""The command line: one module a command group; parsing, one call, rendering, and nothing else.

A user error prints one message and what to do, and ends with its exit code; a bug keeps its traceback.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ctiforge import __version__
from ctiforge.cli import bench, classify, classify_index, corpus, cwe, doctor, kb, sources, train
from ctiforge.core.errors import CtiforgeError

__all__ = ["app", "main"]


class _Commands(TyperGroup):
    """Commands, some of which are two words: the first alone is a command too, and takes texts and paths after it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of two words, if the first two are one, else that of the first."""
        both = " ".join(args[:2])
        return super().resolve_command(ctx, [both, *args[2:]] if both in self.commands else args)


app = typer.Typer(
    name="ctiforge",
    cls=_Commands,
    help="Compact, defensive cyber-threat-intelligence models that run where the data is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("classify")(classify.classify)
app.command("classify index")(classify_index.index)
app.add_typer(cwe.app, name="cwe")
app.add_typer(sources.app, name="sources")
app.add_typer(kb.app, name="kb")
app.add_typer(corpus.app, name="corpus")
app.add_typer(train.app, name="train")
app.add_typer(bench.app, name="bench")
app.command("doctor")(doctor.doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ctiforge {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
) -> None: ...


def _write_utf8() -> None:
    """Give files and pipes UTF-8 whatever the locale; a terminal gets what it can show, and marks for the rest."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace") if stream.isatty() else stream.reconfigure(encoding="utf-8")


def main() -> None:
    """Run the command line."""
    _write_utf8()
    try:
        app()
    except CtiforgeError as error:
        typer.echo(f"ctiforge: {error}", err=True)
        sys.exit(error.exit_code)
