"""`ctiforge quiz`: questions from the knowledge base, answers explained, progress kept."""

from __future__ import annotations

import secrets
import sys
from datetime import date
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated

import orjson
import typer

from ctiforge.ask.questions import LEVELS, TOPICS, Question
from ctiforge.ask.quiz import CARD_FORMATS, Progress, draw_session, render_cards
from ctiforge.cli.kb import JsonFlag, KbOption, open_knowledge_base
from ctiforge.cli.quiz_render import QuizView, render_standings
from ctiforge.core.errors import ExitCode, SettingError
from ctiforge.core.files import write_text
from ctiforge.core.paths import user_data_dir

__all__ = ["quiz"]


def quiz(
    kb: KbOption = None,
    topic: Annotated[list[str] | None, typer.Option("--topic", "-t", help=f"Ask about: {', '.join(TOPICS)}.")] = None,
    level: Annotated[int | None, typer.Option("--level", "-l", help=f"How hard: {LEVELS[0]} to {LEVELS[-1]}.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=100_000, help="Questions of the session or export.")] = 10,
    seed: Annotated[int | None, typer.Option(help="Draws the same new questions every time.", show_default="random")] = None,
    progress: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where progress is kept.", show_default="the user data folder, quiz.sqlite"),
    ] = None,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Neither read nor keep progress.")] = False,
    standing: Annotated[bool, typer.Option("--standing", help="Show how each topic is known, and ask nothing.")] = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the questions as cards instead of asking; - for stdout.")
    ] = None,
    export_format: Annotated[
        str | None,
        typer.Option("--format", help=f"Of the export: {', '.join(CARD_FORMATS)}.", show_default="by the file's ending"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask questions from the knowledge base, explain each answer with its passages, and ask again when it is due.

    Answer with a letter; ? shows the answer, q ends. Answers may be piped in, a line each; with --json questions and results
    are JSON Lines.
    """
    topics = tuple(topic or TOPICS)
    kept = None if no_progress else Progress(progress or user_data_dir() / "quiz.sqlite")
    try:
        if standing:
            _show_standing(kept, as_json)
            return
        base = open_knowledge_base(kb, embeddings=False)
        drawn = draw_session(
            base, count, secrets.randbelow(2**31) if seed is None else seed,
            progress=None if export else kept, day=date.today(), topics=topics, level=level,
        )  # fmt: skip
        if not drawn:
            raise SettingError("the knowledge base gives no such question", fix="ask for other topics or another level")
        if export is not None:
            _export(render_cards(base, drawn, export_format or _format_of(export)), export, len(drawn))
            return
        _ask(QuizView(base, as_json=as_json), drawn, kept)
    finally:
        if kept is not None:
            kept.__exit__(None, None, None)


def _show_standing(kept: Progress | None, as_json: bool) -> None:
    if kept is None:
        raise SettingError("without progress there is no standing", fix="leave out --no-progress")
    standings = kept.standings()
    if as_json:
        typer.echo(orjson.dumps(standings, option=orjson.OPT_INDENT_2).decode())
    else:
        render_standings(standings)


def _format_of(path: Path) -> str:
    return "csv" if path.suffix.lower() == ".csv" else "anki"


def _export(text: str, path: Path, count: int) -> None:
    if str(path) == "-":
        typer.echo(text, nl=False)
    else:
        write_text(path, text)
        typer.echo(f"{path}: {count:,} questions", err=True)


def _ask(view: QuizView, questions: list[Question], kept: Progress | None) -> None:
    right = asked = 0
    try:
        for number, question in enumerate(questions, start=1):
            view.ask(number, len(questions), question)
            letter = _read_letter(view, question)
            if letter == "Q":
                break
            given = None if letter == "?" else ascii_uppercase.index(letter)
            good = given == question.answer
            due = kept.note(question, right=good, day=date.today()) if kept is not None else None
            asked, right = asked + 1, right + good
            view.tell(question, given, due)
    except KeyboardInterrupt:
        view.end(asked, right)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    view.end(asked, right)


def _read_letter(view: QuizView, question: Question) -> str:
    """Return a letter of an option, ``?``, or ``Q`` at the end of the input; anything else is asked for again."""
    letters = ascii_uppercase[: len(question.options)]
    while True:
        view.prompt(letters)
        line = sys.stdin.readline()
        given = line.strip().upper()
        if not line or given in ("Q", "QUIT"):
            return "Q"
        if given == "?" or (len(given) == 1 and given in letters):
            return given
        view.misread(line.strip(), letters)
