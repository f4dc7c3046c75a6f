"""Models behind an OpenAI-compatible endpoint: vLLM, llama.cpp's server, Ollama, LM Studio, and hosted services."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ctiforge.core.errors import ModelError, SettingError
from ctiforge.core.files import sha256
from ctiforge.models.generation import Generation, GenerationRequest, ModelInfo
from ctiforge.models.http_lanes import HttpLanes, HttpReply, LaneError
from ctiforge.models.label_requests import FEW_CHOICES, lead_of, rank_choices
from ctiforge.models.openai_wire import (
    TOP_LOGPROBS,
    ReplyError,
    decode_document,
    encode_body,
    error_message,
    excerpt,
    next_token_body,
    read_generation,
    read_next_tokens,
    request_body,
    request_path,
)
from ctiforge.models.retry import RetryPolicy, retry_after_seconds

__all__ = ["DEFAULT_API_KEY_ENV", "OpenAIModel"]

DEFAULT_API_KEY_ENV = "OPENAI_API_KEY"
_ASKED_AGAIN = frozenset({408, 425, 429})
_NEVER_AGAIN = frozenset({501, 505})
_INFO_ATTEMPTS = 3
_ROUTE = re.compile(r"/(chat/completions|completions|models)/?$")
_SERVER_SAMPLING = ("top_k", "top_p", "min_p", "repeat_penalty")


@dataclass(frozen=True, slots=True)
class _Address:
    """A base URL in its parts."""

    origin: str
    path: str
    query: str
    authorization: str | None

    @property
    def endpoint(self) -> str:
        return self.origin + self.path

    def below(self, path: str) -> str:
        return self.path + path + self.query


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint, asked by chat or text completions.

    Connection errors, timeouts, 408, 425, 429, 5xx (but 501 and 505) and bodies that are no completion are asked again, with
    backoff; other statuses are not. The key goes into the Authorization header only: no message, log or `ModelInfo` has it.

    Args:
        base_url: ``http://127.0.0.1:8000/v1``; without a path, ``/v1`` is meant. User and password in it are sent as basic
            authorization, a query with every request.
        model: the served model's id; if None, the server is asked, and must serve exactly one.
        api_key_env: environment variable with the API key; none is sent if it is not set.
        timeout_s: for one request, waiting in the server's queue included.
        seed: of the jitter between attempts; it has no influence on answers.
        extra_body: fields for every request body (``{"top_p": 1.0}``); part of the model's settings.
        token_limit_field: ``max_completion_tokens`` for services that refuse ``max_tokens``.
        sleep: waits between attempts.

    Raises:
        SettingError: the URL or the key cannot be used.
        MissingExtraError: httpx is not installed.
    """

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        *,
        api_key_env: str = DEFAULT_API_KEY_ENV,
        timeout_s: float = 600.0,
        retry: RetryPolicy | None = None,
        seed: int = 0,
        extra_body: Mapping[str, Any] | None = None,
        token_limit_field: str = "max_tokens",
        top_logprobs: int = TOP_LOGPROBS,
        environment: Mapping[str, str] = os.environ,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if timeout_s <= 0:
            raise SettingError(f"timeout_s is {timeout_s}", fix="give a number of seconds above 0")
        self._address = _parse_address(base_url)
        self._model = model
        self._api_key_env = api_key_env
        self._api_key = _api_key(environment, api_key_env)
        self._retry = retry or RetryPolicy()
        self._rng = random.Random(seed)
        self._extra_body = dict(extra_body or {})
        self._token_limit_field = token_limit_field
        self._top_logprobs = top_logprobs
        self._sleep = sleep
        self._asking_for_model = asyncio.Lock()
        headers = {"accept": "application/json", "user-agent": "ctiforge"}
        if self._api_key or self._address.authorization:
            headers["authorization"] = f"Bearer {self._api_key}" if self._api_key else str(self._address.authorization)
        self._lanes = HttpLanes(self._address.origin, headers, timeout_s=timeout_s)

    async def info(self) -> ModelInfo:
        """Return the served model, and the chat template's digest where the server is llama.cpp's.

        Raises:
            ModelError: the server cannot be reached, refuses the key, or serves several models and none was named.
        """
        name = await self._reach()
        settings: dict[str, Any] = {}
        if self._extra_body:
            settings["extra_body"] = self._extra_body
        props = await self._llama_cpp_props()
        template = props.get("chat_template")
        sampling = props.get("default_generation_settings", {})
        sampling = sampling.get("params", sampling) if isinstance(sampling, Mapping) else {}
        if isinstance(sampling, Mapping) and (known := {key: sampling[key] for key in _SERVER_SAMPLING if key in sampling}):
            settings["server_sampling"] = known
        return ModelInfo(
            name=name,
            backend="openai",
            endpoint=self._address.endpoint,
            chat_template_sha256=sha256(template.encode("utf-8", "replace")) if isinstance(template, str) else None,
            settings=settings,
        )

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer one request, in `max_attempts` attempts at most; many choices are ranked by several requests.

        Raises:
            ModelError: no model was named and the server does not say which one it serves.
        """
        model = await self._model_id()
        path = self._address.below(request_path(request))
        how: dict[str, Any] = {"top_logprobs": self._top_logprobs, "token_limit_field": self._token_limit_field}
        if len(request.choices) > FEW_CHOICES:

            async def ask(begun: str) -> Generation:
                body = next_token_body(request, begun, model, self._extra_body, **how)
                return await self._answered(path, body, read_next_tokens)

            return await rank_choices(ask, request.choices, lead=lead_of(request))
        body = request_body(request, model, self._extra_body, **how)
        return await self._answered(path, body, lambda document: read_generation(document, request))

    async def _answered(self, path: str, body: Mapping[str, Any], read: Callable[[Any], Generation]) -> Generation:
        content = encode_body(body)
        attempt = 1
        while True:
            try:
                reply = await self._exchange("POST", path, content)
                generation = read(decode_document(reply.content))
                return generation if attempt == 1 else replace(generation, attempts=attempt)
            except ReplyError as error:
                if not error.retry or attempt >= self._retry.max_attempts:
                    return error.generation(attempt)
                await self._sleep(self._retry.delay(attempt, self._rng, error.retry_after))
                attempt += 1

    async def close(self) -> None:
        """Close the connections."""
        await self._lanes.close()

    async def _exchange(self, method: str, path: str, content: bytes = b"") -> HttpReply:
        """Return a response of status 200.

        Raises:
            ReplyError: there is none.
        """
        try:
            reply = await self._lanes.request(method, path, content)
        except LaneError as error:
            raise ReplyError("timeout" if error.timeout else "connection", self._redact(str(error))) from None
        if reply.status == 200:
            return reply
        raise self._status_error(reply, path)

    def _status_error(self, reply: HttpReply, path: str) -> ReplyError:
        status = reply.status
        try:
            said = error_message(decode_document(reply.content))
        except ReplyError:
            said = ""
        said = self._redact(said or excerpt(reply.content))
        advice = self._advice(reply, path)
        message = f"HTTP {status}: {said}" + (f" ({advice})" if advice else "")
        refused = 400 <= status < 500 and status not in (408, 429)
        again = status in _ASKED_AGAIN or (status >= 500 and status not in _NEVER_AGAIN)
        wait = retry_after_seconds(reply.headers)
        return ReplyError("refused" if refused else "http_status", message, status=status, retry=again, retry_after=wait)

    def _advice(self, reply: HttpReply, path: str) -> str:
        if reply.status == 401:
            return f"set {self._api_key_env} to a key of this service" if not self._api_key else f"check {self._api_key_env}"
        if reply.status == 403:
            return f"the key in {self._api_key_env} may not use this model, or the server admits no such client"
        if reply.status == 404:
            named = f" and that it serves {self._model!r}" if self._model else ""
            return f"check that {self._address.endpoint} is the base URL, usually ending in /v1,{named or ' not a page'}"
        if 300 <= reply.status < 400:
            return f"redirections are not followed; give the address {self._redact(reply.headers.get('location', 'it names'))}"
        return ""

    def _redact(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text

    async def _model_id(self) -> str:
        if self._model is None:
            async with self._asking_for_model:
                if self._model is None:
                    self._model = _only_model(await self._served_models(), self._address.endpoint)
        return self._model

    async def _served_models(self) -> list[str]:
        """Return the ids that the server lists.

        Raises:
            ModelError: it cannot be reached, refuses, or has no list.
        """
        address = self._address.endpoint
        attempt = 1
        while True:
            try:
                return _listed(decode_document((await self._exchange("GET", self._address.below("/models"))).content), address)
            except ReplyError as error:
                if error.kind != "http_status" or not error.retry or attempt >= min(_INFO_ATTEMPTS, self._retry.max_attempts):
                    raise _unusable(error, address) from error
                await self._sleep(self._retry.delay(attempt, self._rng, error.retry_after))
                attempt += 1

    async def _reach(self) -> str:
        """Return the model's id after the server has answered; a service without a list of models will do if one is named."""
        if self._model is None:
            return await self._model_id()
        try:
            await self._served_models()
        except ModelError as error:
            cause = error.__cause__
            if not (isinstance(cause, ReplyError) and (cause.status in (404, 405, 501) or cause.kind == "malformed")):
                raise
        return self._model

    async def _llama_cpp_props(self) -> Mapping[str, Any]:
        """Return what llama.cpp's server says of itself at ``/props``, beside ``/v1``; empty for any other server."""
        try:
            reply = await self._exchange("GET", f"{self._address.path.removesuffix('/v1')}/props{self._address.query}")
            document = decode_document(reply.content)
        except ReplyError:
            return {}
        return document if isinstance(document, Mapping) else {}


