"""A chat completion: by the configured model, or by the knowledge base as the model ``ctiforge-ask``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ctiforge.ask import Answer
from ctiforge.ask.conversation import NO_TOPIC, spell_out, topic_after
from ctiforge.core.messages import ChatMessage
from ctiforge.models.generation import GenerationRequest, TextModel
from ctiforge.serve.problems import Problem
from ctiforge.serve.state import ServerState

__all__ = ["ASK_MODEL", "Completion", "complete_by_model", "complete_from_knowledge"]

ASK_MODEL: Final = "ctiforge-ask"
_TURNS: Final = 4
"""Questions of the conversation that are read, the last one included."""
_STATUS_TEXTS: Final = {
    "not-stated": "The knowledge base does not say.",
    "ambiguous": "That name has several objects.",
    "declined": "Declined.",
}


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished completion: the text in pieces, what made it, and how it ended."""

    pieces: tuple[str, ...]
    model: str
    digest: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0


async def complete_from_knowledge(state: ServerState, messages: Sequence[ChatMessage]) -> Completion:
    """Answer the last question of a conversation, grounded and cited.

    Raises:
        CtiforgeError: there is no knowledge base, or the question is empty or too long.
        Problem: no message is a user's.
    """
    questions = [each.content for each in messages if each.role == "user"][-_TURNS:]
    if not questions or messages[-1].role != "user":
        raise Problem(422, "messages: the last one is not a user's", name="invalid-request")
    return await asyncio.to_thread(_answer_last, state, questions)


def _answer_last(state: ServerState, questions: Sequence[str]) -> Completion:
    answerer = state.answerer
    topic, answer = NO_TOPIC, None
    for question in questions:
        answer = answerer.answer(spell_out(question, topic, answerer.names))
        topic = topic_after(answer, topic)
    assert answer is not None
    pieces = _pieces(answer)
    words = sum(len(piece.split()) for piece in pieces)
    return Completion(pieces, ASK_MODEL, answer.build, "stop", sum(len(each.split()) for each in questions), words)


def _pieces(answer: Answer) -> tuple[str, ...]:
    lines = [_STATUS_TEXTS[answer.status]] if answer.status in _STATUS_TEXTS else []
    lines += [f"{sentence.text} [{', '.join(sentence.cites)}]" for sentence in answer.sentences]
    lines += [f"Note: {note}" for note in answer.notes]
    lines += [f"Try: {each}" for each in answer.suggestions]
    releases = ", ".join(f"{each.name} {each.version}".strip() for each in answer.sources)
    lines += [f"Sources: {releases}"] if releases else []
    return tuple(f"{line}\n" for line in lines)


async def complete_by_model(model: TextModel, asked: dict[str, Any], messages: Sequence[ChatMessage]) -> Completion:
    """Pass a conversation on to the configured model.

    Args:
        asked: temperature, max_tokens, seed and stop, as `GenerationRequest` takes them.

    Raises:
        ModelError: it cannot be reached or loaded.
        Problem: it gave nothing.
    """
    info = await model.info()
    generation = await model.generate(GenerationRequest(messages=tuple(messages), **asked))
    if generation.error is not None:
        status = 504 if generation.error.kind == "timeout" else 502
        raise Problem(status, f"{info.name}: {generation.error.message}", name="model")
    return Completion(
        tuple(generation.text.splitlines(keepends=True)),
        info.name,
        info.digest or "",
        generation.finish_reason,
        generation.prompt_tokens or 0,
        generation.completion_tokens or 0,
    )
