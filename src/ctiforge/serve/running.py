"""Running the application under uvicorn, with the checks that come before a port is opened."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from ctiforge.core.errors import SettingError
from ctiforge.serve.app import create_app
from ctiforge.serve.settings import ServeSettings

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
    state = app.state.server
    if state.keys is not None and not state.keys.records:
        raise SettingError(f"{settings.keys}: there is no API key in it", fix="ctiforge keys add NAME --role reviewer")
    run_app(app, settings, on_listening)


def run_app(app: ASGIApp, settings: ServeSettings, on_listening: Callable[[str], None]) -> None:
    """Serve any application as the settings say where.

    Raises:
        SettingError: the address cannot be listened on.
    """
    listening = _listen(settings.host, settings.port)
    scheme = "https" if settings.tls_cert is not None else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    on_listening(f"{scheme}://{host}:{listening.getsockname()[1]}")
    limits = settings.limits
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=settings.behind_tls_proxy,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=limits.shutdown_seconds,
        backlog=1024,
    )
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    bare = host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise SettingError(
            f"cannot listen on {host}:{port}: {error.strerror or error}", fix="give another --port, or --host"
        ) from None
    return listening
