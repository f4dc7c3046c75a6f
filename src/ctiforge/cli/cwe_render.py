"""How ``ctiforge cwe`` shows entries, paths and changes to people."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ctiforge.core.weakness import Weakness
from ctiforge.sources.cwe import CweCatalogue, CweMatch, shipped_table
from ctiforge.sources.cwe_install import CatalogueChange
from ctiforge.sources.cwe_names import words_of

__all__ = [
    "USAGE_STYLES",
    "error_console",
    "output_console",
    "render_change",
    "render_entry",
    "render_matches",
    "render_unknown",
    "render_version",
    "render_way_between",
    "render_ways_up",
]

USAGE_STYLES: Final = {
    "Allowed": "green",
    "Allowed-with-Review": "yellow",
    "Discouraged": "red",
    "Prohibited": "bold red",
}
_LISTED = 12
_PREFER_TEXTS = {
    "mitre": "named by MITRE",
    "chain": "the links of this chain; map to each of them",
    "members": "members that may be used",
    "descendants": "nearest entries below it that may be used",
    "ancestors": "nearest entries above it that may be used",
    "none": "nothing close to it may be used",
}


def output_console() -> Console:
    """Return a console for answers; texts of the catalogue are printed as they are, brackets included."""
    # Into a pipe rich would wrap at 80 columns; names are longer, and a line that is searched should be whole.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    return Console(width=width, highlight=False, markup=False)


def error_console() -> Console:
    """Return a console for messages, on standard error."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def _usage_text(entry: Weakness) -> Text:
    return Text(entry.usage, style=USAGE_STYLES[entry.usage])


def _id_text(entry: Weakness) -> Text:
    return Text(entry.cwe_id, style="bold")


def _line(catalogue: CweCatalogue, cwe_id: str, comment: str = "") -> Text:
    """Return 'CWE-787 Out-of-bounds Write', with the usage where the entry is not simply allowed."""
    entry = catalogue.get(cwe_id)
    text = Text(f"{cwe_id:<9}", style="cyan")
    if entry is None:
        return text
    text.append(entry.name, style="default")
    if not set(words_of(comment).split()) <= set(words_of(entry.name).split()):
        text.append(f" ({comment})", style="dim")
    if entry.usage != "Allowed" and entry.abstraction not in ("Category", "View"):
        text.append(f"  {entry.usage}", style=USAGE_STYLES[entry.usage])
    return text


def _lines(catalogue: CweCatalogue, cwe_ids: Iterable[str], comments: dict[str, str] | None = None) -> Text:
    ids = list(cwe_ids)
    lines = [_line(catalogue, cwe_id, (comments or {}).get(cwe_id, "")) for cwe_id in ids[:_LISTED]]
    if len(ids) > _LISTED:
        lines.append(Text(f"and {len(ids) - _LISTED} more (--json lists all)", style="dim"))
    return Text("\n").join(lines)


def render_entry(console: Console, catalogue: CweCatalogue, entry: Weakness) -> None:
    """Print all that matters for mapping about one entry."""
    console.print(Text.assemble((entry.cwe_id, "bold cyan"), "  ", (entry.name, "bold")))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("level", Text(f"{entry.abstraction}, {entry.status}" if entry.status else entry.abstraction))
    grid.add_row("mapping", _usage_text(entry))
    if entry.rationale:
        grid.add_row("", Text(entry.rationale))
    preference = catalogue.preference(entry.cwe_id)
    if preference.source != "itself":
        comments = {suggestion.cwe_id: suggestion.comment for suggestion in entry.suggestions}
        grid.add_row("prefer", Text(_PREFER_TEXTS[preference.source], style="dim"))
        if preference.cwe_ids:
            grid.add_row("", _lines(catalogue, preference.cwe_ids, comments))
    if entry.terms:
        grid.add_row("also called", Text(", ".join(entry.terms)))
    for label, ids in (
        ("parents", entry.parents),
        ("children", catalogue.children(entry.cwe_id)),
        ("members", catalogue.members(entry.cwe_id)),
        ("leads to", entry.can_precede),
        ("follows", entry.can_follow),
        ("requires", entry.requires),
        ("chain of", entry.chain),
        ("peers", entry.peers),
    ):
        if ids:
            grid.add_row(label, _lines(catalogue, ids))
    if entry.views:
        grid.add_row("views", _view_text(catalogue, entry))
    if examples := catalogue.observed_examples(entry.cwe_id):
        more = f" and {len(examples) - 4} more" if len(examples) > 4 else ""
        grid.add_row("seen in", Text(", ".join(examples[:4]) + more))
    console.print(grid)


