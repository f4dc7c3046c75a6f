"""How an answer looks: sentences with what they cite, notes, releases; or one JSON object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

import orjson
from rich.console import Console
from rich.text import Text

from ctiforge.ask.answers import Answer
from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.cli.kb_render import render_versions

__all__ = ["answer_as_json", "render_answer"]

_HEADLINES: Final = {
    "not-stated": "The knowledge base does not say.",
    "ambiguous": "That name has several objects.",
    "declined": "Declined.",
}


def answer_as_json(answer: Answer, **more: Any) -> str:
    """Return an answer as one JSON object, indented."""
    whole = {**more, **asdict(answer), "text": answer.text}
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode()


def render_answer(console: Console, base: KnowledgeBase, answer: Answer, *, versions: bool = True) -> None:
    """Print an answer.

    Args:
        versions: say which releases the cited objects are of.
    """
    if answer.status in _HEADLINES:
        console.print(_HEADLINES[answer.status], style="bold")
    for sentence in answer.sentences:
        console.print(Text.assemble(sentence.text, " ", (f"[{', '.join(sentence.cites)}]", "cyan")))
    for note in answer.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    if answer.suggestions:
        label = "ask instead: " if answer.status == "declined" else "try: "
        console.print(Text(label + "; ".join(answer.suggestions), style="dim"))
    if versions:
        keys = {each.source for each in map(base.get, _owners(answer)) if each is not None}
        shown = [source for source in base.versions if source.key in keys] or list(base.versions)
        render_versions(console, shown)
        if answer.model:
            console.print(Text(f"written by {answer.model} from the passages cited", style="dim"))


def _owners(answer: Answer) -> Iterable[str]:
    return (cite.rpartition("#")[0] or cite for cite in answer.cited)
