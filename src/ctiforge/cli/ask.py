"""``ctiforge ask``: one question, one answer with citations."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ctiforge.cli.answer_options import (
    AttemptsOption,
    DateOption,
    KindOption,
    ModelOption,
    OptionOption,
    PlatformOption,
    TacticOption,
    TimeoutOption,
    open_session,
    scope_of,
)
from ctiforge.cli.answer_render import answer_as_json, render_answer
from ctiforge.cli.cwe_render import error_console, output_console
from ctiforge.cli.kb import JsonFlag, KbOption, NoEmbeddings

__all__ = ["ask"]


def ask(
    question: Annotated[list[str], typer.Argument(metavar="QUESTION", help="In English; '-' reads it from standard input.")],
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
    as_json: JsonFlag = False,
) -> None:
    """Answer a question from the knowledge base; every sentence cites what says so.

    'which mitigation fits T1548.002', 'difference between CWE-862 and CWE-863', 'which data source shows LSASS access'.
    """
    text = sys.stdin.read() if question == ["-"] else " ".join(question)
    scope = scope_of(date, kind, platform, tactic)
    with open_session(
        kb, scope, embeddings=not no_embeddings, model=model, timeout=timeout, attempts=attempts, options=option
    ) as session:
        answer = session.answer(text)
        base = session.answerer.base
    if as_json:
        typer.echo(answer_as_json(answer, note=base.note))
        return
    if base.note and answer.method in ("passages", "model", "none") and answer.status != "declined" and not no_embeddings:
        error_console().print(f"note: {base.note}", style="yellow")
    render_answer(output_console(), base, answer)
