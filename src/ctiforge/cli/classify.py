"""`ctiforge classify`: texts, files, folders or standard input in; ranked CWE suggestions out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TextIO, cast

import typer

from ctiforge import __version__
from ctiforge.classify.classifier import BUNDLED_MODELS, DEFAULT_MODEL
from ctiforge.classify.feed import Answer, ClassifierSettings, FeedSummary, classify_feed
from ctiforge.classify.outputs import OUTPUTS, OutputOptions
from ctiforge.classify.outputs.options import TLP_LABELS
from ctiforge.cli.output_documents import csaf_options, output_stream
from ctiforge.cli.progress import FeedProgress
from ctiforge.cli.rejects import DEFAULT_REJECTS, RejectsFile
from ctiforge.core.advisory import Reject, SourceRef
from ctiforge.core.errors import ExitCode, InputError, SettingError
from ctiforge.sources.read import FORMATS, FieldMap, RawRecord, ReadOptions, input_size, read_raw_records

__all__ = ["classify", "exit_code"]

_READABLE_REJECTS = ("cve_rejected", "duplicate_id")
"""Rejects that were read and understood."""


def classify(
    inputs: Annotated[list[str], typer.Argument(metavar="TEXT|PATH|-...", help="Texts, files, folders, or - for stdin.")],
    format_: Annotated[
        str | None, typer.Option("--format", help=f"Input format instead of detecting it: {', '.join(FORMATS)}.")
    ] = None,
    field_map: Annotated[
        str | None, typer.Option("--map", help="Columns or fields: id=URL,description=Description.", metavar="OURS=THEIRS,...")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help=f"{', '.join(OUTPUTS)}. A terminal gets a table, a pipe gets JSON Lines."),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Write to this file instead of standard output.")] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Suggestions for each record.")] = 5,
    policy: Annotated[
        str, typer.Option(help="mitre: only entries that MITRE allows for mapping. nvd: every weakness, as NVD labels.")
    ] = "mitre",
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Abstain below this probability. Default: the model's own; 0 always answers."),
    ] = None,
    view: Annotated[str | None, typer.Option(help="Suggest members of this CWE view only, such as 1003.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Spell out the evidence of every suggestion.")] = False,
    rejects: Annotated[
        Path | None, typer.Option(help=f"Where unreadable records go. Default: {DEFAULT_REJECTS}, if there are any.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if any record was rejected.")] = False,
    duplicates: Annotated[bool, typer.Option("--keep-duplicates", help="Answer every record of a repeated ID.")] = False,
    model: Annotated[
        str, typer.Option(help=f"A bundled model ({', '.join(BUNDLED_MODELS)}) or the path of a model folder.")
    ] = DEFAULT_MODEL,
    similar: Annotated[
        Path | None,
        typer.Option(help="Show similar past CVEs from this index, made by: ctiforge classify index.", metavar="DIR"),
    ] = None,
    similar_before: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only past CVEs published before this day.", metavar="DATE")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes for large feeds. Default: the cores.")] = None,
    org_id: Annotated[str | None, typer.Option(help="Your organisation's UUID in the CVE Program, for cve-adp.")] = None,
    org_name: Annotated[str, typer.Option(help="Your organisation's short name in the CVE Program, for cve-adp.")] = "",
    publisher: Annotated[str | None, typer.Option(help="Who publishes the document, for csaf.")] = None,
    publisher_url: Annotated[str | None, typer.Option(help="The publisher's namespace, an address, for csaf.")] = None,
    tlp: Annotated[str | None, typer.Option(help=f"Who may see the document, for csaf: {', '.join(TLP_LABELS)}.")] = None,
    adp_always: Annotated[bool, typer.Option("--adp-always", help="cve-adp also where the CNA assigned a CWE itself.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False,
) -> None:
    """Suggest CWEs for vulnerability records: ranked, explained, offline.

    Exit codes: 0 all read; 1 error; 2 usage; 3 some rejected (--strict); 4 nothing readable; 130 interrupted.
    """
    mapping = FieldMap.parse(field_map) if field_map else None
    read_options = ReadOptions(format=format_, field_map=mapping)
    if similar_before and not similar:
        raise SettingError("--similar-before is given without --similar", fix="name the index as well: --similar DIR")
    settings = ClassifierSettings(
        model,
        policy,
        top_k,
        threshold,
        view=view,
        similar=str(similar) if similar else None,
        similar_before=similar_before.date() if similar_before else None,
    )
    summary = FeedSummary()
    with ExitStack() as stack:
        stream = stack.enter_context(output_stream(to))
        in_terminal = stream.isatty()
        output_options = OutputOptions(
            generated_at=datetime.now(UTC),
            top_k=top_k,
            explain=explain,
            width=_terminal_width(),
            colour=in_terminal and not os.environ.get("NO_COLOR"),
            ascii_only=stream.encoding.lower().replace("-", "") != "utf8",
            org_id=org_id,
            org_short_name=org_name,
            adp_always=adp_always,
            version=__version__,
            **csaf_options(publisher, publisher_url, tlp),
        )
        rejects_file = stack.enter_context(RejectsFile(rejects or Path(DEFAULT_REJECTS)))
        paths = [each for each in inputs if not _is_text(each)]
        visible = not quiet and not in_terminal and sys.stderr.isatty()
        progress = stack.enter_context(FeedProgress(input_size(paths), visible=visible))
        results = classify_feed(
            _raw_records(inputs, read_options, progress.advance),
            settings,
            output=output or ("table" if in_terminal else "jsonl"),
            output_options=output_options,
            read_options=read_options,
            duplicates="keep" if duplicates else "reject",
            workers=workers,
            summary=summary,
        )
        try:
            for number, result in enumerate(results, 1):
                if isinstance(result, Reject):
                    rejects_file.write(result)
                else:
                    _write(stream, result)
                progress.count(number)
        except KeyboardInterrupt:
            stream.flush()
            progress.close()
            typer.echo(f"ctiforge: interrupted after {summary.records:,} records; complete records were written", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    if not quiet:
        _print_summary(summary, rejects_file)
    code = exit_code(summary, strict=strict)
    if code:
        raise typer.Exit(code)


def exit_code(summary: FeedSummary, *, strict: bool) -> ExitCode:
    """Return what the process ends with after a run that came to its end."""
    understood = summary.records - sum(n for reason, n in summary.rejected.items() if reason not in _READABLE_REJECTS)
    if not understood:
        return ExitCode.NOTHING_READABLE
    return ExitCode.SOME_REJECTED if strict and summary.rejected else ExitCode.OK


def _is_text(argument: str) -> bool:
    """Tell a text from a path: what exists is a path, what has spaces is a text, anything else is a mistyped path."""
    if argument == "-":
        return False
    try:
        if Path(argument).exists():
            return False
    except (OSError, ValueError):  # too long for a file name, or holds NUL
        return True
    if len(argument.split()) > 1:
        return True
    raise InputError(f"{argument}: no such file or folder", fix="check the path; a text to classify has more than one word")


def _raw_records(inputs: list[str], options: ReadOptions, on_bytes: Callable[[int], None]) -> Iterator[RawRecord | Reject]:
    texts = 0
    for each in inputs:
        if _is_text(each):
            texts += 1
            yield RawRecord(SourceRef("text", line=texts, format="text"), " ".join(each.split()).encode())
        else:
            yield from read_raw_records([each], options, on_bytes=on_bytes)


def _write(stream: TextIO, answer: Answer) -> None:
    try:
        stream.write(answer.text)
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Nothing more can be said on this stream, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.OK) from None


def _terminal_width() -> int:
    try:
        return int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        pass
    try:
        return os.get_terminal_size(cast(int, sys.stdout.fileno())).columns
    except (OSError, ValueError):
        return 100


def _print_summary(summary: FeedSummary, rejects: RejectsFile) -> None:
    abstained = summary.abstained.total()
    rejected = summary.rejected.total()
    parts = [f"{summary.answered:,} answered", f"{abstained:,} abstained{_reasons(summary.abstained)}"]
    parts.append(f"{rejected:,} rejected{_reasons(summary.rejected)}")
    typer.echo(f"{summary.records:,} records: {', '.join(parts)}", err=True)
    for reason, n in summary.left_out.items():
        typer.echo(f"left out of this output format: {n:,} ({reason})", err=True)
    if rejected:
        typer.echo(f"rejected records with file, line and reason: {rejects.path}", err=True)


def _reasons(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return f" ({', '.join(f'{reason} {n:,}' for reason, n in ordered)})" if ordered else ""
