"""`TriageStore`: one database, safe for threads; readers never wait, writers take turns.

Writers take turns because every change adds a link to one chain. In SQLite a write transaction begins by taking the file's
write lock (``BEGIN IMMEDIATE``), in PostgreSQL by locking the chain's head; so no two of them read the same version of an
item and both write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from sqlalchemy import URL, Column, Connection, Engine, create_engine, event, func, insert, make_url, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from ctiforge.classify.outputs.record import json_text
from ctiforge.core.errors import MissingExtraError
from ctiforge.triage.audit_links import link_hash
from ctiforge.triage.errors import StoreError
from ctiforge.triage.migrations import migrate
from ctiforge.triage.schema import audit, chain_head

__all__ = ["Transaction", "TriageStore", "open_store", "utc_text"]

_BUSY_SECONDS: Final = 120
_WRITES: Final = "ctiforge_writes"


def utc_text(moment: datetime) -> str:
    """Return an aware time in UTC to the second: ``2026-11-22T17:00:00Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Transaction:
    """A write transaction: rows through `connection`, a link for everything that happens through `link`."""

    def __init__(self, connection: Connection, at: datetime) -> None:
        self.connection = connection
        self.moment = at
        self.at = utc_text(at)
        head = connection.execute(select(chain_head.c.seq, chain_head.c.hash).with_for_update()).one()
        self._seq, self._hash = int(head[0]), str(head[1])
        self._links: list[dict[str, Any]] = []
        self._numbers: dict[str, int] = {}

    def link(self, action: str, actor: str, item_id: str = "", **details: Any) -> None:
        """Add a link to the audit trail; it is written when the transaction ends."""
        text = json_text(details)
        seq, previous = self._seq + 1, self._hash
        digest = link_hash(seq, self.at, actor, action, item_id, text, previous)
        self._links.append(
            {
                "seq": seq,
                "at": self.at,
                "actor": actor,
                "action": action,
                "item_id": item_id,
                "details": text,
                "previous": previous,
                "hash": digest,
            }
        )
        self._seq, self._hash = seq, digest

    def next_number(self, column: Column[int]) -> int:
        """Return the number of the next row; there are no gaps, since writers take turns."""
        name = str(column)
        if name not in self._numbers:
            self._numbers[name] = int(self.connection.execute(select(func.coalesce(func.max(column), 0))).scalar_one())
        self._numbers[name] += 1
        return self._numbers[name]

    def finish(self) -> None:
        """Write the links; the store calls this once."""
        if self._links:
            self.connection.execute(insert(audit), self._links)
            self.connection.execute(update(chain_head).values(seq=self._seq, hash=self._hash))


class TriageStore:
    """An open database. Share it between threads; open it anew in another process.

    Args:
        engine: as `open_store` makes it.
        clock: what time it is, aware.
    """

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime] | None = None) -> None:
        self.engine = engine
        self.now = clock or (lambda: datetime.now(UTC))
        self._turn = threading.Lock()

    def __enter__(self) -> TriageStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database."""
        with self.engine.connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Give a transaction that is written as a whole when the block ends, and not at all if it fails.

        Raises:
            StoreError: the database does not answer.
        """
        with self._turn, self.engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
            transaction = Transaction(connection, self.now())
            yield transaction
            transaction.finish()

    @property
    def name(self) -> str:
        """Where it is, without a password."""
        return self.engine.url.render_as_string(hide_password=True)


def open_store(where: str | Path, *, clock: Callable[[], datetime] | None = None) -> TriageStore:
    """Open a store, and make or upgrade its tables.

    Args:
        where: a file's path (SQLite), or ``postgresql://user@host/database``; psycopg also reads PGPASSWORD, ~/.pgpass and
            the like.
        clock: what time it is; the machine's clock if None.

    Raises:
        MissingExtraError: PostgreSQL is asked for, and psycopg is not installed.
        StoreError: it cannot be opened, or is of another version.
    """
    url = _url(where)
    try:
        engine = _engine(url)
    except ModuleNotFoundError as error:
        raise MissingExtraError((error.name or "psycopg").split(".")[0], "triage") from None
    store = TriageStore(engine, clock=clock)
    try:
        with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
            migrate(connection)
    except DBAPIError as error:
        engine.dispose()
        reason = str(error.orig).strip().splitlines()[0]
        raise StoreError(
            f"{store.name}: {reason}", fix="check the store's path or URL, and who may write there", about="store"
        ) from None
    except BaseException:
        engine.dispose()
        raise
    return store


def _url(where: str | Path) -> URL:
    text = str(where)
    if "://" not in text:
        path = Path(text)
        path.parent.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(path))
    try:
        url = make_url(text)
        if url.get_backend_name() == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() in ("sqlite", "postgresql"):
            return url
    except (ArgumentError, NoSuchModuleError):
        pass
    kind = text.partition("://")[0]
    raise StoreError(f"{kind!r} is no database that ctiforge can use", fix="a file's path, or postgresql://user@host/database")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_size=8, max_overflow=24)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, pool_size=8, max_overflow=24)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # sqlite3 would begin transactions by itself, and too late
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")
