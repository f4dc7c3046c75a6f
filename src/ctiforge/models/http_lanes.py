"""HTTP/1.1 with keep-alive for many requests at once: every request in flight has a connection of its own, used again after it.

`httpx.AsyncClient` takes several times as long as this for a request when 32 are in flight (its pool looks through all
connections each time), which is more than a fast server takes to answer; it is used where a proxy stands in between.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from ctiforge.core.errors import MissingExtraError

if TYPE_CHECKING:
    import h11
    import httpx

__all__ = ["HttpLanes", "HttpReply", "LaneError", "is_loopback"]

_LARGEST_BODY = 64 << 20
_BLOCK = 1 << 16
_KEEP_ALIVE_S = 4.0
"""Shorter than the five seconds after which widespread servers close an idle connection."""

Headers = Sequence[tuple[str, str]]


class LaneError(Exception):
    """There was no complete response. `timeout` tells a server that took too long from a connection that failed."""

    def __init__(self, message: str, *, timeout: bool = False) -> None:
        super().__init__(message)
        self.timeout = timeout


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A complete response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def is_loopback(host: str | None) -> bool:
    """Whether `host` is this machine by name or address."""
    return host is not None and (host in ("localhost", "::1") or host.startswith("127."))


class _Lane(Protocol):
    async def exchange(self, method: str, path: str, headers: Headers, content: bytes) -> HttpReply: ...

    async def close(self) -> None: ...


class HttpLanes:
    """Connections to one origin. Proxies come from the environment (HTTPS_PROXY, NO_PROXY), but never for this machine.

    Args:
        origin: scheme, host and port.
        timeout_s: for one request, from connecting to the last byte.
        connect_timeout_s: for connecting.

    Raises:
        MissingExtraError: httpx is not installed.
    """

    def __init__(self, origin: str, headers: Mapping[str, str], *, timeout_s: float, connect_timeout_s: float = 10.0) -> None:
        try:
            import h11  # noqa: F401
            import httpx  # noqa: F401
        except ImportError:
            raise MissingExtraError("httpx", "bench") from None
        self._origin = urlsplit(origin)
        self._headers = [("host", self._origin.netloc), ("accept-encoding", "identity"), *headers.items()]
        self._timeout_s = timeout_s
        self._connect_timeout_s = min(connect_timeout_s, timeout_s)
        self._proxy = _proxy_for(self._origin)
        self._tls: ssl.SSLContext | None = None
        self._idle: list[_Lane] = []
        self._closed = False

    async def request(self, method: str, path: str, content: bytes = b"") -> HttpReply:
        """Send one request and read the whole response (of 64 MiB at most); redirections are not followed.

        Args:
            path: percent-encoded, with its query.

        Raises:
            LaneError: there is no complete response.
        """
        headers = self._headers
        if content:
            headers = [*headers, ("content-type", "application/json"), ("content-length", str(len(content)))]
        lane = self._idle.pop() if self._idle else self._open_lane()
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await lane.exchange(method, path, headers, content)
        except TimeoutError:
            await lane.close()
            raise LaneError(f"no complete answer within {self._timeout_s:g} s", timeout=True) from None
        except BaseException:
            await lane.close()
            raise
        if self._closed:
            await lane.close()
        else:
            self._idle.append(lane)
        return reply

    def _open_lane(self) -> _Lane:
        if self._tls is None and (self._origin.scheme == "https" or self._proxy):
            from httpx import create_ssl_context

            self._tls = create_ssl_context()
        if self._proxy:
            return _ProxiedLane(self._origin, self._tls, self._proxy)
        return _DirectLane(self._origin, self._tls, self._connect_timeout_s)

    async def close(self) -> None:
        """Close the connections; those in use, when their requests end."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()


