"""`ctiforge serve` as a process: what it refuses, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ctiforge.core.errors import ExitCode
from ctiforge.serve import ServeSettings
from ctiforge.triage import open_store, show, verify


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ctiforge", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("options", "reason"), [((), "no API keys"), (("--behind-tls-proxy",), "no API keys")], ids=["plain", "proxy"]
)
def test_it_does_not_listen_for_everybody_without_keys(options: tuple[str, ...], reason: str) -> None:
    done = _run("serve", "--host", "0.0.0.0", *options)
    assert (done.returncode, "Traceback" in done.stderr) == (ExitCode.USAGE, False)
    assert reason in done.stderr


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    keys = str(tmp_path / "keys.json")
    made = _run("keys", "add", "Vera Example", "--role", "reviewer", "--keys", keys)
    assert made.returncode == 0
    assert made.stdout.startswith("ctiforge_")
    listed = _run("keys", "list", "--keys", keys)
    assert "Vera Example" in listed.stdout
    assert made.stdout.strip() not in listed.stdout
    refused = _run("serve", "--host", "0.0.0.0", "--keys", keys)
    assert "in the clear" in refused.stderr
    assert _run("keys", "revoke", "Vera Example", "--keys", keys).returncode == 0
    assert "there are no keys" in _run("keys", "list", "--keys", keys).stdout


@pytest.mark.enable_socket
@pytest.mark.slow
def test_no_accepted_review_is_lost_when_it_is_asked_to_end(served: Callable[..., Any], settings: ServeSettings) -> None:
    server = served()
    _wait_until_ready(server.url)
    accepted: list[tuple[str, int]] = []
    failed: list[str] = []
    begun = threading.Event()

    def reviewer(number: int) -> None:
        """Accept and take back an item, again and again, until the server is gone."""
        item, version = f"CVE-2099-{10004 + number}", 1
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while True:
                act = "accept" if version % 2 else "undo"
                try:
                    answer = client.post("/v1/reviews", json={"item_id": item, "act": act, "version": version})
                except httpx.TransportError:
                    return  # not accepted: nobody was told that it was
                if answer.status_code != 201:
                    failed.append(answer.text)
                    return
                version = answer.json()["version"]
                accepted.append((item, version))
                begun.set()

    writers = [threading.Thread(target=reviewer, args=(i,)) for i in range(8)]
    for each in writers:
        each.start()
    assert begun.wait(60)
    time.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) in (0, -signal.SIGTERM)
    for each in writers:
        each.join(60)
    assert not failed
    assert len(accepted) >= 8
    assert settings.store is not None
    with open_store(settings.store) as store:
        for item in {item for item, _ in accepted}:
            written = [each.version for each in show(store, item).reviews]
            told = [version for name, version in accepted if name == item]
            assert written[: len(told)] == told  # one more may be there: written, its answer never read
            assert len(written) - len(told) in (0, 1)
        assert verify(store).broken is None


@pytest.mark.enable_socket
def test_a_port_that_is_taken_is_told(served: Callable[..., Any]) -> None:
    server = served()
    done = _run("serve", "--port", server.url.rpartition(":")[2])
    assert done.returncode == ExitCode.USAGE
    assert "cannot listen" in done.stderr


def _wait_until_ready(url: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail("the server never became ready")
