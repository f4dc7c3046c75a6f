"""`ctiforge bench`: run tasks under a protocol, score anybody's predictions, report, compare, publish."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console

from ctiforge.cli.extras import needing
from ctiforge.cli.model_options import open_spec, read_options
from ctiforge.core.errors import ExitCode, InputError, SettingError

if TYPE_CHECKING:
    from ctiforge.bench.runner import RunReport
    from ctiforge.models.generation import TextModel

__all__ = ["app"]

app = typer.Typer(
    name="bench", help="Benchmark CTI models under fixed protocols (needs the bench extra).", no_args_is_help=True
)

_DATA = typer.Option(help="Folder with the task files, or one file.")
_JSON = typer.Option("--json", help="Print JSON for machines.")
_GOLD = typer.Option(help="CSV with id and gold columns, for a task whose file has no answers.")
_ALIASES = typer.Option(help="ATT&CK Enterprise bundle (STIX JSON) whose group aliases count as the same actor.")
_RUNS = typer.Argument(metavar="RUN...", help="Run folders.")


@app.command("ls")
def list_all(as_json: Annotated[bool, _JSON] = False) -> None:
    """List tasks, protocols and extraction rules."""
    with needing("bench"):
        from ctiforge.bench.extract import RULES
        from ctiforge.bench.protocol import PROTOCOLS
        from ctiforge.bench.tasks import TASKS
    tasks = {
        task.name: {
            "description": task.description,
            "answer": task.answer_kind,
            "rule": task.default_rule,
            "licence": task.licence,
        }
        for task in TASKS.values()
    }
    protocols = {
        each.name: {"description": each.description, "version": each.version, "digest": each.digest}
        for each in PROTOCOLS.values()
    }
    rules = {rule.name: {"description": rule.description, "answers": list(rule.kinds)} for rule in RULES.values()}
    if as_json:
        _print_json({"tasks": tasks, "protocols": protocols, "rules": rules})
        return
    described: dict[str, Mapping[str, Mapping[str, Any]]] = {"tasks": tasks, "protocols": protocols, "rules": rules}
    for title, entries in described.items():
        typer.echo(title)
        for name, entry in entries.items():
            typer.echo(f"  {name:<20} {entry['description']}")


@app.command("fetch")
def fetch(
    tasks: Annotated[list[str], typer.Argument(metavar="TASK...", help="Task names, or all.")],
    out: Annotated[Path, typer.Option(help="Folder to put the files in.")],
    mirror: Annotated[str | None, typer.Option(help="Address of a mirror with the same file names.")] = None,
    from_dir: Annotated[Path | None, typer.Option(help="Folder that has the files; they are checked and copied.")] = None,
) -> None:
    """Fetch task files from where they are published: licence shown, digest checked. Goes to the network."""
    with needing("bench"):
        from ctiforge.bench.fetch import fetch_task_files
    for fetched in fetch_task_files(tasks, out, base_url=mirror, from_dir=from_dir):
        typer.echo(f"{fetched.path}  {fetched.how}  sha256 {fetched.sha256}")


@app.command("run")
def run(
    model: Annotated[str, typer.Option(help="What to ask, see `ctiforge bench models`.")],
    task: Annotated[list[str], typer.Option("--task", "-t", help="Task name, or a YAML file; repeat, or separate by commas.")],
    data: Annotated[Path, _DATA],
    out: Annotated[Path, typer.Option(help="Run folder. The same command goes on where it stopped.")],
    protocol: Annotated[str, typer.Option("--protocol", "-p", help="See `ctiforge bench ls`.")] = "foundation-sec-ift",
    trials: Annotated[int | None, typer.Option(min=1, help="Instead of the protocol's.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="Instead of the protocol's.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Instead of the protocol's.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests in flight, instead of the protocol's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the protocol's.")] = None,
    permute: Annotated[str | None, typer.Option(help="cyclic: ask multiple choice in every rotation of the options.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first items of each task.")] = None,
    contamination: Annotated[
        Path | None,
        typer.Option(help='Report of `ctiforge corpus audit --json`, or {"flagged": [ids]}: accuracy on these items apart.'),
    ] = None,
    gold: Annotated[Path | None, _GOLD] = None,
    aliases: Annotated[Path | None, _ALIASES] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an endpoint's answer.")] = 120.0,
    attempts: Annotated[int, typer.Option(min=1, help="Requests for one item at most, where an endpoint fails.")] = 5,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Setting of the model's backend: dtype=bf16, context_size=8192."),
    ] = None,
    kb: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For --model ask.", show_default="the user data folder, kb/")
    ] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Ask a model every item under a protocol, keep every completion, score them, and show the result.

    Exit code 5: some requests failed and their trials have no score; the same command asks for these again.
    """
    with needing("bench"):
        from ctiforge.bench.open_book import page_notes, pages_in_index
        from ctiforge.bench.protocol import customize, find_protocol
        from ctiforge.bench.runner import prepare_tasks, run_benchmark
        from ctiforge.bench.tasks import find_task, load_task
        from ctiforge.cli.bench_progress import BenchProgress
    if permute not in (None, "none", "cyclic"):
        raise SettingError(f"unknown --permute {permute!r}", fix="none or cyclic")
    changes = {
        "trials": trials,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "concurrency": concurrency,
        "seed": seed,
        "permute": permute,
    }
    chosen = customize(find_protocol(protocol), changes)
    names = [name for each in task for name in each.split(",") if name]
    # One alias table for several tasks goes to those that ask for actors; alone, a task that does not is a mistake to be told.
    wanted = {name for name in names if len(names) == 1 or find_task(name).answer_kind == "actor"}
    tasks = [load_task(name, data, gold=gold, aliases=aliases if name in wanted else None) for name in names]
    loaded = prepare_tasks(tasks, chosen, limit)
    flagged = _flagged(contamination) if contamination else None
    opened = _opened(model, timeout, attempts, read_options(option or []), kb)
    if (holds := getattr(opened, "holds", None)) is not None:
        held = pages_in_index(loaded, holds)
        flagged = held if flagged is None else flagged
        typer.echo("\n".join(page_notes(loaded, held)), err=True)

    async def go() -> RunReport:
        try:
            progress = BenchProgress(chosen.trials, visible=sys.stderr.isatty())
            return await run_benchmark(opened, loaded, chosen, out, flagged=flagged, progress=progress)
        finally:
            await opened.close()

    try:
        report = asyncio.run(go())
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; {out} keeps what was answered. Repeat the command to go on.", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    _show([report.record], as_json)
    _tell_end(report)