class _DirectLane:
    """One connection, opened when it is first needed and again when the server has closed it."""

    def __init__(self, origin: SplitResult, tls: ssl.SSLContext | None, connect_timeout_s: float) -> None:
        self._host = origin.hostname or ""
        self._port = origin.port or (443 if tls else 80)
        self._tls = tls
        self._connect_timeout_s = connect_timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._http: h11.Connection | None = None
        self._used_at = 0.0

    async def exchange(self, method: str, path: str, headers: Headers, content: bytes) -> HttpReply:
        import h11

        reader, writer, http = await self._connection()
        data = http.send(h11.Request(method=method, target=path, headers=list(headers))) or b""
        if content:
            data += http.send(h11.Data(data=content)) or b""
        data += http.send(h11.EndOfMessage()) or b""
        try:
            writer.write(data)  # in one packet, where it fits in one
            await writer.drain()
            reply = await _read_reply(reader, http)
        except h11.RemoteProtocolError as error:
            raise LaneError(f"the server does not speak HTTP, or broke off: {error}") from None
        except OSError as error:
            raise LaneError(str(error) or type(error).__name__) from None
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
            self._used_at = time.monotonic()
        else:
            await self.close()
        return reply

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, h11.Connection]:
        import h11

        if self._streams is not None:
            stale = self._streams[0].at_eof() or time.monotonic() - self._used_at > _KEEP_ALIVE_S
            if not stale and self._http is not None:
                return *self._streams, self._http
            await self.close()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=_BLOCK)
        except TimeoutError:
            raise LaneError(f"no connection within {self._connect_timeout_s:g} s", timeout=True) from None
        except OSError as error:  # certificates, too
            raise LaneError(str(error) or type(error).__name__) from None
        self._http = h11.Connection(h11.CLIENT)
        return *self._streams, self._http

    async def close(self) -> None:
        streams, self._streams, self._http = self._streams, None, None
        if streams is not None:
            streams[1].transport.abort()


async def _read_reply(reader: asyncio.StreamReader, http: h11.Connection) -> HttpReply:
    import h11

    status, headers = 0, dict[str, str]()
    parts: list[bytes] = []
    size = 0
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(_BLOCK))
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
            size += len(event.data)
            if size > _LARGEST_BODY:
                raise LaneError(f"the body is larger than {_LARGEST_BODY >> 20} MiB")
        elif isinstance(event, h11.EndOfMessage):
            return HttpReply(status, headers, _decompressed(b"".join(parts), headers.get("content-encoding", "identity")))
        elif isinstance(event, h11.ConnectionClosed):
            raise LaneError("the server closed the connection without an answer")


def _decompressed(content: bytes, encoding: str) -> bytes:
    """Undo the compression of servers that compress though they were asked not to."""
    if encoding.strip().lower() in ("identity", ""):
        return content
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        raise LaneError(f"the body is compressed as {encoding!r}, which was not asked for")
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(content, _LARGEST_BODY)
    except zlib.error as error:
        raise LaneError(f"the compressed body is damaged: {error}") from None


class _ProxiedLane:
    """One connection through a proxy, by httpx."""

    def __init__(self, origin: SplitResult, tls: ssl.SSLContext | None, proxy: str) -> None:
        import httpx

        self._origin = f"{origin.scheme}://{origin.netloc}"
        limits = httpx.Limits(max_connections=1, keepalive_expiry=_KEEP_ALIVE_S)
        self._client: httpx.AsyncClient = httpx.AsyncClient(
            verify=tls or True, proxy=proxy, limits=limits, timeout=None, trust_env=False
        )

    async def exchange(self, method: str, path: str, headers: Headers, content: bytes) -> HttpReply:
        import httpx

        try:
            response = await self._client.request(method, self._origin + path, headers=list(headers), content=content)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise LaneError(str(error) or type(error).__name__) from None
        return HttpReply(response.status_code, dict(response.headers.items()), response.content)

    async def close(self) -> None:
        await self._client.aclose()


def _proxy_for(origin: SplitResult) -> str | None:
    if is_loopback(origin.hostname) or proxy_bypass(origin.hostname or ""):
        return None
    proxies = getproxies()
    return proxies.get(origin.scheme) or proxies.get("all")
