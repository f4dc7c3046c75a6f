"""``ctiforge chat``: a conversation in the terminal; questions may refer to what was talked about last."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ctiforge.ask.conversation import NO_TOPIC, Topic, spell_out, topic_after
from ctiforge.ask.history import ChatHistory, Turn, now
from ctiforge.cli.answer_options import (
    AttemptsOption,
    DateOption,
    KindOption,
    ModelOption,
    OptionOption,
    PlatformOption,
    Session,
    TacticOption,
    TimeoutOption,
    open_session,
    scope_of,
)
from ctiforge.cli.answer_render import answer_as_json, render_answer
from ctiforge.cli.cwe_render import error_console, output_console
from ctiforge.cli.kb import JsonFlag, KbOption, NoEmbeddings
from ctiforge.cli.kb_render import render_versions
from ctiforge.core.errors import SettingError
from ctiforge.core.paths import user_data_dir

__all__ = ["chat", "delete", "list_conversations", "show"]

HistoryOption = Annotated[
    Path | None,
    typer.Option("--history", metavar="FILE", help="SQLite file.", show_default="the user data folder, conversations.sqlite3"),
]
_Number = Annotated[int, typer.Argument(metavar="NUMBER", help="As `chat list` shows it.")]
_SHOWN = 3
_HELP = "Ask in English. 'it' is what was talked about last. /sources shows releases, /quit or Ctrl-D ends."


def chat(
    kb: KbOption = None,
    model: ModelOption = None,
    option: OptionOption = None,
    timeout: TimeoutOption = 120.0,
    attempts: AttemptsOption = 3,
    date: DateOption = None,
    kind: KindOption = None,
    platform: PlatformOption = None,
    tactic: TacticOption = None,
    no_embeddings: NoEmbeddings = False,
    resume: Annotated[int | None, typer.Option(metavar="NUMBER", help="Go on with this conversation.")] = None,
    history: HistoryOption = None,
) -> None:
    """Ask one question after the other. The conversation is kept on this machine: `chat list`, `chat show`, `chat delete`."""
    kept = _history(history)
    turns = [] if resume is None else kept.turns(resume)
    scope = scope_of(date, kind, platform, tactic)
    with open_session(
        kb, scope, embeddings=not no_embeddings, model=model, timeout=timeout, attempts=attempts, options=option
    ) as session:
        _show_turns(output_console(), turns[-_SHOWN:])
        about = [turn for turn in turns if turn.objects]
        _converse(session, kept, resume, Topic(about[-1].understood, about[-1].objects) if about else NO_TOPIC)


def list_conversations(history: HistoryOption = None, as_json: JsonFlag = False) -> None:
    """List conversations, the latest first."""
    found = _history(history).conversations()
    if as_json:
        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    if not found:
        typer.echo("there are no conversations yet; ctiforge chat begins one")
        return
    table = Table("number", "last", "turns", "first question", box=None, pad_edge=False)
    for each in found:
        table.add_row(str(each.id), each.last[:16].replace("T", " "), str(each.turns), Text(each.title))
    output_console().print(table)


def show(number: _Number, history: HistoryOption = None, as_json: JsonFlag = False) -> None:
    """Show a conversation with its answers."""
    turns = _history(history).turns(number)
    if as_json:
        shown = [{"at": each.at, "asked": each.asked, "answer": orjson.loads(each.answer)} for each in turns]
        typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
    else:
        _show_turns(output_console(), turns)


def delete(number: _Number, history: HistoryOption = None) -> None:
    """Delete a conversation for good."""
    _history(history).delete(number)
    typer.echo(f"conversation {number} is deleted")


def _history(path: Path | None) -> ChatHistory:
    return ChatHistory(path or user_data_dir() / "conversations.sqlite3")


def _converse(session: Session, history: ChatHistory, number: int | None, topic: Topic) -> None:
    """Read questions until the end of the input; a question that cannot be answered is told and the conversation goes on."""
    console = output_console()
    asks = sys.stdin.isatty()
    if asks:
        import readline  # noqa: F401 - gives `input` line editing

        console.print(_HELP, style="dim")
    while (line := _next_line(asks)) is not None:
        if line in ("/quit", "/exit"):
            break
        if line == "/sources":
            render_versions(console, session.answerer.base.versions)
        elif line.startswith("/"):
            console.print(_HELP, style="dim")
        elif line:
            try:
                number, topic = _take_turn(console, session, history, number, topic, line)
            except SettingError as error:
                error_console().print(str(error), style="red", markup=False)


def _next_line(asks: bool) -> str | None:
    try:
        return input("> " if asks else "").strip()
    except EOFError:
        return None
    except KeyboardInterrupt:
        typer.echo()
        return None


def _take_turn(
    console: Console, session: Session, history: ChatHistory, number: int | None, topic: Topic, line: str
) -> tuple[int, Topic]:
    question = spell_out(line, topic, session.answerer.names)
    answer = session.answer(question)
    if question != line:
        console.print(Text(f"({question})", style="dim"))
    render_answer(console, session.answerer.base, answer, versions=False)
    console.print()
    turn = Turn(now(), line, answer.question, answer.objects, answer_as_json(answer))
    return history.add(number, turn), topic_after(answer, topic)


def _show_turns(console: Console, turns: list[Turn]) -> None:
    for turn in turns:
        answer = orjson.loads(turn.answer)
        console.print(Text(f"> {turn.asked}", style="bold"))
        for sentence in answer["sentences"]:
            console.print(Text.assemble(sentence["text"], " ", (f"[{', '.join(sentence['cites'])}]", "cyan")))
        for note in answer["notes"]:
            console.print(Text(f"note: {note}", style="yellow"))
        console.print()
