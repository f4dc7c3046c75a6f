"""The OpenAI wire format without the wire: a `GenerationRequest` as a request body, a response document as a `Generation`.

Chat completions (``messages``) and text completions (``prompt``), as vLLM, llama.cpp, Ollama and LM Studio speak them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import orjson

from ctiforge.core.messages import ChatMessage
from ctiforge.models.generation import ErrorKind, FinishReason, Generation, GenerationError, GenerationRequest

__all__ = [
    "TOP_LOGPROBS",
    "ReplyError",
    "decode_document",
    "encode_body",
    "error_message",
    "excerpt",
    "next_token_body",
    "read_generation",
    "read_next_tokens",
    "request_body",
    "request_path",
]

TOP_LOGPROBS = 20
"""Tokens whose log-probability is asked for: the most that the chat API of OpenAI and a vLLM server with its defaults give."""

_CUT_OFF = frozenset({"length", "max_tokens", "model_length"})
_BROKEN_OFF = frozenset({"abort", "error", "cancelled"})
_EXCERPT = 300


class ReplyError(Exception):
    """A request that has no completion, and whether it is worth asking again."""

    def __init__(
        self, kind: ErrorKind, message: str, *, status: int | None = None, retry: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        assert kind in get_args(ErrorKind)
        self.kind: ErrorKind = kind
        self.message = message
        self.status = status
        self.retry = retry
        self.retry_after = retry_after

    def generation(self, attempts: int) -> Generation:
        """Return the failure as the result of a request."""
        error = GenerationError(self.kind, self.message, self.status)
        return Generation("", "error", attempts=attempts, error=error)


_NO_LOGPROBS = "the server gives no log-probabilities; a protocol that reads the answer from text works with every server"


def request_path(request: GenerationRequest) -> str:
    """Return the path below the base URL that answers `request`."""
    return "/chat/completions" if request.messages else "/completions"


def request_body(
    request: GenerationRequest,
    model: str | None,
    extra: Mapping[str, Any] | None = None,
    *,
    top_logprobs: int = TOP_LOGPROBS,
    token_limit_field: str = "max_tokens",
) -> dict[str, Any]:
    """Return the JSON body that asks for `request`; metadata stays here.

    A request with `choices` asks for one token and its alternatives, at temperature 1, at which every server means the same by
    the log-probability of a token.

    Args:
        extra: fields to add or replace (``{"top_p": 1, "chat_template_kwargs": {...}}``).

    Raises:
        ValueError: not exactly one of messages and prompt is set.
    """
    if bool(request.messages) == (request.prompt is not None):
        raise ValueError("a request has either messages or a prompt")
    body: dict[str, Any] = {"model": model} if model is not None else {}
    if request.messages:
        body["messages"] = [{"role": message.role, "content": message.content} for message in request.messages]
    else:
        body["prompt"] = request.prompt
    body["temperature"] = request.temperature
    body[token_limit_field] = request.max_tokens
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    if request.choices:
        body |= {"temperature": 1.0, token_limit_field: 1}
        body |= {"logprobs": True, "top_logprobs": top_logprobs} if request.messages else {"logprobs": top_logprobs}
        body.pop("stop", None)
    return body | dict(extra or {})


def next_token_body(
    request: GenerationRequest,
    begun: str,
    model: str | None,
    extra: Mapping[str, Any] | None = None,
    *,
    top_logprobs: int = TOP_LOGPROBS,
    token_limit_field: str = "max_tokens",
) -> dict[str, Any]:
    """Return the JSON body that asks for the token after a completion that has begun, and its alternatives.

    A conversation ends with the model's own turn then: llama.cpp's server goes on with it, vLLM's where it is told to.
    """
    settings: dict[str, Any] = dict(extra or {})
    if "cache_prompt" in settings:  # llama.cpp: the next question has the same prompt
        settings["cache_prompt"] = True
    if request.prompt is not None:
        asked = replace(request, prompt=request.prompt + begun)
    else:
        turn = (ChatMessage("assistant", begun),) if begun else ()
        asked = replace(request, messages=(*request.messages, *turn))
        settings |= {"add_generation_prompt": False, "continue_final_message": True} if turn else {}
    return request_body(asked, model, settings, top_logprobs=top_logprobs, token_limit_field=token_limit_field)


def encode_body(body: Mapping[str, Any]) -> bytes:
    """Return `body` as JSON in UTF-8. Lone surrogates, which UTF-8 cannot hold, become U+FFFD."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(_without_surrogates(body), ensure_ascii=False).encode()


