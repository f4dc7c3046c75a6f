"""A store on each database, a tiny model, invented feeds, and a clock that stands still."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctiforge.classify.feed import ClassifierSettings

pytest.importorskip("sqlalchemy")

from ctiforge.triage import TriageStore, import_advisories, open_store

HERE = Path(__file__).resolve().parent
CLASSIFY: dict[str, Any] = runpy.run_path(str(HERE.parent / "classify" / "conftest.py"))
tiny_model = CLASSIFY["tiny_model"]

INVENTED = SimpleNamespace(**runpy.run_path(str(HERE / "invented_feeds.py")))
_databases = count()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2099, 3, 1, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_days(self, days: int) -> None:
        self.at += timedelta(days=days)


@pytest.fixture
def invented() -> SimpleNamespace:
    """The names of `invented_feeds.py`."""
    return INVENTED


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _binaries() -> Path | None:
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *filter(None, [shutil.which("initdb")])]
    return Path(found[-1]).parent if found else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server of the tests' own in a temporary folder, reached by a Unix socket; PostgreSQL refuses to run as root."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server here (Debian, Ubuntu: apt install postgresql)")
    pytest.importorskip("psycopg")
    person: dict[str, Any] = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="ctiforge-pg-", dir="/tmp"))
    if person:
        shutil.chown(folder, "nobody")

    def run(*command: str) -> None:
        done = subprocess.run([str(binaries / command[0]), *command[1:]], cwd=folder, capture_output=True, text=True, **person)
        assert done.returncode == 0, done.stdout + done.stderr

    data = str(folder / "data")
    run("initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=60"
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql://tester@/{{database}}?host={folder}"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database on each kind of server."""
    if request.param == "sqlite":
        return str(tmp_path / "triage.db")
    import psycopg

    url: str = request.getfixturevalue("postgres")
    name = f"triage_{next(_databases)}"
    with psycopg.connect(url.format(database="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return url.format(database=name)


@pytest.fixture
def store(database: str, clock: Clock) -> Iterator[TriageStore]:
    with open_store(database, clock=clock) as opened:
        yield opened


@pytest.fixture
def quick_store(tmp_path: Path, clock: Clock) -> Iterator[TriageStore]:
    """SQLite only, for what does not depend on the database."""
    with open_store(tmp_path / "quick.db", clock=clock) as opened:
        yield opened


Feed = Callable[..., Any]


@pytest.fixture
def feed(tmp_path: Path, tiny_model: Path) -> Feed:
    """Import invented records into a store."""
    numbers = count()

    def imported(store: TriageStore, *records: dict[str, Any], **options: Any) -> Any:
        path = INVENTED.write_feed(tmp_path / f"feed-{next(numbers)}.jsonl", list(records))
        settings = options.pop("settings", ClassifierSettings(model=str(tiny_model)))
        return import_advisories(store, [str(path)], settings, workers=1, **options)

    return imported
