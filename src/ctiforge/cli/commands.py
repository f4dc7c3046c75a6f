"""The commands by name. Each is imported when it is asked for: `classify` must answer before others are even read."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from ctiforge import __version__

__all__ = ["app"]

_COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "classify": "classify:classify",
        "classify index": "classify_index:index",
        "doctor": "doctor:doctor",
        "cwe": "cwe:app",
        "sources": "sources:app",
        "kb": "kb:app",
        "ask": "ask:ask",
        "chat": "chat:chat",
        "chat list": "chat:list_conversations",
        "chat show": "chat:show",
        "chat delete": "chat:delete",
        "corpus": "corpus:app",
        "train": "train:app",
        "plan": "plan:plan",
        "export": "export:app",
        "bundle": "bundle:app",
        "triage": "triage:app",
        "serve": "serve:serve",
        "keys": "keys:app",
        "mcp": "mcp:mcp",
        "bench": "bench:app",
    }
)
"""Where each command is, below this package."""


class _Commands(TyperGroup):
    """Commands, some of which are two words: the first alone is a command too, and takes texts and paths after it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = cast(Any, dict.fromkeys(_COMMANDS))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command, if there is one of that name."""
        if cmd_name in _COMMANDS and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of two words, if the first two are one, else that of the first."""
        both = " ".join(args[:2])
        return super().resolve_command(ctx, [both, *args[2:]] if both in self.commands else args)


def _load(name: str) -> Any:
    module, attribute = _COMMANDS[name].split(":")
    found = getattr(import_module(f"ctiforge.cli.{module}"), attribute)
    holder = typer.Typer(add_completion=False)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
        return cast(Any, typer.main.get_command(holder)).commands[name]
    holder.command(name)(found)
    return typer.main.get_command(holder)


app = typer.Typer(
    name="ctiforge",
    cls=_Commands,
    help="Compact, defensive cyber-threat-intelligence models that run where the data is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
