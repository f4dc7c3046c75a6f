"""``ctiforge triage export`` and ``drift``: what was decided for other tools, and whether the feed still is what it was."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ctiforge import __version__
from ctiforge.classify.outputs.options import TLP_LABELS, OutputOptions
from ctiforge.cli.cwe_render import output_console
from ctiforge.cli.output_documents import csaf_options, output_stream
from ctiforge.cli.triage_render import render_drift
from ctiforge.cli.triage_store import DbOption, JsonFlag, opened, print_json
from ctiforge.core.errors import ExitCode

__all__ = ["drift", "export", "register"]


def register(app: typer.Typer) -> None:
    """Add the commands to those of triage."""
    app.command("export")(export)
    app.command("drift")(drift)


def export(
    form: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="csv, cve-adp, nvd, csaf, stix, misp, sarif, cyclonedx, defectdojo, evaluation or training.",
        ),
    ],
    db: DbOption = None,
    to: Annotated[Path | None, typer.Option("--to", help="Write to this file instead of standard output.")] = None,
    state: Annotated[list[str] | None, typer.Option("--state", help="accepted, corrected, rejected; may be repeated.")] = None,
    text: Annotated[str, typer.Option("--text", help="Only items with all these words.")] = "",
    cwe: Annotated[str | None, typer.Option(help="Only items with this entry.")] = None,
    org_id: Annotated[
        str | None, typer.Option(help="Your organisation's UUID in the CVE Program, for cve-adp and nvd.")
    ] = None,
    org_name: Annotated[str, typer.Option(help="Your organisation's short name in the CVE Program, for cve-adp.")] = "",
    publisher: Annotated[str | None, typer.Option(help="Who publishes the document, for csaf.")] = None,
    publisher_url: Annotated[str | None, typer.Option(help="The publisher's namespace, an address, for csaf.")] = None,
    tlp: Annotated[str | None, typer.Option(help=f"Who may see the document, for csaf: {', '.join(TLP_LABELS)}.")] = None,
    adp_always: Annotated[bool, typer.Option("--adp-always", help="cve-adp also where the CNA assigned a CWE itself.")] = False,
) -> None:
    """Write what people decided in a format of other tools; names of reviewers are left out."""
    options = OutputOptions(
        generated_at=datetime.now(UTC),
        org_id=org_id,
        org_short_name=org_name,
        adp_always=adp_always,
        version=__version__,
        **csaf_options(publisher, publisher_url, tlp),
    )
    with opened(db) as store:
        from ctiforge import triage
        from ctiforge.triage.exports import find_export
        from ctiforge.triage.values import DECIDED

        find_export(form)  # before a file is opened for nothing
        summary = triage.ExportSummary()
        states = tuple(state) if state else DECIDED
        wanted = triage.QueueFilter(states=states, text=text, cwe_id=cwe)  # type: ignore[arg-type]
        with output_stream(to) as stream:
            for piece in triage.export(store, form, options, wanted=wanted, summary=summary):
                stream.write(piece)
    typer.echo(f"{summary.written:,} decisions written", err=True)
    for reason, n in summary.left_out.items():
        typer.echo(f"left out of this format: {n:,} ({reason})", err=True)


def drift(
    db: DbOption = None,
    every: Annotated[str, typer.Option(help="week, month, quarter or year.")] = "month",
    by: Annotated[
        str, typer.Option(help="published: by the records' own dates. first_seen: by when they were imported.")
    ] = "published",
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST..LAST",
            help="Periods to compare with: 2024-01..2024-03, 2024-W05, 2024-Q1. Default: the first with enough items.",
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Whose text vectors measure the shift of texts.")] = "fast",
    no_texts: Annotated[bool, typer.Option("--no-texts", help="Leave the shift of texts out.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it (SVG).")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare each period with a reference. Exit code 7: a measure of the newest judged period is beyond its threshold."""
    with opened(db) as store:
        from ctiforge import triage

        report = triage.drift(store, every=every, by=by, reference=reference, model=None if no_texts else model)
    if plot is not None:
        from ctiforge.triage.drift_plot import draw_drift

        drawn = draw_drift(report)
        with output_stream(plot) as stream:
            stream.write(drawn)
    print_json(report) if as_json else render_drift(output_console(), report)
    if report.drifted:
        raise typer.Exit(ExitCode.DRIFTED)
