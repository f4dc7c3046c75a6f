"""The options that `ctiforge ask` and `ctiforge chat` share, and what they open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctiforge.ask.answering import Answerer
from ctiforge.ask.answers import Answer, Scope
from ctiforge.ask.objects import OBJECT_KINDS
from ctiforge.cli.kb import open_knowledge_base
from ctiforge.cli.model_options import open_spec, read_options

if TYPE_CHECKING:
    from ctiforge.models.generation import TextModel

__all__ = [
    "AttemptsOption", "DateOption", "KindOption", "ModelOption", "OptionOption", "PlatformOption", "Session", "TacticOption",
    "TimeoutOption", "open_session", "scope_of",
]  # fmt: skip

ModelOption = Annotated[
    str | None,
    typer.Option(metavar="SPEC", help="Let this model write what is answered from passages; see `ctiforge bench models`."),
]
OptionOption = Annotated[
    list[str] | None, typer.Option("--option", metavar="NAME=VALUE", help="Setting of the model's backend: context_size=8192.")
]
TimeoutOption = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an endpoint's answer.")]
AttemptsOption = Annotated[int, typer.Option(min=1, help="Requests for one answer at most, where an endpoint fails.")]
DateOption = Annotated[
    str | None, typer.Option(metavar="DAY", help="Answer as of this day: only from objects that were there, e.g. 2024-01-31.")
]
KindOption = Annotated[list[str] | None, typer.Option(help=f"Only objects of this kind: {', '.join(OBJECT_KINDS)}.")]
PlatformOption = Annotated[str | None, typer.Option(help="Only objects with this platform, e.g. Windows.")]
TacticOption = Annotated[str | None, typer.Option(help="Only objects with this tactic: a name or TA0005.")]


@dataclass(frozen=True, slots=True)
class Session:
    """An open knowledge base, what answers are restricted to, and the model that writes them, if any."""

    answerer: Answerer
    scope: Scope
    model: TextModel | None
    runner: asyncio.Runner

    def answer(self, question: str) -> Answer:
        """Answer one question."""
        if self.model is None:
            return self.answerer.answer(question, self.scope)
        return self.runner.run(self.answerer.write(question, self.model, self.scope))


@contextmanager
def open_session(
    kb: Path | None,
    scope: Scope,
    *,
    embeddings: bool,
    model: str | None,
    timeout: float,
    attempts: int,
    options: list[str] | None,
) -> Iterator[Session]:
    """Open what answering needs, and close the model at the end."""
    opened = open_spec(model, timeout, attempts, read_options(options or [])) if model else None
    answerer = Answerer(open_knowledge_base(kb, embeddings=embeddings))
    scope.check(answerer.base)
    with asyncio.Runner() as runner:
        try:
            yield Session(answerer, scope, opened, runner)
        finally:
            if opened is not None:
                runner.run(opened.close())


def scope_of(date: str | None, kind: list[str] | None, platform: str | None, tactic: str | None) -> Scope:
    """Return the scope that options say; the knowledge base checks it."""
    kinds: Any = tuple(kind or ())
    return Scope(kinds=kinds, platform=platform, tactic=tactic, date=date)
