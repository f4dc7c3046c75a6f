"""`ctiforge classify index`: an index of past CVEs for `ctiforge classify --similar`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ctiforge.classify.classifier import BUNDLED_MODELS, DEFAULT_MODEL, load_model
from ctiforge.cli.progress import FeedProgress
from ctiforge.cli.rejects import DEFAULT_REJECTS, RejectsFile
from ctiforge.core.errors import ExitCode
from ctiforge.sources.cwe import load_catalogue
from ctiforge.sources.read import FORMATS, FieldMap, ReadOptions, input_size, read_raw_records

__all__ = ["index"]


def index(
    feeds: Annotated[
        list[str], typer.Argument(metavar="FEED...", help="Files and folders of past CVE records, or - for stdin.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write the index to; one that is there is replaced at the end.")],
    model: Annotated[
        str, typer.Option(help=f"A bundled model ({', '.join(BUNDLED_MODELS)}) or a model folder; classify with the same one.")
    ] = DEFAULT_MODEL,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of a model with an encoder.")] = 1,
    format_: Annotated[
        str | None, typer.Option("--format", help=f"Input format instead of detecting it: {', '.join(FORMATS)}.")
    ] = None,
    field_map: Annotated[
        str | None, typer.Option("--map", help="Columns or fields: id=URL,description=Description.", metavar="OURS=THEIRS,...")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help=f"Where unreadable records go. Default: {DEFAULT_REJECTS}, if there are any.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Index past CVEs with their CWEs, to show similar ones: ctiforge classify --similar DIR.

    Every record with a description and a CWE is kept; of several with one ID the first.
    """
    from ctiforge.classify.similar_build import build_similar_index  # classifying needs neither
    from ctiforge.classify.similar_sources import describe_sources

    options = ReadOptions(format=format_, field_map=FieldMap.parse(field_map) if field_map else None)
    loaded = load_model(model, threads=threads)
    with ExitStack() as stack:
        rejects_file = stack.enter_context(RejectsFile(rejects or Path(DEFAULT_REJECTS)))
        progress = stack.enter_context(FeedProgress(input_size(feeds), visible=not quiet and sys.stderr.isatty()))
        try:
            made = build_similar_index(
                read_raw_records(feeds, options, on_bytes=progress.advance),
                out,
                loaded,
                catalogue=load_catalogue(),
                read_options=options,
                sources=describe_sources(feeds),
                on_record=progress.count,
                on_reject=rejects_file.write,
            )
        except KeyboardInterrupt:
            progress.close()
            typer.echo(f"ctiforge: interrupted; {out} is as it was", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    if not quiet:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in made.left_out.most_common())
        typer.echo(f"{made.folder}: {made.entries:,} CVEs, {made.size / 1e6:.1f} MB", err=True)
        typer.echo(f"left out: {reasons or 'none'}", err=True)
        typer.echo(f"use it: ctiforge classify --similar {out} --model {model} FEED", err=True)
