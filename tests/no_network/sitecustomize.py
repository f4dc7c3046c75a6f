"""Imported by every Python child process of the test suite: outward connections fail, as they do in the suite itself.

Not covered: children started with ``-I``, ``-E`` or ``-S`` or with an environment of their own, and programs that are
not Python. Unix sockets work, and so does binding a port on this machine.
"""

from __future__ import annotations

import socket
from typing import Any

_OUTWARD = (socket.AF_INET, socket.AF_INET6)


class OutwardConnectionError(RuntimeError):
    """A child process of the tests tried to reach a network."""


class _InwardSocket(socket.socket):
    def connect(self, address: Any) -> None:
        self._refuse(address)
        super().connect(address)

    def connect_ex(self, address: Any) -> int:
        self._refuse(address)
        return super().connect_ex(address)

    def sendto(self, data: Any, *rest: Any) -> int:
        self._refuse(rest[-1])
        return super().sendto(data, *rest)

    def _refuse(self, address: Any) -> None:
        if self.family in _OUTWARD and str(address[0]) not in ("127.0.0.1", "::1", "localhost"):
            raise OutwardConnectionError(f"the tests run without a network, and this process wanted {address!r}")


def _no_lookup(host: Any, *rest: Any, **options: Any) -> Any:
    if host not in (None, "", "localhost", "127.0.0.1", "::1"):
        raise OutwardConnectionError(f"the tests run without a network, and this process looked up {host!r}")
    return _getaddrinfo(host, *rest, **options)


_getaddrinfo = socket.getaddrinfo
socket.getaddrinfo = _no_lookup
socket.socket = _InwardSocket  # type: ignore[misc]
