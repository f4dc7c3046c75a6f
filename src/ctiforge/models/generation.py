"""The protocol for text generation: what is asked of a model, what comes back, and what a model says of itself.

A backend never raises for what a server or a network does: a request that failed is a `Generation` with an `error`, so that a
run goes on and counts it. It raises `ctiforge.core.errors.ModelError` only where the user must mend something before any
request can succeed (no such file, a wrong address, a missing key).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from ctiforge.core.messages import ChatMessage

__all__ = [
    "ErrorKind",
    "FinishReason",
    "Generation",
    "GenerationError",
    "GenerationRequest",
    "ModelInfo",
    "TextModel",
]

FinishReason = Literal["stop", "length", "error"]
"""``stop``: the model ended (or met a stop sequence); ``length``: cut off at max_tokens; ``error``: there is no completion."""

ErrorKind = Literal["connection", "timeout", "http_status", "malformed", "empty", "refused"]
"""``malformed``: a body that is not the JSON it should be (HTML, half a document, no choices); ``empty``: a completion without
a character though the server said 200; ``refused``: the server says that the request itself is wrong (4xx but 408 and 429)."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One thing to ask. Exactly one of `messages` (chat) and `prompt` (text completion) is set.

    Attributes:
        temperature: 0 asks for the most likely token each time.
        max_tokens: tokens of the completion at most.
        seed: for the sampler of this request; None leaves it to the backend.
        stop: sequences that end the completion (and are not part of it).
        choices: where set, the backend is asked for the log-probability of each of these as the next text, in
            `Generation.choice_logprobs`, instead of a free completion.
        metadata: what the asker knows of the item (``task``, ``sample_id``, ``trial``, ``input``, ``choices``,
            ``options``: their texts, ``question``); for models that are not language models. Never sent over a network.
    """

    messages: tuple[ChatMessage, ...] = ()
    prompt: str | None = None
    temperature: float = 0.0
    max_tokens: int = 512
    seed: int | None = None
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GenerationError:
    """Why there is no completion, after all attempts."""

    kind: ErrorKind
    message: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """What came back.

    Attributes:
        text: the completion; empty if there is none.
        prompt_tokens, completion_tokens: as the backend counts them, None if it does not say.
        attempts: requests made, the last one included.
        choice_logprobs: natural logarithms by choice, where `GenerationRequest.choices` asked for them.
        ranked: the answers of a model that ranks, best first (a classifier); empty for language models.
        confidence: the model's own probability, 0 to 1, that its answer is right; None if it gives none.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    attempts: int = 1
    error: GenerationError | None = None
    choice_logprobs: Mapping[str, float] | None = None
    ranked: tuple[str, ...] = ()
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a record says of the model that made it.

    Attributes:
        name: for people: the served model id, the folder's name, ``ctiforge-fast``.
        backend: ``openai``, ``transformers``, ``llama.cpp``, ``embedded``, ``baseline`` or ``scripted``.
        digest: SHA-256 of the weights where they are local, else None.
        endpoint: address without credentials and query, else None.
        chat_template_sha256: of the chat template in use, where the backend can see it.
        settings: what else decides the answers (dtype, adapter, context size, policy), JSON values only.
    """

    name: str
    backend: str
    digest: str | None = None
    endpoint: str | None = None
    chat_template_sha256: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class TextModel(Protocol):
    """A model that completes text. `generate` may be awaited many times at once; the caller bounds how many."""

    async def info(self) -> ModelInfo:
        """Return what the model is.

        Raises:
            ModelError: it cannot be reached or loaded.
        """
        ...

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer one request; a failure is a `Generation` with an error."""
        ...

    async def close(self) -> None:
        """Let go of connections, processes and memory."""
        ...
