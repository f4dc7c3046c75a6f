"""Reading and checking the audit trail: every change is a link, and every link carries the hash of the one before.

Whoever changes, removes or reorders a link breaks the chain at that place. Links taken off the end leave a shorter chain
that is whole, so note the head (`ctiforge triage verify` prints it) where others keep it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Table, and_, func, or_, select

from ctiforge.core.errors import SettingError
from ctiforge.triage.audit_links import link_hash, row_digest
from ctiforge.triage.migrations import GENESIS
from ctiforge.triage.schema import audit, chain_head, items, records, reviews, suggestions
from ctiforge.triage.store import TriageStore
from ctiforge.triage.values import DECIDED, AuditEntry

__all__ = ["BrokenLink", "VerifyReport", "history", "verify"]

_VOUCHED: dict[str, tuple[Table, str]] = {
    "record": (records, "record_id"),
    "suggestion": (suggestions, "suggestion_id"),
    "review": (reviews, "review_id"),
}
"""What the details of links name by number and digest."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """Where trail and data part: the number of the link (0: not at a link), its item, and why."""

    seq: int
    item_id: str
    why: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The outcome of `verify`; `head` is ``SEQ:HASH`` of the last link."""

    links: int
    reviews: int
    head: str
    broken: BrokenLink | None


def history(store: TriageStore, item_id: str | None = None, *, limit: int | None = None) -> list[AuditEntry]:
    """Return the links about an item, or all, oldest first; with `limit` the newest ones only."""
    query = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    if item_id is not None:
        query = query.where(audit.c.item_id == item_id)
    with store.reading() as connection:
        rows = connection.execute(query).all()
    return [_entry(row) for row in reversed(rows)]


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(**{**row._asdict(), "details": orjson.loads(row.details)})


def verify(store: TriageStore, *, expected_head: str | None = None) -> VerifyReport:
    """Check the chain, that all that it vouches for is there as it was written, and that items are what their reviews say.

    Args:
        expected_head: ``SEQ:HASH`` as an earlier call gave it; that link must still be there.

    Raises:
        SettingError: `expected_head` is not of that form.
    """
    wanted = _parse_head(expected_head) if expected_head else (0, GENESIS)
    with store.reading() as connection:
        check = _Check(connection, wanted)
        broken = check.links() or check.end() or check.rows_in_no_link() or _wrong_item(connection)
        count = int(connection.execute(select(func.count()).select_from(reviews)).scalar_one())
    return VerifyReport(check.seq, count, f"{check.seq}:{check.hash}", broken)


def _parse_head(text: str) -> tuple[int, str]:
    seq, colon, digest = text.strip().partition(":")
    if not colon or not seq.isdecimal() or len(digest) != 64:
        raise SettingError(f"{text!r} is no head of a trail", fix="give it as verify printed it: NUMBER:HASH")
    return int(seq), digest


class _Check:
    """One walk along the chain; `seq` and `hash` are those of the last link that was read."""

    def __init__(self, connection: Connection, wanted: tuple[int, str]) -> None:
        self._connection = connection
        self._wanted = wanted
        self._digests = {kind: _digests(connection, *where) for kind, where in _VOUCHED.items()}
        self.seq, self.hash = 0, GENESIS

    def links(self) -> BrokenLink | None:
        query = select(audit).order_by(audit.c.seq).execution_options(yield_per=_AT_ONCE)
        with self._connection.execute(query) as rows:
            for row in rows:
                if why := self._fault(row):
                    return BrokenLink(self.seq + 1, row.item_id, why)
                self.seq, self.hash = row.seq, row.hash
        return None

    def _fault(self, row: Row[Any]) -> str:
        if row.seq != self.seq + 1:
            return f"link {self.seq + 1} is missing; the next one is {row.seq}"
        if row.previous != self.hash:
            return "it does not name the hash of the link before"
        if row.hash != link_hash(row.seq, row.at, row.actor, row.action, row.item_id, row.details, row.previous):
            return "its content was changed after it was written"
        if row.seq == self._wanted[0] and row.hash != self._wanted[1]:
            return "its hash is not the one that was noted before"
        details = orjson.loads(row.details)
        for kind, digests in self._digests.items():
            if kind not in details:
                continue
            number = int(details[kind])
            found = digests.pop(number, None)
            if found is None:
                return f"{kind} {number}, of which it speaks, is gone"
            if found != details[f"{kind}_digest"]:
                return f"{kind} {number} was changed after it was written"
        return ""

    def end(self) -> BrokenLink | None:
        head = self._connection.execute(select(chain_head)).one()
        last = max(head.seq, self._wanted[0])
        if last > self.seq:
            return BrokenLink(self.seq + 1, "", f"the trail ends at link {self.seq}, but there were {last}")
        if (head.seq, head.hash) != (self.seq, self.hash):
            return BrokenLink(self.seq, "", f"the trail goes on after link {head.seq}, the last one that was written")
        return None

    def rows_in_no_link(self) -> BrokenLink | None:
        left = [(kind, min(digests)) for kind, digests in self._digests.items() if digests]
        return BrokenLink(0, "", f"{left[0][0]} {left[0][1]} is there, but no link speaks of it") if left else None


def _digests(connection: Connection, table: Table, number: str) -> dict[int, str]:
    query = select(table).execution_options(yield_per=_AT_ONCE)
    return {row._asdict()[number]: row_digest(row._asdict()) for row in connection.execute(query)}


def _wrong_item(connection: Connection) -> BrokenLink | None:
    """Find an item whose decision is not the one of the review in force."""
    decided = items.c.state.in_((*DECIDED, "awaiting_second"))
    of_review = and_(reviews.c.review_id == items.c.review_id, reviews.c.item_id == items.c.item_id)
    query = (
        select(items.c.item_id)
        .select_from(items.outerjoin(reviews, of_review))
        .where(decided)
        .where(
            or_(
                reviews.c.review_id.is_(None),
                items.c.state != reviews.c.state,
                items.c.cwe_ids != reviews.c.cwe_ids,
            )
        )
        .order_by(items.c.item_id)
        .limit(1)
    )
    found = connection.execute(query).scalar_one_or_none()
    return BrokenLink(0, found, "its decision is not the one of its last review") if found else None