def _tell_end(report: RunReport) -> None:
    kept = f", {report.kept:,} kept from before" if report.kept else ""
    typer.echo(f"{report.folder}: {report.asked:,} asked{kept}", err=True)
    if report.stopped:
        typer.echo("ctiforge: nobody answered any more, so the run stopped early", err=True)
    if report.failed or not report.record["complete"]:
        kinds = ", ".join(f"{n} {kind}" for kind, n in report.failures.items())
        typer.echo(
            f"ctiforge: {report.failed:,} requests failed ({kinds}); their trials have no score\n"
            "  fix: see the errors in completions.jsonl, then repeat the command: only these are asked again",
            err=True,
        )
        raise typer.Exit(ExitCode.INCOMPLETE)


def _opened(spec: str, timeout: float, attempts: int, options: dict[str, Any], kb: Path | None) -> TextModel:
    from ctiforge.classify.as_model import EmbeddedModel
    from ctiforge.models.registry import build_backend

    def embedded(rest: str) -> TextModel:
        name, _, policy = rest.partition("@")
        return EmbeddedModel(name or "fast", policy=policy or "nvd")

    def ask(rest: str) -> TextModel:
        from ctiforge.ask.as_model import AskModel
        from ctiforge.cli.kb import default_kb_dir

        return build_backend(AskModel, (rest or kb or default_kb_dir(),), options)

    return open_spec(spec, timeout, attempts, options, more={"embedded": embedded, "ask": ask})


def _flagged(path: Path) -> frozenset[str]:
    """Return the ids that ``{"flagged": [...]}`` lists, or those of the items that `ctiforge corpus audit --json` paired with a
    record."""
    try:
        report = orjson.loads(path.read_bytes())
        if "flagged" in report:
            return frozenset(str(each) for each in report["flagged"])
        return frozenset(str(pair["item_id"]) for pair in report["pairs"])
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror})", fix="name a file that is there") from None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise InputError(
            f'{path}: neither an audit report nor JSON with a list "flagged"',
            fix='ctiforge corpus audit FILE --against DIR --json REPORT, or write {"flagged": ["cti-rcm/0007", ...]}',
        ) from None


