"""The OpenAI-compatible endpoints, so that existing chat clients work: chat completions, models, embeddings.

A stream is sent when the answer is there, in pieces: every sentence is checked before any of it is shown.
"""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

import numpy as np
import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from ctiforge.core.messages import ChatMessage
from ctiforge.serve.access import Reader, State
from ctiforge.serve.json_replies import json_reply
from ctiforge.serve.openai_chat import ASK_MODEL, Completion, complete_by_model, complete_from_knowledge
from ctiforge.serve.problems import Problem, problem_responses
from ctiforge.serve.state import ServerState

__all__ = ["EMBEDDING_MODEL", "ChatRequest", "ChatTurn", "EmbeddingsRequest", "router"]

router = APIRouter(tags=["openai-compatible"])
EMBEDDING_MODEL: Final = "all-MiniLM-L6-v2"
_FAILS = problem_responses(400, 401, 403, 404, 413, 422, 429, 502, 503, 504)
_DIGEST_HEADER: Final = "X-Ctiforge-Model-Digest"


class _TextPart(BaseModel):
    type: Literal["text"]
    text: str


class ChatTurn(BaseModel):
    """One message; parts of a content other than text are refused."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_TextPart] = Field(max_length=200_000)

    @property
    def message(self) -> ChatMessage:
        """The message as models take it."""
        text = self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)
        return ChatMessage("system" if self.role == "developer" else self.role, text)


class ChatRequest(BaseModel):
    """What chat clients send; fields that are not named here have no effect."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": ASK_MODEL, "messages": [{"role": "user", "content": "how is T1059.001 detected?"}]}]
        },
    )
    model: str = Field("", max_length=200, description="As `/v1/models` lists them; empty for the first.")
    messages: list[ChatTurn] = Field(min_length=1, max_length=200)
    stream: bool = False
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=32_768)
    max_completion_tokens: int | None = Field(None, ge=1, le=32_768)
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    stop: str | list[str] | None = Field(None, max_length=100)
    n: Literal[1] = 1

    def sampling(self) -> dict[str, Any]:
        """Return what a `GenerationRequest` says of sampling."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return {
            "temperature": self.temperature or 0.0,
            "max_tokens": self.max_completion_tokens or self.max_tokens or 512,
            "seed": self.seed,
            "stop": stop,
        }


class EmbeddingsRequest(BaseModel):
    """One text or several."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": EMBEDDING_MODEL, "input": ["use after free"]}]})
    model: str = Field(EMBEDDING_MODEL, max_length=200)
    input: str | list[str] = Field(min_length=1)
    encoding_format: Literal["float", "base64"] = "float"


async def _model_names(state: ServerState) -> dict[str, str]:
    """Return the chat models with their digests, the one to take by default first."""
    names: dict[str, str] = {}
    if state.model is not None:
        info = await state.model.info()
        names[info.name] = info.digest or ""
    if state.has_knowledge_base:
        names[ASK_MODEL] = state.answerer.base.manifest.build
    return names


@router.get("/v1/models", responses={200: {"model": dict[str, Any]}, **_FAILS})
async def models(state: State, _: Reader) -> Response:
    """List what can be asked."""
    names = await _model_names(state)
    if state.has_encoder:
        names[EMBEDDING_MODEL] = state.answerer.base.manifest.encoder
    listed = [{"id": name, "object": "model", "created": 0, "owned_by": "ctiforge", "digest": names[name]} for name in names]
    return json_reply({"object": "list", "data": listed})


@router.post(
    "/v1/chat/completions",
    responses={200: {"model": dict[str, Any], "content": {"text/event-stream": {"schema": {"type": "string"}}}}, **_FAILS},
)
async def chat(asked: ChatRequest, state: State, _: Reader) -> Response:
    """Complete a chat: by the configured model, or grounded and cited by `ctiforge-ask`."""
    names = await _model_names(state)
    name = asked.model or next(iter(names), ASK_MODEL)
    if name not in names and name != ASK_MODEL:
        raise Problem(
            404, f"no model named {name!r}", name="unknown-model", fix=f"one of {', '.join(names)}" if names else None
        )
    messages = [each.message for each in asked.messages]
    if name == ASK_MODEL:
        done = await complete_from_knowledge(state, messages)
    else:
        assert state.model is not None
        done = await complete_by_model(state.model, asked.sampling(), messages)
    head = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": done.model,
        "system_fingerprint": done.digest,
    }
    headers = {_DIGEST_HEADER: done.digest}
    if asked.stream:
        return StreamingResponse(_events(head, done), headers=headers, media_type="text/event-stream")
    message = {"role": "assistant", "content": "".join(done.pieces)}
    choice = {"index": 0, "message": message, "finish_reason": done.finish_reason}
    return json_reply({**head, "object": "chat.completion", "choices": [choice], "usage": _usage(done)}, headers=headers)


def _usage(done: Completion) -> dict[str, int]:
    both = done.prompt_tokens + done.completion_tokens
    return {"prompt_tokens": done.prompt_tokens, "completion_tokens": done.completion_tokens, "total_tokens": both}


async def _events(head: dict[str, Any], done: Completion) -> AsyncIterator[bytes]:
    def event(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + orjson.dumps({**head, "object": "chat.completion.chunk", "choices": [choice]}) + b"\n\n"

    yield event({"role": "assistant", "content": ""})
    for piece in done.pieces:
        yield event({"content": piece})
    yield event({}, done.finish_reason)
    yield b"data: [DONE]\n\n"


@router.post("/v1/embeddings", responses={200: {"model": dict[str, Any]}, **_FAILS})
async def embeddings(asked: EmbeddingsRequest, state: State, _: Reader) -> Response:
    """Return unit vectors of texts by the sentence encoder of the knowledge base."""
    if asked.model not in ("", EMBEDDING_MODEL):
        raise Problem(404, f"no embedding model named {asked.model!r}", name="unknown-model", fix=EMBEDDING_MODEL)
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if len(texts) > state.settings.limits.texts:
        raise Problem(422, f"input: more than {state.settings.limits.texts} texts", name="invalid-request")
    encoder = await asyncio.to_thread(lambda: state.encoder)
    vectors = await asyncio.to_thread(encoder.encode, texts)
    data = [{"object": "embedding", "index": i, "embedding": _embedding(vectors[i], asked)} for i in range(len(texts))]
    words = sum(len(text.split()) for text in texts)
    digest = state.answerer.base.manifest.encoder
    body = {"object": "list", "data": data, "model": EMBEDDING_MODEL, "usage": {"prompt_tokens": words, "total_tokens": words}}
    return json_reply(body, headers={_DIGEST_HEADER: digest})


def _embedding(vector: Any, asked: EmbeddingsRequest) -> Any:
    if asked.encoding_format == "base64":
        return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
    return vector.tolist()
