"""How ``ctiforge kb`` shows passages, objects and versions to people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ctiforge.ask import KnowledgeBase, KnowledgeObject, Relation, ScoredPassage, SourceVersion

__all__ = ["render_hits", "render_object", "render_overview", "render_versions"]

_LISTED: Final = 8
_PARAGRAPHS: Final = 12
_LAST: Final = ("uses", "used-by", "read-by", "observed-in", "example-of", "weakness-of")
"""Relations that are many; the others tell more at a glance."""


def render_hits(console: Console, base: KnowledgeBase, hits: Sequence[ScoredPassage]) -> None:
    """Print passages, best first, each with its identifier to cite it by."""
    if not hits:
        console.print("nothing was found")
    for rank, hit in enumerate(hits, start=1):
        passage = hit.passage
        each = base[passage.object_id]
        about = passage.heading.partition(f"{each.id} {each.name}")[2].removeprefix(": ")
        console.print(Text.assemble((f"{rank:>2}  ", "dim"), (each.id, "bold cyan"), "  ", (each.name, "bold"), _dim(about)))
        console.print(Padding(Text(passage.text), (0, 0, 0, 4)))
        meaning = f", cosine {hit.cosine:.2f}" if hit.cosine is not None else ""
        console.print(Text(f"    {passage.id}   bm25 {hit.bm25:.1f}{meaning}", style="dim"))
        console.print()


def _dim(text: str) -> tuple[str, str]:
    return (f"  {text}" if text else "", "dim")


def render_object(
    console: Console,
    base: KnowledgeBase,
    each: KnowledgeObject,
    *,
    asked: str = "",
    relation: str | None = None,
    passages: bool = False,
) -> None:
    """Print an object: what it is, its facts, its text, its relations.

    Args:
        asked: what the user called it; said where the object is its successor.
        relation: print this one in full instead of the first few of each.
        passages: print the passages instead of the text.
    """
    title = each.name if each.name != each.id else ""
    console.print(Text.assemble((each.id, "bold cyan"), "  ", (title.removeprefix(each.id).strip(), "bold")))
    if asked and asked.strip().upper().replace("/", ".") in base.redirects:
        console.print(f"{asked.strip()} was withdrawn by its source; this took its place", style="yellow")
    console.print(_facts_grid(each))
    if passages:
        for passage in base.passages_of(each.id):
            console.print(Text(f"\n{passage.id}  {passage.heading}", style="dim"))
            console.print(Padding(Text(passage.text), (0, 0, 0, 2)))
    elif each.text and relation is None:
        lines = each.text.split("\n")
        cut = [*lines[:_PARAGRAPHS], *(["… (--passages shows all)"] if len(lines) > _PARAGRAPHS else [])]
        console.print(Padding(Text("\n".join(cut)), (1, 0, 0, 0)))
    console.print()
    _render_relations(console, each, relation)


def _facts_grid(each: KnowledgeObject) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    domains = f" ({', '.join(each.domains)})" if each.domains else ""
    grid.add_row("kind", Text(each.kind.replace("-", " ") + domains))
    dates = [f"{label} {day}" for label, day in (("created", each.created), ("modified", each.modified)) if day]
    for label, value in (
        ("also called", ", ".join(each.aliases)),
        ("tactics", ", ".join(each.tactics)),
        ("platforms", ", ".join(each.platforms)),
        *each.facts,
        ("dates", ", ".join(dates)),
        ("page", each.url),
    ):
        if value:
            grid.add_row(label, Text(value))
    return grid


def _render_relations(console: Console, each: KnowledgeObject, relation: str | None) -> None:
    groups: dict[str, list[Relation]] = {}
    for one in each.relations:
        groups.setdefault(one.kind, []).append(one)
    if relation is not None:
        found = groups.get(relation, [])
        console.print(f"{relation} ({len(found):,})", style="bold")
        for one in found:
            console.print(Text.assemble("  ", (one.other, "cyan"), " ", one.name if one.name != one.other else ""))
            if one.description:
                console.print(Padding(Text(one.description), (0, 0, 0, 4)))
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for kind, relations in sorted(groups.items(), key=lambda group: group[0] in _LAST):
        lines = [
            Text.assemble((one.other, "cyan"), " ", one.name if one.name != one.other else "") for one in relations[:_LISTED]
        ]
        if len(relations) > _LISTED:
            lines.append(Text(f"and {len(relations) - _LISTED:,} more (--relation {kind} lists all)", style="dim"))
        grid.add_row(kind.replace("-", " "), Text("\n").join(lines))
    if groups:
        console.print(grid)


def render_overview(console: Console, base: KnowledgeBase) -> None:
    """Print where a knowledge base lies, what it holds and how it is searched."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("folder", Text(str(base.root)))
    grid.add_row("build", Text(base.manifest.build))
    for name, count in base.manifest.counts.items():
        grid.add_row(name.replace("-", " "), Text(f"{count:,}"))
    grid.add_row("searched by", Text("words and meaning" if base.has_embeddings else f"words only: {base.note}"))
    console.print(grid)
    console.print()


def render_versions(console: Console, sources: Iterable[SourceVersion]) -> None:
    """Print which release of which source answered."""
    for source in sources:
        release = f" {source.version}" if source.version else ""
        date = f" of {source.date}" if source.date else ""
        console.print(f"{source.name}{release}{date}, sha256 {source.sha256[:16]}", style="dim", soft_wrap=True)