def _parse_address(base_url: str) -> _Address:
    fix = "give http:// or https://, a host and the path, such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(base_url.strip())
        port = parts.port
    except ValueError as error:
        raise SettingError(f"the endpoint's address cannot be read: {error}", fix=fix) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = base_url.rpartition("@")[2]
        raise SettingError(f"{shown!r} is not the address of an endpoint", fix=fix)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = _ROUTE.sub("", quote(parts.path, safe="/%:@!$&'()*+,;=~-._")).rstrip("/") or "/v1"
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    origin = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return _Address(origin, path, f"?{quote(parts.query, safe='=&%/:@!$()*+,;~-._')}" if parts.query else "", authorization)


def _api_key(environment: Mapping[str, str], name: str) -> str:
    key = environment.get(name, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingError(f"the key in {name} has characters that no HTTP header can carry", fix=f"set {name} again")
    return key


def _listed(document: Any, address: str) -> list[str]:
    models = document.get("data") if isinstance(document, Mapping) else None
    if not isinstance(models, list):
        raise ReplyError("malformed", f"{address}/models gives no list of models: {excerpt(repr(document))}")
    return [model["id"] for model in models if isinstance(model, Mapping) and isinstance(model.get("id"), str)]


def _only_model(served: list[str], address: str) -> str:
    if len(served) == 1:
        return served[0]
    if not served:
        raise ModelError(f"{address} serves no model", fix="load a model in the server, or name one: openai:URL#MODEL")
    shown = ", ".join(served[:20]) + (f" and {len(served) - 20} more" if len(served) > 20 else "")
    raise ModelError(f"{address} serves {len(served)} models: {shown}", fix=f"name one: openai:{address}#{served[0]}")


def _unusable(error: ReplyError, address: str) -> ModelError:
    if error.kind in ("connection", "timeout"):
        return ModelError(f"{address} cannot be reached: {error.message}", fix="start the server, or check host and port")
    fix = "check that the address is the base URL of an OpenAI-compatible API, or name the model: openai:URL#MODEL"
    return ModelError(f"{address}: {error.message}", fix=None if error.status in (401, 403) else fix)
