"""The suite cannot reach a network: not from a test, and not from the Python processes that a test starts."""

from __future__ import annotations

import socket
import subprocess
import sys
import warnings

import pytest
from pytest_socket import SocketBlockedError

# TEST-NET-1 (RFC 5737): reserved for documentation, so nobody is disturbed should the guard be gone.
NOWHERE = ("192.0.2.1", 80)


def test_a_test_cannot_open_an_outward_socket() -> None:
    warnings.simplefilter("ignore")  # pytest-socket warns as well, which this suite turns into an error
    with pytest.raises(SocketBlockedError):
        socket.create_connection(NOWHERE, timeout=0.1)


def test_unix_sockets_stay_open() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x")
        assert right.recv(1) == b"x"


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80), timeout=0.1)",
        "import socket; socket.socket().connect(('192.0.2.1', 80))",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "import urllib.request; urllib.request.urlopen('http://name.invalid', timeout=0.1)",
    ],
)
def test_a_child_process_cannot_either(code: str) -> None:
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 1
    assert "OutwardConnectionError" in child.stderr
