"""How ``ctiforge quiz`` shows questions, answers and standings: to people, or as JSON Lines to programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from string import ascii_uppercase
from typing import Any

import orjson
import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ctiforge.ask import KnowledgeBase
from ctiforge.ask.questions import Question
from ctiforge.ask.quiz import Standing
from ctiforge.cli.cwe_render import output_console

__all__ = ["QuizView", "render_standings"]


class QuizView:
    """Shows a session."""

    def __init__(self, base: KnowledgeBase, *, as_json: bool) -> None:
        self._base, self._json = base, as_json
        self._console = output_console()

    def ask(self, number: int, total: int, question: Question) -> None:
        """Show a question with its options, without the answer."""
        if self._json:
            shown = {name: value for name, value in asdict(question).items() if name not in ("answer", "why", "passages")}
            _line({"event": "question", "number": number, "of": total, **shown})
            return
        title = Text.assemble((f"{number} of {total}", "bold"), (f"   {question.topic}, level {question.level}", "dim"))
        self._console.print(title)
        self._console.print(Text(question.stem))
        for letter, option in zip(ascii_uppercase, question.options, strict=False):
            self._console.print(Padding(Text.assemble((f"{letter}) ", "bold cyan"), option), (0, 0, 0, 2)))

    def prompt(self, letters: str) -> None:
        """Ask for a letter, where a person types."""
        if sys.stdin.isatty() and not self._json:
            typer.echo(f"[{letters[0]}-{letters[-1]}, ? or q] ", nl=False)

    def misread(self, given: str, letters: str) -> None:
        """Say that an answer was not understood."""
        typer.echo(f"{given[:40]!r} is no answer: type a letter from {letters[0]} to {letters[-1]}, ? or q", err=True)

    def tell(self, question: Question, given: int | None, due: date | None) -> None:
        """Show whether the answer was right, why, and where it is written."""
        cited = [found for each in question.passages if (found := self._base.passage(each)) is not None]
        subject = self._base.get(question.subject)
        url = subject.url if subject is not None else ""
        if self._json:
            _line({
                "event": "answer", "id": question.id, "given": None if given is None else ascii_uppercase[given],
                "right": given == question.answer, "answer": ascii_uppercase[question.answer], "why": question.why, "url": url,
                "passages": [asdict(each) for each in cited], "due": due.isoformat() if due else None,
            })  # fmt: skip
            return
        letter = ascii_uppercase[question.answer]
        if given == question.answer:
            self._console.print(Text("right", style="bold green"))
        else:
            word = "the answer is" if given is None else "no, it is"
            self._console.print(Text.assemble((f"{word} {letter}) ", "bold yellow"), question.right))
        self._console.print(Padding(Text(question.why), (0, 0, 0, 2)))
        for each in cited[:1]:
            if each.text.strip() not in question.why:
                self._console.print(Padding(Text(f"[{each.id}] {_short(each.text)}", style="dim"), (0, 0, 0, 2)))
        again = f"   again on {due.isoformat()}" if due else ""
        self._console.print(Text(f"  {url}{again}", style="dim"))
        self._console.print()

    def end(self, asked: int, right: int) -> None:
        """Show what the session came to."""
        if self._json:
            _line({"event": "end", "asked": asked, "right": right})
        else:
            typer.echo(f"{right} of {asked} right" if asked else "nothing was answered")


def render_standings(standings: Sequence[Standing]) -> None:
    """Print how each topic is known."""
    console = output_console()
    if not standings:
        console.print("nothing was answered yet; begin with: ctiforge quiz")
        return
    table = Table("topic", box=None, pad_edge=False)
    for name in ("questions", "answers", "right", "known"):
        table.add_column(name, justify="right")
    for each in standings:
        table.add_row(each.topic, str(each.questions), str(each.asked), f"{each.right / each.asked:.0%}", str(each.known))
    console.print(table)


def _short(text: str, longest: int = 400) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 3].rstrip() + "..."


def _line(value: dict[str, Any]) -> None:
    typer.echo(orjson.dumps(value).decode())
    sys.stdout.flush()
