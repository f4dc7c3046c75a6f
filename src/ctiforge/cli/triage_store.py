"""What the commands of ``ctiforge triage`` share: which store, which person, what to say if a package is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from ctiforge.cli.extras import needing
from ctiforge.core.errors import CtiforgeError
from ctiforge.core.paths import user_data_dir

if TYPE_CHECKING:
    from ctiforge.triage import TriageStore

__all__ = ["DbOption", "JsonFlag", "PersonOption", "opened", "print_json"]

DbOption = Annotated[
    str | None,
    typer.Option(
        "--db",
        envvar="CTIFORGE_TRIAGE_DB",
        metavar="FILE|URL",
        help="The store: a file (SQLite), or postgresql://user@host/database.",
        show_default="the user data folder, triage.db",
    ),
]
PersonOption = Annotated[
    str, typer.Option("--as", envvar="CTIFORGE_REVIEWER", metavar="NAME", help="Who does it; the audit trail keeps the name.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead, for programs.")]


_TYPED: Final = {
    "reason": "--reason TEXT",
    "reviewer": "--as NAME, or CTIFORGE_REVIEWER",
    "rules": "ctiforge triage rank --settings FILE",
    "item": "ctiforge triage show {id}",
    "items": "ctiforge triage queue --state all --text WORD",
    "reference": "--reference FIRST..LAST, --every quarter",
    "every": "--every quarter",
    "entry": "ctiforge cwe search WORDS",
    "store": "--db FILE, or CTIFORGE_TRIAGE_DB",
}
"""What to type, by what an error is about."""


@contextmanager
def opened(where: str | None) -> Iterator[TriageStore]:
    """Open the store that the user names, and close it; errors from inside say what to type.

    Raises:
        MissingExtraError: a package that triage needs is not installed.
    """
    with needing("triage"):
        from ctiforge.triage import open_store
    try:
        with open_store(where or user_data_dir() / "triage.db") as store:
            yield store
    except CtiforgeError as error:
        if typed := _TYPED.get(error.about):
            error.fix = f"{error.fix}: {typed.format(id=getattr(error, 'item_id', 'ID'))}"
        raise


def print_json(value: Any) -> None:
    """Print a value of triage, or a list of them, as JSON."""
    typer.echo(orjson.dumps(_plain(value), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict | MappingProxyType):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
