"""A server with the invented examples in its queue, its pages without a browser, and a browser where there is one."""

from __future__ import annotations

import re
import runpy
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

from ctiforge.ask import BuildInputs, build_knowledge_base
from ctiforge.classify.feed import ClassifierSettings
from ctiforge.serve.app import create_app
from ctiforge.serve.keys import KeyRing
from ctiforge.serve.settings import ServeSettings
from ctiforge.triage import import_advisories, open_store

ROOT = Path(__file__).resolve().parents[3]
INVENTED = SimpleNamespace(**runpy.run_path(str(ROOT / "tests" / "triage" / "invented_feeds.py")))
CLASSIFY: dict[str, Any] = runpy.run_path(str(ROOT / "tests" / "classify" / "conftest.py"))
tiny_model = CLASSIFY["tiny_model"]
CTI = SimpleNamespace(**runpy.run_path(str(ROOT / "tests" / "invented_cti.py")))

SCRIPT = (
    "SQL injection in the login <script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> allows"
)
RECORDS = [
    INVENTED.cve(10001, INVENTED.SQL, cna=("CWE-89",), kev="2099-02-02", ssvc=("active", "yes", "total"), score=9.8),
    INVENTED.cve(10002, INVENTED.SQL, cna=("CWE-79",), adp=("CWE-20",), score=7.5),
    INVENTED.cve(10003, INVENTED.OVERFLOW, score=5.0),
    INVENTED.cve(10004, INVENTED.VAGUE),
    INVENTED.cve(10005, SCRIPT, score=4.0),
]


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A store with five invented records, suggestions by the tiny model; not to be changed."""
    folder = tmp_path_factory.mktemp("queue")
    feed = INVENTED.write_feed(folder / "feed.jsonl", RECORDS)
    with open_store(folder / "triage.db") as store:
        import_advisories(store, [str(feed)], ClassifierSettings(model=str(tiny_model)), workers=1)
    return folder / "triage.db"


@pytest.fixture
def queue_db(tmp_path: Path, imported: Path) -> Path:
    """A copy of the store that a test may change."""
    return Path(shutil.copy(imported, tmp_path / "triage.db"))


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """A key for each role, in ``keys.json``; names are Ada (reviewer), Grace (reviewer), Rosa (reader)."""
    ring = KeyRing(tmp_path / "keys.json")
    return {name: ring.add(name, role) for name, role in (("Ada", "reviewer"), ("Grace", "reviewer"), ("Rosa", "reader"))}


@pytest.fixture(scope="session")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge base of invented weaknesses, searched by words."""
    folder = tmp_path_factory.mktemp("knowledge")
    (folder / "cwe.xml").write_text(CTI.cwe_xml())
    build_knowledge_base(BuildInputs(cwe=folder / "cwe.xml"), folder / "kb", embeddings=False)
    return folder / "kb"


@pytest.fixture
def settings(queue_db: Path, keys: dict[str, str], tmp_path: Path, tiny_model: Path) -> ServeSettings:
    return ServeSettings(
        store=str(queue_db),
        keys=tmp_path / "keys.json",
        classifier=str(tiny_model),
        reports=ROOT / "benchmarks" / "records",
    )


class Visitor:
    """A person at a browser without scripts: follows redirects, keeps cookies, fills in forms."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def get(self, address: str) -> Any:
        return self.client.get(address)

    def token(self, address: str) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.get(address).text)
        assert found
        return found[1]

    def sign_in(self, key: str, **fields: str) -> Any:
        return self.client.post("/sign-in", data={"csrf": self.token("/sign-in"), "key": key, **fields})

    def decide(self, act: str, item: str, version: int = 1, **fields: Any) -> Any:
        form = {"csrf": self.token("/queue"), "act": act, "item": item, "version": str(version), **fields}
        return self.client.post("/reviews", data=form)


@pytest.fixture
def app(settings: ServeSettings) -> Any:
    return create_app(settings)


@pytest.fixture
def app_with_knowledge(settings: ServeSettings, knowledge: Path) -> Any:
    return create_app(replace(settings, kb=knowledge, embeddings=False))


@contextmanager
def visit(settings: ServeSettings, address: str = "http://127.0.0.1") -> Iterator[Visitor]:
    from starlette.testclient import TestClient

    with TestClient(create_app(settings), base_url=address) as client:
        yield Visitor(client)


@pytest.fixture
def visiting() -> Callable[..., AbstractContextManager[Visitor]]:
    """Open the pages of a server with other settings."""
    return visit


@pytest.fixture(scope="session")
def looking(imported: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Signed in as a reviewer who changes nothing; one server for all tests that only look."""
    ring = KeyRing(tmp_path_factory.mktemp("keys") / "keys.json")
    key = ring.add("Ada", "reviewer")
    records = ROOT / "benchmarks" / "records"
    settings = ServeSettings(store=str(imported), keys=ring.path, classifier=str(tiny_model), reports=records)
    with visit(settings) as visitor:
        assert visitor.sign_in(key).status_code == 200
        yield visitor


@pytest.fixture
def visitor(settings: ServeSettings) -> Iterator[Visitor]:
    with visit(settings) as opened:
        yield opened


@pytest.fixture
def ada(visitor: Visitor, keys: dict[str, str]) -> Visitor:
    """Signed in as a reviewer."""
    assert visitor.sign_in(keys["Ada"]).status_code == 200
    return visitor


@pytest.fixture
def served(app_with_knowledge: Any) -> Iterator[str]:
    """The address of a real server in a thread of this process."""
    import uvicorn

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app_with_knowledge, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A real Chromium. While it is open no other test of the process can run an event loop, so not for the whole session."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium here (Debian, Ubuntu: apt install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
