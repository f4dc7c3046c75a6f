"""Running the application under uvicorn, with the checks that come before a port is opened."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from ctiforge.core.errors import SettingError
from ctiforge.core.processes import spare_garbage_collection
from ctiforge.serve.app import create_app
from ctiforge.serve.settings import ServeSettings
from ctiforge.serve.state import ServerState

__all__ = ["run_app", "run_server"]


def run_server(settings: ServeSettings, on_listening: Callable[[str], None] = lambda url: None) -> None:
    """Serve until SIGTERM or SIGINT. Requests in progress are finished first, so no accepted review is lost.

    Args:
        on_listening: is told the address once the port is taken, before models are loaded.

    Raises:
        CtiforgeError: the settings would lay the queue open, something named is not there, or the port is taken.
    """
    settings.check()
    app = create_app(settings)
    state: ServerState = app.state.server
    run_app(app, state, on_listening)


def run_app(app: ASGIApp, state: ServerState, on_listening: Callable[[str], None]) -> None:
    """Serve an application over a state, where its settings say.

    Raises:
        CtiforgeError: the address cannot be listened on, or what is configured cannot be opened.
    """
    settings = state.settings
    if state.keys is not None and not state.keys.records:
        raise SettingError(f"{settings.keys}: there is no API key in it", fix="ctiforge keys add NAME --role reviewer")
    listening = _listen(settings.host, settings.port)
    scheme = "https" if settings.tls_cert is not None else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    on_listening(f"{scheme}://{host}:{listening.getsockname()[1]}")
    limits = settings.limits
    config = uvicorn.Config(
        app,
        http=_protocol(),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=settings.behind_tls_proxy,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=limits.shutdown_seconds,
    )

    async def serving() -> None:
        try:
            await state.open()  # before the server's own start, which would tell a failure as a bug
            spare_garbage_collection()
            await uvicorn.Server(config).serve(sockets=[listening])
        finally:
            await state.close()

    with listening, asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(serving())


def _protocol() -> Any:
    """Return the class that speaks HTTP, or the name by which uvicorn chooses one where httptools is not installed."""
    try:
        from ctiforge.serve.one_write import OneWriteProtocol
    except ImportError:
        return "auto"
    return OneWriteProtocol


def _listen(host: str, port: int) -> socket.socket:
    bare = host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)  # from here on the port is taken; who comes early waits until models are loaded
    except OSError as error:
        raise SettingError(
            f"cannot listen on {host}:{port}: {error.strerror or error}", fix="give another --port, or --host"
        ) from None
    return listening
