"""``ctiforge kb``: build a knowledge base, search it, show what it says about an object."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from ctiforge.ask import BuildInputs, KnowledgeBase, build_knowledge_base
from ctiforge.ask.build import BuildReport, describe_report
from ctiforge.ask.graph import check_relation
from ctiforge.ask.layout import sources_as_json
from ctiforge.ask.objects import OBJECT_KINDS
from ctiforge.cli.cwe_render import error_console, output_console
from ctiforge.cli.kb_progress import KbProgress
from ctiforge.cli.kb_reader import register
from ctiforge.cli.kb_render import render_hits, render_object, render_overview, render_versions
from ctiforge.core.errors import ExitCode, InputError, SettingError
from ctiforge.core.paths import user_data_dir
from ctiforge.sources.published import SOURCES

__all__ = ["app", "default_kb_dir", "open_knowledge_base"]

app = typer.Typer(
    name="kb", help="Build and search a knowledge base of ATT&CK, CAPEC, CWE, CVE and your own documents.", no_args_is_help=True
)

KbOption = Annotated[
    Path | None, typer.Option("--kb", metavar="DIR", help="The knowledge base.", show_default="the user data folder, kb/")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object instead, for programs.")]
NoEmbeddings = Annotated[bool, typer.Option("--no-embeddings", help="Search by words only (BM25).")]


def default_kb_dir() -> Path:
    """Return where the knowledge base lies unless the user names a folder."""
    return user_data_dir() / "kb"


def open_knowledge_base(folder: Path | None, *, embeddings: bool = True) -> KnowledgeBase:
    """Open the knowledge base in `folder`, by default the user's own."""
    return KnowledgeBase.load(folder or default_kb_dir(), embeddings=embeddings)