def _view_text(catalogue: CweCatalogue, entry: Weakness) -> Text:
    """Return the view for published vulnerabilities by name and the others by number."""
    mapping = "CWE-1003"
    others = [view for view in entry.views if view != mapping]
    text = Text()
    if mapping in entry.views:
        text.append_text(_line(catalogue, mapping)).append("\n" if others else "")
    return text.append(", ".join(others), style="default")


def render_matches(console: Console, catalogue: CweCatalogue, matches: list[CweMatch]) -> None:
    """Print a table of entries that a search found."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, ratio in (("Entry", None), ("Usage", None), ("Level", None), ("Name", 1)):
        table.add_column(column, ratio=ratio, no_wrap=ratio is None)
    for match in matches:
        entry = catalogue[match.cwe_id]
        name = Text(entry.name)
        if match.matched not in entry.name:
            name.append(f"  ({match.matched})", style="dim")
        table.add_row(_id_text(entry), _usage_text(entry), entry.abstraction, name)
    console.print(table)


def render_ways_up(console: Console, catalogue: CweCatalogue, cwe_id: str) -> None:
    """Print the pillars above an entry and every way down to it, as trees."""
    paths = catalogue.paths_to_root(cwe_id)
    if not paths:
        console.print(_line(catalogue, cwe_id))
        console.print("is no weakness, so it has no place among the weaknesses of View-1000")
        return
    roots: dict[str, Tree] = {}
    nodes: dict[tuple[str, ...], Tree] = {}
    for way in paths:
        down = tuple(reversed(way))
        for depth in range(1, len(down) + 1):
            key = down[:depth]
            if key in nodes:
                continue
            label = _line(catalogue, key[-1])
            if key[-1] == cwe_id:
                label.stylize("bold")
            if depth == 1:
                nodes[key] = roots[key[0]] = Tree(label, guide_style="dim")
            else:
                nodes[key] = nodes[key[:-1]].add(label)
    for tree in roots.values():
        console.print(tree)


def render_way_between(console: Console, catalogue: CweCatalogue, start: str, end: str) -> None:
    """Print a shortest way between two entries, step by step, and its length."""
    way = catalogue.path_between(start, end)
    if way is None:
        console.print(_line(catalogue, start))
        console.print(_line(catalogue, end))
        console.print("are not connected by ChildOf in View-1000")
        return
    for here, following in zip(way, [*way[1:], ""], strict=True):
        console.print(_line(catalogue, here))
        if following:
            is_up = following in catalogue.parents(here)
            console.print("   ↑ child of" if is_up else "   ↓ parent of", style="dim")
    console.print(f"distance {len(way) - 1}")


def render_change(console: Console, catalogue: CweCatalogue, change: CatalogueChange, done: str) -> None:
    """Print what another release changes, then `done`, then the version in force."""
    console.print(f"CWE {change.before} → CWE {change.after}", style="bold")
    if change.is_empty:
        console.print("no weakness is new, gone, deprecated, renamed or used differently")
    for title, weaknesses in (
        ("new", change.added),
        ("now deprecated", change.deprecated),
        ("gone", change.removed),
        ("renamed", change.renamed),
    ):
        if weaknesses:
            console.print(f"\n{title} ({len(weaknesses)})", style="bold")
            for entry in weaknesses:
                console.print(Text.assemble(" ", (f"{entry.cwe_id:<9}", "cyan"), entry.name, "  ", _usage_text(entry)))
    if change.usage:
        console.print(f"\nmapping usage changed ({len(change.usage)})", style="bold")
        for item in change.usage:
            after = (item.after, USAGE_STYLES[item.after])
            console.print(Text.assemble(" ", (f"{item.cwe_id:<9}", "cyan"), item.name, f"  {item.before} → ", after))
    console.print()
    console.print(done)
    render_version(console, catalogue)


def render_version(console: Console, catalogue: CweCatalogue) -> None:
    """Print which release answered and where it is."""
    place = "shipped with ctiforge" if Path(catalogue.path) == shipped_table().resolve() else catalogue.path
    console.print(f"CWE {catalogue.version} of {catalogue.date}, {place}", style="dim", soft_wrap=True)


def render_unknown(catalogue: CweCatalogue, texts: list[str]) -> None:
    """Print to standard error that texts name no entry, and what they may have meant."""
    errors = error_console()
    if not texts:
        return
    for text in texts:
        errors.print(f"CWE {catalogue.version} has no entry {text!r}", style="red")
        for match in catalogue.suggest(text):
            errors.print(Text.assemble("  did you mean ", (match.cwe_id, "cyan"), f" {match.matched}?"))
    errors.print("  fix: find entries by their words with: ctiforge cwe search WORDS")
