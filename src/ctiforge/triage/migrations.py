"""From an empty or older database to the tables of this version, in one transaction.

A new database gets the tables as `ctiforge.triage.schema` has them; an older one goes through the upgrades after its version.
A test holds the two ways to the same end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, insert, inspect, select, update

from ctiforge.triage.errors import StoreError
from ctiforge.triage.schema import chain_head, metadata, queue_index

__all__ = ["GENESIS", "UPGRADES", "migrate", "schema_version"]

GENESIS: Final = "0" * 64
"""Stands where the first link of the audit trail names the one before."""

Upgrade = Callable[[Connection], None]


def _add_queue_index(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("DROP INDEX items_by_priority")
        queue_index.create(connection)


UPGRADES: tuple[Upgrade, ...] = (_add_queue_index,)
"""``UPGRADES[n]`` makes version n + 2 of version n + 1. Only ever append, and change `ctiforge.triage.schema` in step."""

_ADVISORY_LOCK = 0x63746966
_ONLY_ADDED = ("audit", "reviews", "records", "suggestions")
"""Tables whose rows are never changed or removed; the database itself refuses it."""


def schema_version() -> int:
    """Return the version of the tables that this program reads and writes."""
    return 1 + len(UPGRADES)


def migrate(connection: Connection) -> int:
    """Bring the database up to date inside the caller's transaction, and return the version that it had (0: empty).

    Raises:
        StoreError: a newer program wrote it, or the database holds tables of something else.
    """
    if connection.dialect.name == "postgresql":  # two programs may start at once; SQLite has locked the file already
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
    tables = set(inspect(connection).get_table_names())
    if chain_head.name not in tables:
        if foreign := sorted(tables & set(metadata.tables)):
            raise StoreError(
                f"the database holds tables of something else: {', '.join(foreign)}",
                fix="name an empty database",
                about="store",
            )
        metadata.create_all(connection)
        _refuse_changes(connection)
        connection.execute(insert(chain_head).values(id=1, seq=0, hash=GENESIS, schema_version=schema_version()))
        return 0
    found = int(connection.execute(select(chain_head.c.schema_version)).scalar_one())
    if found > schema_version():
        raise StoreError(
            f"the database has version {found}, and this program reads up to {schema_version()}",
            fix="use the newer ctiforge that wrote it, or another database",
        )
    for upgrade in UPGRADES[found - 1 :]:
        upgrade(connection)
    if found < schema_version():
        connection.execute(update(chain_head).values(schema_version=schema_version()))
    return found


def _refuse_changes(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "CREATE FUNCTION ctiforge_only_added() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION USING MESSAGE = 'rows of ' || TG_TABLE_NAME || ' are only ever added'; END $$"
        )
    for table in _ONLY_ADDED:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION ctiforge_only_added()"
            )
            continue
        for act in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'rows of {table} are only ever added'); END"
            )
