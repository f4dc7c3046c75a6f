"""`ctiforge corpus`: training corpora built from records on disk, and anybody's corpus audited against benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctiforge.cli import corpus_build
from ctiforge.core.errors import ExitCode, InputError

if TYPE_CHECKING:
    from ctiforge.corpus.audit_findings import AuditReport

__all__ = ["app"]

app = typer.Typer(
    name="corpus", help="Build training corpora, and prove that they hold no benchmark items.", no_args_is_help=True
)
corpus_build.register(app)


@app.command("audit")
def audit(
    corpus: Annotated[
        Path, typer.Argument(help="JSONL, JSON, CSV, TSV or Parquet file, compressed or not, or a folder of them.")
    ],
    against: Annotated[list[Path], typer.Option(help="Benchmark file, or folder of them; may be repeated.")],
    forbid: Annotated[
        list[str] | None,
        typer.Option(help="Level that must not be found, else exit code 6; may be repeated or separated by commas; 'all'."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the whole report as JSON; '-' prints it instead of the text.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML file, pairs side by side.")] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="Column with text, if not under a usual name; may be repeated.")
    ] = None,
    id_column: Annotated[list[str] | None, typer.Option("--id", help="Column with identifiers, likewise.")] = None,
    near_duplicate: Annotated[float, typer.Option(help="Jaccard index from which a pair is a near-duplicate.")] = 0.8,
    allow_changed: Annotated[bool, typer.Option(help="Take benchmark files that differ from the published ones.")] = False,
    skip_unreadable: Annotated[bool, typer.Option(help="List rows that cannot be checked instead of stopping.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes; the number of cores if not given.", min=1)] = None,
) -> None:
    """Find benchmark items in a training corpus, level by level, and print a verdict that can be quoted."""
    import orjson

    from ctiforge.cli.audit_progress import AuditProgress
    from ctiforge.corpus.audit import run_audit
    from ctiforge.corpus.audit_html import render_html
    from ctiforge.corpus.audit_records import AuditColumns
    from ctiforge.corpus.audit_text import render_audit, report_json
    from ctiforge.corpus.contamination.benchmarks import load_benchmarks
    from ctiforge.corpus.contamination.settings import ContaminationSettings, parse_levels

    forbidden = parse_levels(forbid or [])
    settings = ContaminationSettings(near_duplicate=near_duplicate)
    columns = AuditColumns(tuple(text or ()), tuple(id_column or ()))
    benchmarks = load_benchmarks(against, allow_changed=allow_changed)
    with AuditProgress() as progress:
        report = run_audit(
            corpus,
            benchmarks,
            settings,
            columns=columns,
            skip_unreadable=skip_unreadable,
            workers=workers,
            progress=progress.update,
        )
    document = orjson.dumps(report_json(report), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if json is not None and str(json) != "-":
        _write(json, document)
    if html is not None:
        _write(html, render_html(report).encode("utf-8", "replace"))
    typer.echo(document.decode() if str(json) == "-" else render_audit(report), nl=False)
    _judge(report, forbidden)


def _write(path: Path, data: bytes) -> None:
    from ctiforge.core.files import write_bytes

    try:
        write_bytes(path, data)
    except OSError as error:
        raise InputError(
            f"{path}: cannot write ({error.strerror})", fix="name a file in a folder that can be written"
        ) from None


def _judge(report: AuditReport, forbidden: tuple[str, ...]) -> None:
    offending = report.offending(level for level in report.levels_checked if level in forbidden)
    if offending:
        named = ", ".join(f"{level} ({items:,} items)" for level, items in offending.items())
        typer.echo(f"ctiforge: forbidden contamination: {named}", err=True)
        raise typer.Exit(ExitCode.CONTAMINATED)