def decode_document(data: bytes) -> Any:
    """Return the JSON value in `data`, more liberal than the standard where servers are (NaN, lone surrogates).

    Raises:
        ReplyError: it is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return _without_surrogates(json.loads(data))
    except (ValueError, RecursionError):
        raise ReplyError("malformed", f"the body is not JSON: {excerpt(data)}") from None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_without_surrogates(name): _without_surrogates(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(each) for each in value]
    return value


def excerpt(data: bytes | str) -> str:
    """Return the start of a body on one line, for a message to a person."""
    text = data[: 4 * _EXCERPT].decode("utf-8", "replace") if isinstance(data, bytes) else data
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return (line[:_EXCERPT] + "…" if len(line) > _EXCERPT else line) or "(nothing)"


def error_message(document: Any) -> str:
    """Return what an error document says, in the shapes of OpenAI, vLLM, llama.cpp and FastAPI; empty if it says nothing."""
    if not isinstance(document, Mapping):
        return ""
    for name in ("error", "message", "detail"):
        value = document.get(name)
        if isinstance(value, Mapping):
            value = value.get("message")
        if isinstance(value, str) and value.strip():
            return excerpt(value)
    return ""


def read_next_tokens(document: Any) -> Generation:
    """Return the log-probabilities of the likeliest next tokens by their texts, in `choice_logprobs`.

    Raises:
        ReplyError: the document has none.
    """
    choice, prompt_tokens, _ = _first_choice(document)
    found: dict[str, float] = {}
    for token, logprob in _first_tokens(choice.get("logprobs")):
        found[token] = float(logprob if token not in found else _log_sum(found[token], logprob))
    if not found:
        raise ReplyError("refused", _NO_LOGPROBS, retry=False)
    return Generation("", "stop", prompt_tokens, 1, choice_logprobs=found)


def read_generation(document: Any, request: GenerationRequest) -> Generation:
    """Return what a response document (status 200) says.

    ``reasoning_content`` and ``reasoning`` are not part of the answer and are left out.

    Raises:
        ReplyError: it has no completion in it.
    """
    choice, prompt_tokens, completion_tokens = _first_choice(document)
    if request.choices:
        logprobs = _choice_logprobs(choice, request)
        text = max(logprobs, key=logprobs.__getitem__, default="")
        return Generation(text, "stop", prompt_tokens, completion_tokens, choice_logprobs=logprobs)
    text = _text(choice)
    finish_reason = _finish_reason(choice)
    # A base model that ends at once, or whose first token is a stop sequence, has answered with nothing. It says so by a token
    # that was generated; a chat model's reply without a character is a fault of the server's (or all of it was reasoning).
    ended_at_once = request.prompt is not None and bool(completion_tokens)
    if not text and finish_reason == "stop" and not ended_at_once:
        raise ReplyError("empty", _empty_message(choice), status=200)
    return Generation(text, finish_reason, prompt_tokens, completion_tokens)


def _first_choice(document: Any) -> tuple[Mapping[str, Any], int | None, int | None]:
    """Return the first choice of a response, and its tokens of prompt and completion.

    Raises:
        ReplyError: there is none.
    """
    if not isinstance(document, Mapping):
        raise ReplyError("malformed", f"the body is JSON, but no object: {excerpt(repr(document))}")
    if document.get("error"):
        raise _error_in_success(document)
    choices = document.get("choices")
    if not isinstance(choices, Sequence) or not choices or not isinstance(choices[0], Mapping):
        raise ReplyError("malformed", f"the body has no choices: {excerpt(repr(dict(document)))}")
    choice = choices[0]
    usage = document.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    prompt_tokens, completion_tokens = (_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    return choice, prompt_tokens, completion_tokens


def _error_in_success(document: Mapping[str, Any]) -> ReplyError:
    error = document["error"]
    code = error.get("code") if isinstance(error, Mapping) else None
    status = code if isinstance(code, int) and 100 <= code < 600 else None
    message = error_message(document) or excerpt(repr(error))
    if status is not None and 400 <= status < 500 and status not in (408, 429):
        return ReplyError("refused", message, status=status, retry=False)
    return ReplyError("http_status" if status else "malformed", f"an error with status 200: {message}", status=status)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    if isinstance(message, Mapping):
        content = message.get("content")
        if isinstance(content, list):  # content parts
            parts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
            content = "".join(part for part in parts if isinstance(part, str))
    else:
        content = choice.get("text")
        if "text" not in choice:
            raise ReplyError("malformed", f"the choice has neither message nor text: {excerpt(repr(dict(choice)))}")
    if content is None:
        return ""
    if not isinstance(content, str):
        raise ReplyError("malformed", f"the content is no text: {excerpt(repr(content))}")
    return content


def _finish_reason(choice: Mapping[str, Any]) -> FinishReason:
    reason = choice.get("finish_reason")
    if reason in _BROKEN_OFF:
        raise ReplyError("malformed", f"the server broke the completion off (finish_reason {reason!r})")
    return "length" if reason in _CUT_OFF else "stop"


def _empty_message(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    if isinstance(message, Mapping) and (message.get("reasoning_content") or message.get("reasoning")):
        return "the completion has reasoning but no answer"
    if choice.get("finish_reason") == "content_filter":
        return "the server's content filter took the completion away"
    return "the completion is empty"


def _choice_logprobs(choice: Mapping[str, Any], request: GenerationRequest) -> dict[str, float]:
    """Return the log-probability of each of the request's choices that is among the likeliest first tokens.

    Tokens that differ only in white space around them (``A`` and `` A``) are one choice; their probabilities add up.
    """
    found: dict[str, float] = {}
    tokens = list(_first_tokens(choice.get("logprobs")))
    if not tokens:
        raise ReplyError("refused", _NO_LOGPROBS, retry=False)
    for token, logprob in tokens:
        name = token.strip()
        if name in request.choices:
            found[name] = float(logprob if name not in found else _log_sum(found[name], logprob))
    return {name: found[name] for name in request.choices if name in found}


def _first_tokens(logprobs: Any) -> Iterator[tuple[str, float]]:
    """Yield the likeliest first tokens, from the shape of chat (``content``) or of text completions (``top_logprobs``)."""
    if not isinstance(logprobs, Mapping):
        return
    content, top = logprobs.get("content"), logprobs.get("top_logprobs")
    if isinstance(content, list) and content and isinstance(content[0], Mapping):
        likeliest = content[0].get("top_logprobs") or [content[0]]
        pairs = [(each.get("token"), each.get("logprob")) for each in likeliest if isinstance(each, Mapping)]
    elif isinstance(top, list) and top and isinstance(top[0], Mapping):
        pairs = list(top[0].items())
    else:
        return
    for token, logprob in pairs:
        if isinstance(token, str) and isinstance(logprob, int | float) and not math.isnan(logprob):
            yield token, min(float(logprob), 0.0)


def _log_sum(one: float, other: float) -> float:
    high, low = max(one, other), min(one, other)
    return high if low == -math.inf else min(high + math.log1p(math.exp(low - high)), 0.0)
