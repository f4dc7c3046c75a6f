"""`ctiforge serve` with a certificate of its own: https only, and cookies that never leave by http."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ctiforge.serve import KeyRing


@pytest.mark.slow
@pytest.mark.enable_socket
def test_everything_goes_by_https_and_cookies_are_secure(served: Callable[..., Any], tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    chain, private = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
    made.private_key_pem.write_to_path(str(private))
    ring = KeyRing(tmp_path / "keys.json")
    key = ring.add("Vera", "reviewer")
    server = served("--keys", str(ring.path), "--tls-cert", str(chain), "--tls-key", str(private))
    assert server.url.startswith("https://")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with httpx.Client(base_url=server.url, verify=trusting, timeout=60) as client:
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/queue").status_code == 401
        assert client.get("/v1/queue", headers={"Authorization": f"Bearer {key}"}).json()["total"] == 20
        form = client.get("/sign-in")
        token = re.search(r'name="csrf" value="([^"]+)"', form.text)
        assert token is not None
        signed_in = client.post("/sign-in", data={"csrf": token[1], "key": key})
        cookies = [*form.headers.get_list("set-cookie"), *signed_in.headers.get_list("set-cookie")]
        assert any(each.startswith("__Host-ctiforge_session=") for each in cookies)
        for cookie in cookies:
            assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
            assert "Domain" not in cookie
        assert client.get("/queue").status_code == 200
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(f"{server.url}/readyz", timeout=60)
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url.replace("https", "http") + "/readyz", timeout=60)
