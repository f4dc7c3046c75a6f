"""``/v1/ask`` and ``/v1/kb/search``: answers with citations, and the passages themselves."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ctiforge.ask import Answer, ObjectKind, Scope
from ctiforge.serve.access import Reader, State
from ctiforge.serve.json_replies import json_reply
from ctiforge.serve.problems import problem_responses
from ctiforge.serve.state import ServerState

__all__ = ["AskRequest", "answer_of", "answer_record", "passages_found", "router"]

router = APIRouter(tags=["ask"])
_FAILS = problem_responses(400, 401, 403, 413, 422, 429, 502, 503, 504)


class AskRequest(BaseModel):
    """A question, and what its answer is restricted to."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"question": "which mitigation fits T1548.002"}]},
    )
    question: str = Field(description="In English.")
    kinds: list[ObjectKind] = Field([], description="Only objects of these kinds.")
    platform: str | None = Field(None, description="Only objects with this platform.")
    tactic: str | None = Field(None, description="Only objects with this tactic.")
    date: str | None = Field(None, description="As of this ISO 8601 day.")


@router.post("/v1/ask", responses={200: {"model": dict[str, Any]}, **_FAILS})
async def ask(asked: AskRequest, state: State, _: Reader) -> Response:
    """Answer a question from the knowledge base. Every sentence cites what says so; `status` says whether there is an answer."""
    scope = Scope(kinds=tuple(asked.kinds), platform=asked.platform, tactic=asked.tactic, date=asked.date)
    return json_reply(answer_record(state, await answer_of(state, asked.question, scope)))


async def answer_of(state: ServerState, question: str, scope: Scope) -> Answer:
    """Answer a question; the configured model writes what comes from passages.

    Raises:
        CtiforgeError: as `ctiforge.ask.Answerer` raises it; there is no knowledge base.
    """
    answerer = state.answerer
    scope.check(answerer.base)
    if state.model is not None:
        return await answerer.write(question, state.model, scope)
    return await asyncio.to_thread(answerer.answer, question, scope)


def answer_record(state: ServerState, answer: Answer) -> dict[str, Any]:
    """Return an answer as ``ctiforge ask --json`` writes it."""
    return {"note": state.answerer.base.note, **asdict(answer), "text": answer.text}


@router.get("/v1/kb/search", responses={200: {"model": dict[str, Any]}, **_FAILS})
def search(
    state: State,
    _: Reader,
    q: Annotated[str, Query(description="What to search for.", examples=["LSASS memory"])],
    top_k: Annotated[int, Query(ge=1, le=100)] = 10,
    kind: Annotated[list[ObjectKind], Query(description="Only objects of these kinds.")] = [],  # noqa: B006 - FastAPI copies it
    platform: str | None = None,
    tactic: str | None = None,
) -> Response:
    """Return the passages that fit best, with the releases that they are of."""
    return json_reply(passages_found(state, q, top_k, kind, platform, tactic))


def passages_found(
    state: ServerState,
    query: str,
    top_k: int,
    kinds: list[ObjectKind] | None = None,
    platform: str | None = None,
    tactic: str | None = None,
) -> dict[str, Any]:
    """Search the knowledge base.

    Raises:
        CtiforgeError: there is none, or a value cannot be searched for.
    """
    base = state.answerer.base
    hits = base.search(query, top_k, kinds=kinds or None, platform=platform, tactic=tactic)
    return {
        "hits": [{**asdict(each.passage), "score": each.score, "bm25": each.bm25, "cosine": each.cosine} for each in hits],
        "sources": [{"key": each.key, "name": each.name, "version": each.version, "date": each.date} for each in base.versions],
        "build": base.manifest.build,
        "note": base.note,
    }
