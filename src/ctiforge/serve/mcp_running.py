"""Serving the Model Context Protocol: over stdin and stdout, or over streamable HTTP behind the gate of the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from ctiforge.serve.access import check_role_of
from ctiforge.serve.gate import Gate
from ctiforge.serve.mcp_server import build_mcp_server
from ctiforge.serve.metrics import ServerMetrics
from ctiforge.serve.running import run_app
from ctiforge.serve.settings import ServeSettings
from ctiforge.serve.state import ServerState

__all__ = ["create_mcp_app", "run_mcp_http", "run_mcp_stdio"]


def run_mcp_stdio(settings: ServeSettings) -> None:
    """Serve one client over stdin and stdout, until it closes them.

    Raises:
        CtiforgeError: something that is configured cannot be opened.
    """

    async def serve() -> None:
        state = ServerState(settings)
        await state.open()  # before the first message, so that a failure is told and not lost in the protocol
        try:
            await build_mcp_server(state).run_stdio_async()
        finally:
            await state.close()

    asyncio.run(serve())


def run_mcp_http(settings: ServeSettings, on_listening: Callable[[str], None]) -> None:
    """Serve over streamable HTTP at ``/mcp``, with the keys and the limits of the API.

    Raises:
        CtiforgeError: as `ctiforge.serve.running.run_server`.
    """
    settings.check()
    run_app(create_mcp_app(settings), settings, on_listening)


def create_mcp_app(settings: ServeSettings) -> ASGIApp:
    """Return the protocol as an ASGI application.

    Raises:
        InputError: the file of keys cannot be read.
    """
    state = ServerState(settings)
    # The gate checks host and origin itself.
    inner = build_mcp_server(state).streamable_http_app(
        json_response=True,
        stateless_http=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return Gate(_Opened(_Guarded(inner), inner, state), state, ServerMetrics())


class _Guarded:
    """Lets nobody in without a key, where there are keys."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            check_role_of(scope, "reader")
        await self._app(scope, receive, send)


class _Opened:
    """Opens the state when the server starts and closes it when it ends."""

    def __init__(self, app: ASGIApp, inner: Starlette, state: ServerState) -> None:
        self._app = app
        inherited = inner.router.lifespan_context

        @asynccontextmanager
        async def lifespan(application: Starlette) -> AsyncIterator[None]:
            await state.open()
            try:
                async with inherited(application):
                    yield
            finally:
                await state.close()

        inner.router.lifespan_context = lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