@app.command("models")
def models() -> None:
    """Say how models are named."""
    with needing("bench"):
        from ctiforge.models.registry import SPECS
    own = {"embedded[:NAME|PATH][@POLICY]": "ctiforge's own classifier, for root cause mapping; policy nvd unless named"}
    own["ask[:KB]"] = "multiple choice from a knowledge base, open book; the folder may also be named with --kb"
    entries = {**SPECS, **own}
    for spec, description in entries.items():
        typer.echo(f"{spec:<34} {description}")


@app.command("rescore")
def rescore(
    predictions: Annotated[Path, typer.Argument(help="A run folder, JSONL or CSV of id and completion, or a published file.")],
    task: Annotated[str, typer.Option("--task", "-t", help="Task name, or a YAML file.")],
    data: Annotated[Path, _DATA],
    rule: Annotated[str | None, typer.Option(help="Extraction rule; the task's own if not named.")] = None,
    gold: Annotated[Path | None, _GOLD] = None,
    aliases: Annotated[Path | None, _ALIASES] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Score anybody's predictions again, under one rule and under every other."""
    with needing("bench"):
        from ctiforge.bench.rescore import run_rescore
        from ctiforge.bench.rescore_table import render_rescore
        from ctiforge.bench.runner import prepare_like
        from ctiforge.bench.tasks import load_task
    loaded = prepare_like(predictions, load_task(task, data, gold=gold, aliases=aliases))
    result = run_rescore(predictions, loaded, rule)
    if as_json:
        _print_json(result.as_dict())
    else:
        Console().print(render_rescore(result))


@app.command("report")
def report(
    runs: Annotated[list[Path], _RUNS],
    html: Annotated[Path | None, typer.Option(help="Write one HTML file with plots.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show the records of one or more runs."""
    with needing("bench"):
        from ctiforge.bench.report import load_record, render_markdown, write_html
    records = [load_record(folder) for folder in runs]
    if html:
        with needing("bench"):
            write_html(records, html)
        typer.echo(f"{html}: open it in a browser", err=True)
    if markdown:
        typer.echo(render_markdown(records), nl=False)
    elif as_json or not html:
        _show(records, as_json)


@app.command("compare")
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="BASELINE RUN...", help="Run folders; the first is compared with.")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Compare runs item by item: difference with interval, McNemar's test, Holm's correction over all comparisons."""
    with needing("bench"):
        from ctiforge.bench.compare import compare_many, to_json
        from ctiforge.bench.comparison_table import render_comparison
    if len(runs) < 2:
        raise SettingError("one run has nothing to be compared with", fix="name a baseline and at least one other run folder")
    result = compare_many(runs[0], runs[1:])
    if as_json:
        _print_json(to_json(result))
    else:
        Console().print(render_comparison(result))


@app.command("leaderboard")
def leaderboard(
    runs: Annotated[list[Path], _RUNS],
    out: Annotated[Path | None, typer.Option(help="Write the page here instead of printing it.")] = None,
) -> None:
    """Render the leaderboard: records measured here, and the published figures of others, marked as such."""
    with needing("bench"):
        from ctiforge.bench.leaderboard import load_published, render_leaderboard
        from ctiforge.bench.report import load_record
        from ctiforge.core.files import write_text
    page = render_leaderboard([load_record(folder) for folder in runs], load_published())
    if out:
        write_text(out, page)
    else:
        typer.echo(page, nl=False)


@app.command("model-index")
def model_index(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    name: Annotated[str, typer.Option(help="The model's name on its card.")],
) -> None:
    """Print the run as a Hugging Face model-index block (YAML) for a model card."""
    with needing("bench"):
        from ctiforge.bench.model_index import render_model_index
        from ctiforge.bench.report import load_record
    typer.echo(render_model_index(load_record(run_folder), name), nl=False)


def _show(records: list[dict[str, Any]], as_json: bool) -> None:
    from ctiforge.bench.report import render_terminal

    if as_json:
        _print_json(records[0] if len(records) == 1 else records)
    else:
        Console().print(render_terminal(records))


def _print_json(value: Any) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