@app.command()
def build(
    attack: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="ATT&CK's STIX bundle; once for each of the three domains.")
    ] = None,
    attack_version: Annotated[str, typer.Option(help="The release, for bundles that do not state it.")] = "",
    capec: Annotated[Path | None, typer.Option(metavar="FILE", help="CAPEC's STIX bundle or XML.")] = None,
    cwe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CWE's XML.", show_default="the one in the package cwe2")
    ] = None,
    cve: Annotated[
        list[Path] | None, typer.Option(metavar="FEED", help="CVE records, in any format that `classify` reads.")
    ] = None,
    docs: Annotated[Path | None, typer.Option(metavar="DIR", help="Your own documents: Markdown, HTML, PDF, text.")] = None,
    sources: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of `sources pull`: take ATT&CK, CAPEC and CWE from it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The knowledge base.", show_default="the user data folder, kb/")
    ] = None,
    no_embeddings: NoEmbeddings = False,
    threads: Annotated[int, typer.Option(min=0, help="For embedding; 0: as many as there are cores.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Build a knowledge base, or bring it up to date: only what changed is embedded again.

    The one that is there answers until the new one is complete, and if the build fails.
    """
    inputs = BuildInputs(
        attack=tuple(attack or ()), attack_version=attack_version, capec=capec, cwe=cwe, cves=tuple(cve or ()), docs=docs
    )
    if sources is not None:
        inputs = _with_pulled(inputs, sources)
    folder = out or default_kb_dir()
    started = time.monotonic()
    with KbProgress(visible=sys.stderr.isatty()) as progress:
        report = build_knowledge_base(inputs, folder, embeddings=not no_embeddings, threads=threads, watch=progress.watch)
    if as_json:
        typer.echo(orjson.dumps(describe_report(report), option=orjson.OPT_INDENT_2).decode())
    else:
        _print_report(report, folder, time.monotonic() - started)


def _with_pulled(inputs: BuildInputs, folder: Path) -> BuildInputs:
    """Add the files of `sources pull` for what was not named."""
    files = {name: [folder / each.name for each in SOURCES[name].files()] for name in ("attack", "capec", "cwe")}
    attack = sorted(folder.glob("*-attack-*.json"))
    releases = {path.stem.rpartition("-")[2] for path in attack}
    if len(releases) > 1:
        attack = [path for path in files["attack"] if path in attack]
    cwe = sorted(folder.glob("cwec_v*.xml.zip"))
    capec = files["capec"][0] if files["capec"][0].is_file() else None
    if not attack and capec is None and not cwe:
        raise InputError(
            f"{folder}: holds nothing that was pulled", fix=f"get it: ctiforge sources pull attack capec cwe --out {folder}"
        )
    return BuildInputs(
        attack=inputs.attack or tuple(attack),
        attack_version=inputs.attack_version,
        capec=inputs.capec or capec,
        cwe=inputs.cwe or (cwe[-1] if cwe else None),
        cves=inputs.cves,
        docs=inputs.docs,
    )


def _print_report(report: BuildReport, folder: Path, seconds: float) -> None:
    console, errors = output_console(), error_console()
    counts = report.manifest.counts
    objects = sum(counts.get(kind, 0) for kind in OBJECT_KINDS)
    told = f"{objects:,} objects, {counts['relations']:,} relations from either end, {counts['passages']:,} passages"
    if report.unchanged:
        console.print(f"{folder}: nothing changed, so nothing was done: {told}", soft_wrap=True)
    else:
        embedded = f", {report.embedded:,} of them newly embedded" if report.manifest.encoder else ""
        console.print(f"{folder}: {told}{embedded}, {seconds:.1f} s", soft_wrap=True)
    render_versions(console, report.manifest.sources)
    for reason, count in report.manifest.rejects.items():
        errors.print(f"left out: {count:,} records: {reason}", style="yellow")
    for name, why in report.left_out.items():
        errors.print(f"left out: {name}: {why}", style="yellow")
    if report.manifest.note:
        errors.print(f"note: {report.manifest.note}", style="yellow")


@app.command()
def search(
    query: Annotated[list[str], typer.Argument(help="A question, or words.")],
    kb: KbOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Most passages to list.")] = 10,
    kind: Annotated[
        list[str] | None, typer.Option(help=f"Only passages of objects of this kind: {', '.join(OBJECT_KINDS)}.")
    ] = None,
    platform: Annotated[str | None, typer.Option(help="Only of objects with this platform, e.g. Windows.")] = None,
    tactic: Annotated[str | None, typer.Option(help="Only of objects with this tactic: a name or TA0005.")] = None,
    before: Annotated[
        str | None, typer.Option(metavar="DAY", help="Only about objects that existed before this day, e.g. 2024-01-31.")
    ] = None,
    per_object: Annotated[int, typer.Option(min=0, help="Most passages of one object; 0: no limit.")] = 0,
    no_embeddings: NoEmbeddings = False,
    as_json: JsonFlag = False,
) -> None:
    """Find passages by words and by meaning."""
    base = open_knowledge_base(kb, embeddings=not no_embeddings)
    text = " ".join(query)
    kinds: Any = kind  # checked by the search, which names the choices
    hits = base.search(text, limit, kinds=kinds, platform=platform, tactic=tactic, before=before, per_object=per_object)
    if as_json:
        found = [{"object": _summary(base, hit.passage.object_id), **_as_dict(hit)} for hit in hits]
        _print_json(base, {"query": text, "passages": found})
    else:
        if base.note:
            error_console().print(f"note: {base.note}", style="yellow")
        console = output_console()
        render_hits(console, base, hits)
        render_versions(console, base.versions)
    if not hits:
        raise typer.Exit(ExitCode.ERROR)


@app.command()
def show(
    objects: Annotated[list[str], typer.Argument(metavar="ID_OR_NAME...", help="T1055.011, CWE-79, 'Process Injection' ...")],
    kb: KbOption = None,
    relation: Annotated[str | None, typer.Option(help="List all of one relation with what the source says of each.")] = None,
    passages: Annotated[bool, typer.Option("--passages", help="List the passages as they are cited.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show objects with their relations."""
    if relation is not None:
        check_relation(relation)
    base = open_knowledge_base(kb, embeddings=False)
    found = [base[_one_id(base, text)] for text in objects]
    if as_json:
        shown = [
            _as_dict(each) | ({"passages": [_as_dict(one) for one in base.passages_of(each.id)]} if passages else {})
            for each in found
        ]
        if relation is not None:
            shown = [each | {"relations": [one for one in each["relations"] if one["kind"] == relation]} for each in shown]
        _print_json(base, {"objects": shown})
        return
    console = output_console()
    for text, each in zip(objects, found, strict=True):
        render_object(console, base, each, asked=text, relation=relation, passages=passages)
        console.print()
    render_versions(console, [source for source in base.versions if source.key in {each.source for each in found}])


@app.command()
def info(kb: KbOption = None, as_json: JsonFlag = False) -> None:
    """Show what a knowledge base holds, from which releases."""
    base = open_knowledge_base(kb)
    if as_json:
        _print_json(base, {"counts": dict(base.manifest.counts), "embeddings": base.has_embeddings})
        return
    console = output_console()
    render_overview(console, base)
    render_versions(console, base.versions)


def _one_id(base: KnowledgeBase, text: str) -> str:
    if (found := base.resolve(text)) is not None:
        return found
    if named := base.named(text):
        listed = ", ".join(f"{each} {base[each].name}" for each in named)
        raise SettingError(f"{text!r} names several objects: {listed}", fix="ask by identifier")
    return text.strip()


def _summary(base: KnowledgeBase, object_id: str) -> dict[str, str]:
    each = base[object_id]
    return {"id": each.id, "kind": each.kind, "name": each.name, "url": each.url, "source": each.source}


def _as_dict(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(orjson.dumps(value))
    return found


def _print_json(base: KnowledgeBase, content: dict[str, Any]) -> None:
    whole = {**content, "note": base.note, "build": base.manifest.build, "sources": sources_as_json(list(base.versions))}
    typer.echo(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode())


register(app)
