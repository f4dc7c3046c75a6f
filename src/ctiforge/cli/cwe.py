"""``ctiforge cwe``: look up weaknesses, their mapping rules and their place in View-1000; install a newer CWE release."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from ctiforge.cli.cwe_render import (
    error_console,
    output_console,
    render_change,
    render_entry,
    render_matches,
    render_unknown,
    render_version,
    render_way_between,
    render_ways_up,
)
from ctiforge.core.errors import CtiforgeError, ExitCode
from ctiforge.core.weakness import Weakness
from ctiforge.sources.cwe import CweCatalogue, installed_table, load_catalogue, shipped_table
from ctiforge.sources.cwe_install import CatalogueChange, compare_catalogues, install_catalogue, read_release, use_shipped

__all__ = ["app"]

app = typer.Typer(
    name="cwe",
    help="Look up CWE weaknesses and MITRE's mapping rules; install a newer CWE release.",
    no_args_is_help=True,
)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object instead, for programs.")]


@app.command()
def show(
    entries: Annotated[list[str], typer.Argument(metavar="ID_OR_NAME...", help="CWE-79, 79, XSS, 'SQL Injection' ...")],
    as_json: JsonFlag = False,
) -> None:
    """Show weaknesses: level, mapping usage and why, what to prefer, parents, children, chains, views."""
    catalogue = load_catalogue()
    found, missed = _resolve_all(catalogue, entries)
    if as_json:
        unknown = [{"text": text, "suggestions": catalogue.suggest(text)} for text in missed]
        _print_json(catalogue, {"entries": [_facts(catalogue, catalogue[i]) for i in found], "unknown": unknown})
    else:
        console = output_console()
        for cwe_id in found:
            render_entry(console, catalogue, catalogue[cwe_id])
            console.print()
        if found:
            render_version(console, catalogue)
        render_unknown(catalogue, missed)
    if missed:
        raise typer.Exit(ExitCode.ERROR)


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="Words, or their beginnings, that the name or a term must hold.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most entries to list.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """Search names, alternate terms and former names."""
    catalogue = load_catalogue()
    query = " ".join(words)
    matches = catalogue.search(query, limit)
    if as_json:
        rows = [{"usage": catalogue[m.cwe_id].usage, "abstraction": catalogue[m.cwe_id].abstraction} for m in matches]
        _print_json(catalogue, {"query": query, "matches": [_as_dict(m) | row for m, row in zip(matches, rows, strict=True)]})
    elif matches:
        console = output_console()
        render_matches(console, catalogue, matches)
        console.print()
        render_version(console, catalogue)
    else:
        render_unknown(catalogue, [query])
    if not matches:
        raise typer.Exit(ExitCode.ERROR)


@app.command()
def path(
    start: Annotated[str, typer.Argument(metavar="A", help="An entry, by identifier or name.")],
    end: Annotated[str | None, typer.Argument(metavar="[B]", help="Another entry; without it, every way up is shown.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the ways from an entry up to its pillars, or the shortest way between two entries, in View-1000."""
    catalogue = load_catalogue()
    wanted = [start] if end is None else [start, end]
    resolved = {text: catalogue.resolve(text) for text in wanted}
    if missed := [text for text, cwe_id in resolved.items() if cwe_id is None]:
        if as_json:
            _print_json(catalogue, {"unknown": [{"text": text, "suggestions": catalogue.suggest(text)} for text in missed]})
        else:
            render_unknown(catalogue, missed)
        raise typer.Exit(ExitCode.ERROR)
    ids = [cwe_id for text in wanted if (cwe_id := resolved[text])]
    if as_json:
        _print_json(catalogue, _path_facts(catalogue, ids))
        return
    console = output_console()
    if len(ids) == 1:
        render_ways_up(console, catalogue, ids[0])
    else:
        render_way_between(console, catalogue, ids[0], ids[1])
    console.print()
    render_version(console, catalogue)


@app.command()
def use(
    file: Annotated[Path | None, typer.Argument(help="MITRE's XML: cwec_vX.Y.xml, or its .zip, .gz, .xz, .bz2.")] = None,
    shipped: Annotated[bool, typer.Option("--shipped", help="Go back to the release shipped with ctiforge.")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Take a file that holds only a part of CWE.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Put another CWE release into force for you, and show what it changes."""
    if (file is None) == (not shipped):
        raise typer.BadParameter("give either FILE or --shipped")
    before = _in_force_or_shipped()
    if file is None:
        use_shipped()
    else:
        install_catalogue(file, partial=partial)
    after = load_catalogue(installed_table() if file else shipped_table())
    _print_change(after, compare_catalogues(before, after), f"CWE {after.version} is now in force", as_json=as_json)
    if override := os.environ.get("CTIFORGE_CWE"):
        error_console().print(f"note: CTIFORGE_CWE is set, so {override} is used as long as it is", style="yellow")


@app.command()
def diff(
    file: Annotated[Path, typer.Argument(help="MITRE's XML, as for `use`.")],
    partial: Annotated[bool, typer.Option("--partial", help="Take a file that holds only a part of CWE.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what another CWE release would change; nothing is installed."""
    before = load_catalogue()
    after, _ = read_release(file, partial=partial)
    _print_change(before, compare_catalogues(before, after), f"CWE {before.version} stays in force", as_json=as_json)


def _in_force_or_shipped() -> CweCatalogue:
    """Return what the change is measured against; a damaged table must not keep `use` from repairing it."""
    try:
        return load_catalogue()
    except CtiforgeError:
        return load_catalogue(shipped_table())


def _resolve_all(catalogue: CweCatalogue, texts: list[str]) -> tuple[list[str], list[str]]:
    """Resolve each text; if that fails, all of them as one name, because quotes are easily forgotten."""
    resolved = {text: catalogue.resolve(text) for text in texts}
    if None in resolved.values() and (whole := catalogue.resolve(" ".join(texts))):
        return [whole], []
    found = dict.fromkeys(cwe_id for cwe_id in resolved.values() if cwe_id)
    return list(found), [text for text, cwe_id in resolved.items() if cwe_id is None]


def _facts(catalogue: CweCatalogue, entry: Weakness) -> dict[str, Any]:
    preference = catalogue.preference(entry.cwe_id)
    return _as_dict(entry) | {
        "suggestable": catalogue.is_suggestable(entry.cwe_id),
        "prefer": preference.cwe_ids,
        "prefer_source": preference.source,
        "children": catalogue.children(entry.cwe_id),
        "members": catalogue.members(entry.cwe_id),
        "observed_examples": catalogue.observed_examples(entry.cwe_id),
    }


def _path_facts(catalogue: CweCatalogue, ids: list[str]) -> dict[str, Any]:
    if len(ids) == 1:
        return {"from": ids[0], "paths_to_root": catalogue.paths_to_root(ids[0])}
    return {
        "from": ids[0],
        "to": ids[1],
        "path": catalogue.path_between(ids[0], ids[1]),
        "distance": catalogue.distance(ids[0], ids[1]),
    }


def _as_dict(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(orjson.dumps(value))
    return found


def _print_json(catalogue: CweCatalogue, content: dict[str, Any]) -> None:
    whole = content | {"cwe_version": catalogue.version, "cwe_date": catalogue.date, "cwe_digest": catalogue.digest}
    typer.echo(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode())


def _print_change(catalogue: CweCatalogue, change: CatalogueChange, done: str, *, as_json: bool) -> None:
    if as_json:
        _print_json(catalogue, _as_dict(change))
    else:
        render_change(output_console(), catalogue, change, done)
