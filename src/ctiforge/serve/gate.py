"""What every request passes before a route sees it: where it comes from, who makes it, how much it is, how long it takes.

Plain ASGI, since it is on the path of every short request.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ctiforge.serve.metrics import ServerMetrics
from ctiforge.serve.problems import Problem, failure, problem_response
from ctiforge.serve.rates import RateLimiter
from ctiforge.serve.state import ServerState

__all__ = ["PRINCIPAL", "Gate", "header"]

PRINCIPAL: Final = "ctiforge.principal"
"""Where in the ASGI scope the `Principal` is, or None."""

_LOOPBACK_NAMES: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))
_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_UNBROKEN: Final = ("/v1/reviews", "/v1/bulk-", "/reviews")
"""Beginnings of paths whose work is never broken off by the clock: nobody is told of a failure after a review was written."""
_DEFAULTS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
_DEFAULTS_OF_TLS: Final = ((b"strict-transport-security", b"max-age=31536000"),)


def header(headers: Mapping[bytes, bytes], name: bytes) -> str:
    """Return a header's value, or an empty text."""
    return headers.get(name, b"").decode("latin-1")


class _TooLargeError(HTTPException):
    """The body went on beyond the limit; of this kind, so that FastAPI lets it through while it reads a body."""


class Gate:
    """ASGI middleware around the whole application.

    Args:
        app: what lies behind.
        clock: seconds of a clock that does not jump.
    """

    def __init__(
        self, app: ASGIApp, state: ServerState, metrics: ServerMetrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        settings = state.settings
        self._app, self._state, self._metrics, self._clock = app, state, metrics, clock
        self._limits = settings.limits
        self._rates = RateLimiter(settings.limits.requests_per_minute)
        self._names = frozenset((*_LOOPBACK_NAMES, *settings.hosts)) if settings.loopback or settings.hosts else None
        self._in_progress = 0
        metrics.in_progress.set_function(lambda: self._in_progress)
        self._defaults = (*_DEFAULTS, *(_DEFAULTS_OF_TLS if settings.tls else ()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = self._clock()
        status = 500
        started = False

        async def sending(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"] = self._with_defaults(message.get("headers", ()))
            await send(message)

        self._in_progress += 1
        try:
            await self._pass(scope, receive, sending, begun)
        except Problem as problem:
            if started:
                raise  # too late to say so: the server closes the connection
            self._metrics.refused.labels(problem.name or str(problem.status)).inc()
            await problem_response(problem)(scope, receive, sending)
        except Exception:
            if not started:
                await problem_response(failure())(scope, receive, sending)
            raise  # the server logs it
        finally:
            self._in_progress -= 1
            self._metrics.on_answer(self._area(scope), status, self._clock() - begun)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, now: float) -> None:
        headers = dict(scope["headers"])
        self._check_origin(scope["method"], headers)
        key = _key_of(headers)
        principal = self._state.authenticate(key)
        scope[PRINCIPAL] = principal
        if self._in_progress > self._limits.concurrent:
            raise Problem(503, "too many requests are in progress", name="busy", headers={"Retry-After": "1"})
        caller = f"key {principal.name}" if principal is not None and key else f"address {(scope.get('client') or ('?',))[0]}"
        if wait := self._rates.wait(caller, now):
            seconds = {"Retry-After": str(math.ceil(wait))}
            raise Problem(429, f"more than {self._limits.requests_per_minute} requests a minute", name="rate", headers=seconds)
        if key and principal is None:
            raise Problem(401, "there is no such API key", name="wrong-key", headers={"WWW-Authenticate": "Bearer"})
        length = header(headers, b"content-length")
        if length.isdecimal() and int(length) > self._limits.body_bytes:
            raise self._too_large()
        try:
            if scope["path"].startswith(_UNBROKEN):
                await self._app(scope, self._counted(receive), send)
            else:
                async with asyncio.timeout(self._limits.seconds):
                    await self._app(scope, self._counted(receive), send)
        except _TooLargeError:
            raise self._too_large() from None
        except TimeoutError:
            raise Problem(504, f"not done in {self._limits.seconds:g} seconds", name="timeout") from None

    def _check_origin(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Refuse names that another site may have pointed here (DNS rebinding), and writes that another site's page sends."""
        host = header(headers, b"host")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if self._names is not None and name.casefold() not in self._names:
            raise Problem(
                421, f"this server is not {name[:100]!r}", name="wrong-host", fix="say --allow-host NAME when it starts"
            )
        if method in _SAFE:
            return
        origin = header(headers, b"origin")
        if (origin and urlsplit(origin).netloc != host) or header(headers, b"sec-fetch-site") in ("cross-site", "same-site"):
            raise Problem(403, "the request comes from a page of another site", name="cross-origin")

    def _too_large(self) -> Problem:
        return Problem(413, f"the body has more than {self._limits.body_bytes:,} bytes", name="too-large")

    def _counted(self, receive: Receive) -> Receive:
        size = 0

        async def counting() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limits.body_bytes:
                raise _TooLargeError(413, self._too_large().detail)
            return message

        return counting

    def _with_defaults(self, headers: Any) -> list[tuple[bytes, bytes]]:
        names = {key.lower() for key, _ in headers}
        return [*headers, *(each for each in self._defaults if each[0] not in names)]

    def _area(self, scope: Mapping[str, Any]) -> str:
        """Return the route's path, or the first segment of the path for what no route has."""
        route = scope.get("route")
        return str(getattr(route, "path", "")) or ("/v1/classify" if scope["path"] == "/v1/classify" else "other")


def _key_of(headers: Mapping[bytes, bytes]) -> str:
    scheme, _, key = header(headers, b"authorization").partition(" ")
    if key and scheme.casefold() == "bearer":
        return key.strip()
    return header(headers, b"x-api-key")
