from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from ctiforge.core.errors import SettingError
from ctiforge.triage import TriageStore, history, review, verify
from ctiforge.triage.schema import audit, chain_head, items, records, reviews

A = "CVE-2099-10001"


@pytest.fixture
def filled(store: TriageStore, feed: Any, invented: SimpleNamespace) -> TriageStore:
    feed(store, invented.cve(10001), invented.cve(10002), invented.cve(10003))
    review(store, A, "accept", reviewer="Ada")
    return store


def tamper(store: TriageStore, *statements: Any) -> None:
    """Change what the database refuses to change, as somebody who owns the database can."""
    with store.engine.connect() as connection, connection.begin():
        for table in ("audit", "reviews", "records", "suggestions"):
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
                continue
            connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_no_update"))
            connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_no_delete"))
        for statement in statements:
            connection.execute(statement)


def test_links_name_the_ones_before(filled: TriageStore) -> None:
    links = history(filled)
    assert [link.seq for link in links] == [1, 2, 3, 4]
    assert [link.previous for link in links] == ["0" * 64, *(link.hash for link in links[:-1])]
    assert (links[-1].actor, links[-1].action, links[-1].details["prior"]["state"]) == ("Ada", "accept", "open")
    assert [link.seq for link in history(filled, limit=2)] == [3, 4]
    report = verify(filled)
    assert (report.links, report.reviews, report.head, report.broken) == (4, 1, f"4:{links[-1].hash}", None)
    assert verify(filled, expected_head=f"2:{links[1].hash}").broken is None


@pytest.mark.parametrize(
    ("statement", "seq", "why"),
    [
        (update(audit).where(audit.c.seq == 2).values(actor="Eve"), 2, "content was changed"),
        (update(audit).where(audit.c.seq == 2).values(hash="f" * 64), 2, "content was changed"),
        (update(audit).where(audit.c.seq == 3).values(previous="f" * 64), 3, "does not name the hash"),
        (delete(audit).where(audit.c.seq == 2), 2, "link 2 is missing"),
        (delete(audit).where(audit.c.seq == 4), 4, "ends at link 3"),
        (update(chain_head).values(seq=3), 4, "goes on after link 3"),
        (update(reviews).values(reviewer="Eve"), 4, "review 1 was changed"),
        (delete(reviews), 4, "review 1, of which it speaks, is gone"),
        (update(records).where(records.c.record_id == 3).values(advisory="{}"), 3, "record 3 was changed"),
        (update(items).where(items.c.item_id == A).values(cwe_ids='["CWE-79"]'), 0, "not the one of its last review"),
        (
            update(items).where(items.c.item_id == "CVE-2099-10002").values(state="accepted"),
            0,
            "not the one of its last review",
        ),
    ],
)
def test_the_first_broken_link_is_named(statement: Any, seq: int, why: str, filled: TriageStore) -> None:
    tamper(filled, statement)
    broken = verify(filled).broken
    assert broken is not None
    assert broken.seq == seq
    assert why in broken.why


def test_a_row_that_came_in_by_the_back_door_is_found(filled: TriageStore) -> None:
    row = {"record_id": 9, "item_id": A, "kind": "cve5", "digest": "", "advisory": "{}", "imported_at": ""}
    tamper(filled, insert(records).values(row))
    broken = verify(filled).broken
    assert broken is not None
    assert broken.why == "record 9 is there, but no link speaks of it"


def test_a_trail_cut_short_and_mended_is_found_by_the_noted_head(filled: TriageStore) -> None:
    links = history(filled)
    back = {"state": "open", "cwe_ids": "[]", "review_id": None}
    tamper(
        filled,
        delete(audit).where(audit.c.seq == 4),
        delete(reviews),
        update(items).where(items.c.item_id == A).values(back),
        update(chain_head).values(seq=3, hash=links[2].hash),
    )
    assert verify(filled).broken is None
    broken = verify(filled, expected_head=f"4:{links[3].hash}").broken
    assert broken is not None
    assert (broken.seq, broken.why) == (4, "the trail ends at link 3, but there were 4")
    assert verify(filled, expected_head=f"2:{'a' * 64}").broken is not None
    with pytest.raises(SettingError, match="no head"):
        verify(filled, expected_head="4")


@pytest.mark.parametrize("statement", [delete(audit), update(reviews).values(reviewer="Eve")])
def test_the_database_refuses_to_change_what_is_only_added(statement: Any, filled: TriageStore) -> None:
    with pytest.raises(DBAPIError, match="only ever added"), filled.writing() as transaction:
        transaction.connection.execute(statement)
    assert verify(filled).broken is None
