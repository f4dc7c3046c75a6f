"""What `make demo` ends with has to work: `make queue` fills a queue with the examples and serves it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def commands(repository: Path, *variables: str) -> list[list[str]]:
    """The commands of ``ctiforge`` that `make queue` would run."""
    if shutil.which("make") is None:
        pytest.skip("make is not here")
    shown = subprocess.run(["make", "-n", "queue", *variables], cwd=repository, capture_output=True, text=True, check=True)
    split = [shlex.split(line) for line in shown.stdout.splitlines() if "/bin/ctiforge " in line]
    return [[sys.executable, "-m", "ctiforge", *words[1:]] for words in split]


def test_the_demo_ends_by_naming_it(repository: Path) -> None:
    assert "make queue" in (repository / "Makefile").read_text().partition("\ndemo:")[2].partition("\n\n")[0]
    assert "make queue" in (repository / "README.md").read_text()
    assert "make queue" in (repository / "docs" / "web.md").read_text()


@pytest.mark.slow
@pytest.mark.enable_socket
def test_its_commands_fill_and_serve_a_queue(repository: Path, tmp_path: Path) -> None:
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    fill, serve = commands(repository, f"QUEUE_VENV={tmp_path}", "SERVE_ARGS=--port 0 --as 'Ada Example'")
    filled = subprocess.run(fill, cwd=repository, capture_output=True, text=True, check=True)
    assert "0 unchanged" in filled.stdout
    process = subprocess.Popen(serve, cwd=repository, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found is not None
        page = httpx.get(f"{found[0]}/v1/queue", timeout=120).json()
        assert "CVE-2099-10007" in {each["id"] for each in page["items"]}
    finally:
        process.kill()
        process.communicate()
