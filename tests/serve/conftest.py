"""A server over a tiny model, an invented knowledge base and a filled queue."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("sqlalchemy")

from fastapi.testclient import TestClient

from ctiforge.ask import KnowledgeBase
from ctiforge.classify.feed import ClassifierSettings
from ctiforge.serve import KeyRing, Role, ServeSettings, create_app
from ctiforge.triage import import_advisories, open_store

HERE = Path(__file__).resolve().parent
TRIAGE: dict[str, Any] = runpy.run_path(str(HERE.parent / "triage" / "conftest.py"))
ASK: dict[str, Any] = runpy.run_path(str(HERE.parent / "ask" / "conftest.py"))
tiny_model = TRIAGE["tiny_model"]
invented, write_sources, inputs, base = ASK["invented"], ASK["write_sources"], ASK["inputs"], ASK["base"]
FEEDS: SimpleNamespace = TRIAGE["INVENTED"]
SCRIPT = "SQL injection in the login allows <script>alert(1)</script> attackers"


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A store of twenty items; copy it, do not write to it."""
    folder = tmp_path_factory.mktemp("store")
    texts = [SCRIPT, FEEDS.OVERFLOW, FEEDS.VAGUE, *[FEEDS.SQL] * 17]
    feed = FEEDS.write_feed(folder / "feed.jsonl", [FEEDS.cve(10001 + i, text) for i, text in enumerate(texts)])
    path = folder / "triage.db"
    with open_store(path) as store:
        import_advisories(store, [str(feed)], ClassifierSettings(model=str(tiny_model)), workers=1)
        with store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def database(filled: Path, tmp_path: Path) -> Path:
    """A store of this test's own."""
    path = tmp_path / "triage.db"
    path.write_bytes(filled.read_bytes())
    return path


@pytest.fixture
def settings(database: Path, tiny_model: Path, base: KnowledgeBase) -> ServeSettings:
    return ServeSettings(store=str(database), kb=base.root, classifier=str(tiny_model), person="Ada")


Serve = Callable[[ServeSettings], TestClient]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers in this process; each ends with the test."""
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(
            TestClient(create_app(settings), base_url="http://127.0.0.1", raise_server_exceptions=False)
        )


@pytest.fixture
def client(serve: Serve, settings: ServeSettings) -> TestClient:
    """A server without keys."""
    return serve(settings)


@dataclass(frozen=True)
class Served:
    """A server in a process of its own."""

    url: str
    process: subprocess.Popen[str]


@contextmanager
def _served(settings: ServeSettings, *options: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "ctiforge", "serve", "--port", "0", "--db", str(settings.store), "--kb", str(settings.kb)]
    command += ["--classifier", settings.classifier, "--as", settings.person, *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"https?://\S+", process.stderr.readline())
        assert found is not None, process.stderr.read()
        yield Served(found[0], process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def serving() -> Iterator[Callable[..., Served]]:
    """Start `ctiforge serve` for real with settings and options, on a free port; it ends with the test."""
    with ExitStack() as stack:
        yield lambda settings, *options: stack.enter_context(_served(settings, *options))


@pytest.fixture
def served(settings: ServeSettings, serving: Callable[..., Served]) -> Callable[..., Served]:
    """The same with the settings of this test."""
    return lambda *options: serving(settings, *options)


@pytest.fixture
def keys(tmp_path: Path) -> dict[Role, str]:
    """A key of each role, in keys.json."""
    ring = KeyRing(tmp_path / "keys.json")
    people: dict[Role, str] = {"reader": "Rea", "reviewer": "Vera", "admin": "Ada"}
    return {role: ring.add(name, role) for role, name in people.items()}
