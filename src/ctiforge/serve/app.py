"""`create_app`: the application for an ASGI server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ctiforge import __version__
from ctiforge.serve.pages import add_pages
from ctiforge.serve.problems import install_handlers
from ctiforge.serve.settings import ServeSettings
from ctiforge.serve.state import ServerState

__all__ = ["create_app"]


def create_app(settings: ServeSettings) -> FastAPI:
    """Return the application. Models are loaded when the server starts, not here; `app.state.server` is its `ServerState`.

    Raises:
        InputError: the file of keys cannot be read.
    """
    state = ServerState(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await state.open()
        try:
            yield
        finally:
            await state.close()

    app = FastAPI(title="ctiforge", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.server = state
    install_handlers(app)
    add_pages(app, state)
    return app
