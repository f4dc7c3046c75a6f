"""``ctiforge keys``: who may use a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.table import Table
from rich.text import Text

from ctiforge.cli.cwe_render import output_console
from ctiforge.cli.extras import needing
from ctiforge.cli.serve_options import KeysOption, default_keys_path
from ctiforge.cli.triage_store import JsonFlag

if TYPE_CHECKING:
    from ctiforge.serve.keys import KeyRing

__all__ = ["add", "app", "list_keys", "revoke"]

app = typer.Typer(name="keys", help="API keys of `ctiforge serve`: make, list, revoke.", no_args_is_help=True)
_NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The person; the audit trail keeps the name.")]


@app.command()
def add(
    name: _NameArgument,
    role: Annotated[
        str, typer.Option(help="reader: sees. reviewer: also decides. admin: also takes back others' bulk acceptances.")
    ] = "reader",
    keys: KeysOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a key and print it, this once: the file keeps only its hash."""
    key = _ring(keys).add(name, role)
    if as_json:
        typer.echo(orjson.dumps({"name": name, "role": role, "key": key}).decode())
        return
    typer.echo(key)
    typer.echo(f"{name} is a {role}. The key is not kept; a running server takes it at once.", err=True)


@app.command("list")
def list_keys(keys: KeysOption = None, as_json: JsonFlag = False) -> None:
    """List who has a key."""
    records = _ring(keys).records
    if as_json:
        shown = [{"id": each.id, "name": each.name, "role": each.role, "created": each.created} for each in records]
        typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
        return
    if not records:
        typer.echo("there are no keys; ctiforge keys add NAME --role reviewer makes one")
        return
    table = Table("id", "name", "role", "since", box=None, pad_edge=False)
    for each in records:
        table.add_row(each.id, Text(each.name), each.role, each.created[:10])
    output_console().print(table)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME|ID", help="As `keys list` shows it.")], keys: KeysOption = None
) -> None:
    """Take a key away; a running server refuses it at once."""
    gone = _ring(keys).revoke(name)
    typer.echo(f"the key {gone.id} of {gone.name} ({gone.role}) is revoked")


def _ring(path: KeysOption) -> KeyRing:
    with needing("serve"):
        from ctiforge.serve.keys import KeyRing

    return KeyRing(path or default_keys_path())
