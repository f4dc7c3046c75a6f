"""``ctiforge sources pull``: get catalogues and feeds; the one command that goes to the network for them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from ctiforge.core.errors import SettingError
from ctiforge.core.paths import user_data_dir
from ctiforge.sources.published import SOURCES
from ctiforge.sources.pull import PulledFile, pull_sources

__all__ = ["app", "default_sources_dir"]

app = typer.Typer(name="sources", help="Get ATT&CK, CAPEC, CWE, KEV and EPSS from their publishers.", no_args_is_help=True)


def default_sources_dir() -> Path:
    """Return where pulled files lie unless the user names a folder."""
    return user_data_dir() / "sources"


@app.callback()
def _group() -> None: ...  # so that `pull` stays a command of its own


@app.command()
def pull(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help=f"Any of {', '.join(SOURCES)}.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files.", show_default="the user data folder, sources/")
    ] = None,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="DIR|URL", help="Folder or mirror that has the files by their names.")
    ] = None,
    release: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE=RELEASE", help="Another release than the tested one, e.g. attack=19.2.")
    ] = None,
    sha256: Annotated[
        list[str] | None, typer.Option(metavar="FILE=HEX", help="SHA-256 that a file must have, where you know it.")
    ] = None,
) -> None:
    """Get the files of sources: resumed if broken off, checked, and put into place whole.

    A proxy is taken from HTTPS_PROXY. With --from DIR nothing goes to the network.
    """
    folder = out or default_sources_dir()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        tasks: dict[str, int] = {}

        def on_bytes(name: str, count: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=None)
            progress.update(tasks[name], completed=count)  # type: ignore[arg-type]

        pulled = pull_sources(
            sources,
            folder,
            origin=origin,
            releases=_pairs(release, "--release"),
            digests=_pairs(sha256, "--sha256"),
            show=lambda text: typer.echo(text, err=True),
            on_bytes=on_bytes,
        )
    for each in pulled:
        typer.echo(_line(each))
    typer.echo(f"build a knowledge base from them: ctiforge kb build --sources {folder}", err=True)


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    found = {}
    for text in given or ():
        name, mark, value = text.partition("=")
        if not mark or not name or not value:
            raise SettingError(f"{option} {text!r} is no pair", fix=f"write it as {option} NAME=VALUE")
        found[name] = value
    return found


def _line(each: PulledFile) -> str:
    release = f" {each.release}" if each.release else ""
    digest = f"sha256 {each.sha256}{'' if each.pinned else ' (not pinned: this is what came)'}"
    resumed = f", {each.requests} requests" if each.requests > 1 else ""
    return f"{each.path}: {each.source}{release}, {each.bytes:,} bytes, {each.how}{resumed}, {digest}"
