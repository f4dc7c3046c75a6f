"""`ctiforge kb train-reader` and `ctiforge kb choose`: train the reader of multiple choice, and ask it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ctiforge.cli.cwe_render import output_console
from ctiforge.cli.long_runs import resumable
from ctiforge.core.errors import MissingExtraError
from ctiforge.core.paths import user_data_dir

if TYPE_CHECKING:
    from ctiforge.ask.choices import ChoiceAnswer
    from ctiforge.ask.questions import Question

__all__ = ["choose", "register", "train"]

_Kb = Annotated[
    Path | None, typer.Option("--kb", metavar="DIR", help="The knowledge base.", show_default="the user data folder, kb/")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead, for programs.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the group."""
    app.command("choose")(choose)
    app.command("train-reader")(train)


def choose(
    question: Annotated[str, typer.Argument(help="The question.")],
    options: Annotated[
        list[str], typer.Argument(metavar="OPTION...", help="Two options or more; their order does not matter.")
    ],
    kb: _Kb = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Abstain where the likeliest is less likely than this.")] = 0.0,
    reader: Annotated[Path | None, typer.Option(metavar="FILE", help="A reader of your own: reader.npz.")] = None,
    no_embeddings: Annotated[bool, typer.Option("--no-embeddings", help="Read by words only (BM25).")] = False,
    as_json: _Json = False,
) -> None:
    """Say which option of a multiple-choice question the knowledge base speaks for, and where it says so."""
    from ctiforge.ask import KnowledgeBase
    from ctiforge.ask.choices import ChoiceAnswerer
    from ctiforge.ask.reader.model import load_reader

    base = KnowledgeBase.load(kb or user_data_dir() / "kb", embeddings=not no_embeddings)
    answer = ChoiceAnswerer(base, load_reader(reader)).answer(question, options, threshold=threshold)
    if as_json:
        typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
    else:
        _render(output_console(), answer)


def _render(console: Console, answer: ChoiceAnswer) -> None:
    for place, option in enumerate(answer.options):
        style = "bold green" if place == answer.chosen else ""
        console.print(Text.assemble((f"{option.probability:5.2f}  ", "bold"), (option.text, style)))
    if answer.chosen is None:
        console.print(Text(f"no answer: {answer.reason}", style="yellow"))
    elif answer.negated:
        console.print(Text("read as: which does not fit", style="dim"))
    best = answer.options[answer.chosen] if answer.chosen is not None else None
    for passage in best.passages if best else ():
        console.print()
        console.print(Text.assemble((passage.id, "bold cyan"), "  ", (passage.heading, "dim")))
        console.print(Padding(Text(passage.text), (0, 0, 0, 2)))


def train(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for reader.npz and manifest.json.")],
    kb: _Kb = None,
    count: Annotated[int, typer.Option(min=10, help="Questions to learn from, made from the knowledge base.")] = 3000,
    per_kind: Annotated[int, typer.Option(min=1, help="Questions of one kind at most.")] = 60,
    seed: Annotated[int, typer.Option(help="Draws questions and first weights.")] = 11,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Benchmark file or folder: questions that are like its items are left out; repeat."),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="For embedding; 0: as many as there are cores.")] = 0,
    as_json: _Json = False,
) -> None:
    """Train the reader of multiple choice on questions made from a knowledge base; the same command goes on after a stop."""
    from ctiforge.ask import KnowledgeBase
    from ctiforge.ask.reader.training import TrainingSettings, train_reader

    keep, kept_by = _decontamination(against or [])
    base = KnowledgeBase.load(kb or user_data_dir() / "kb", threads=threads)
    settings = TrainingSettings(count=count, per_kind=per_kind, seed=seed)
    with resumable(), _progress() as bars:
        bar = bars.add_task("reading questions", total=None)
        report = train_reader(
            base, out, settings, keep=keep, kept_by=kept_by,
            watch=lambda done, total: bars.update(bar, completed=done, total=total),
        )  # fmt: skip
    manifest = report.manifest
    if as_json:
        typer.echo(orjson.dumps(manifest, option=orjson.OPT_INDENT_2).decode())
        return
    asked = manifest["questions"]
    held = manifest["held_out"]
    typer.echo(f"{out / 'reader.npz'}: {manifest['bytes']:,} bytes, learnt from {asked['chosen']:,} questions")
    typer.echo(f"left out, because a benchmark has the like: {asked['refused']:,}")
    for name in ("words", "meaning"):
        if name in held:
            typer.echo(f"held-out objects, {held['n']:,} questions, {name}: {held[name]['accuracy']:.3f} right")


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _decontamination(paths: list[Path]) -> tuple[Callable[[Question], bool], dict[str, Any]]:
    """Return what keeps questions that no benchmark item is like, and what the manifest says of it."""
    if not paths:
        return (lambda question: True), {}
    try:
        from ctiforge.corpus.contamination import ContaminationChecker, load_benchmarks
    except ImportError as error:
        raise MissingExtraError((error.name or str(error)).split(".")[0], "corpus") from None
    benchmarks = load_benchmarks(paths)
    checker = ContaminationChecker(benchmarks)

    def keep(question: Question) -> bool:
        text = "\n".join((question.stem, *question.options))
        return not any(hit.level in _FORBIDDEN for part in (question.stem, text) for hit in checker.check(part))

    return keep, {"levels": list(_FORBIDDEN), "files": {each.name: each.sha256 for each in benchmarks.files}}


_FORBIDDEN = ("exact_id", "exact_text", "near_duplicate", "ngram", "options")
"""What a question must not have in common with an item. That both are about one object (``source_object``) is no secret between
them: an open-book reader has the page anyway, and what it learns is not facts but how much to trust which evidence."""
