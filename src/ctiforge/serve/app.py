"""`create_app`: the application for an ASGI server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from ctiforge import __version__
from ctiforge.serve import ask_routes, classify_route, openai_routes, queue_routes, service_routes
from ctiforge.serve.classify_route import ClassifyFirst
from ctiforge.serve.gate import Gate
from ctiforge.serve.metrics import ServerMetrics
from ctiforge.serve.openapi import describe
from ctiforge.serve.pages import add_pages
from ctiforge.serve.problems import install_handlers
from ctiforge.serve.settings import ServeSettings
from ctiforge.serve.state import ServerState

__all__ = ["create_app"]


class _Gated(FastAPI):
    """Hands requests to the gate, before the layers that FastAPI puts around every request; they cost as much as an answer."""

    gate: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.gate(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def behind_the_gate(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)


def create_app(settings: ServeSettings) -> FastAPI:
    """Return the application. Models are loaded when the server starts, not here; `app.state.server` is its `ServerState`.

    Raises:
        InputError: the file of keys cannot be read.
    """
    state = ServerState(settings)
    counted = ServerMetrics()
    state.on_batch = counted.on_batch

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await state.open()
        try:
            yield
        finally:
            await state.close()

    app = _Gated(title="ctiforge", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.server, app.state.metrics = state, counted
    install_handlers(app)
    for routes in (classify_route, ask_routes, queue_routes, openai_routes, service_routes):
        app.include_router(routes.router)
    add_pages(app, state)
    app.gate = Gate(ClassifyFirst(app.behind_the_gate, state), state, counted)
    describe(app)
    return app
