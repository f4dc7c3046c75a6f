"""Bulk acceptance: one explicit act of a named person, above a calibrated probability, that can be taken back as a whole."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select

from ctiforge.core.errors import SettingError
from ctiforge.core.files import sha256
from ctiforge.triage.errors import BulkChangedError, UnknownItemError
from ctiforge.triage.listing import QueueFilter, conditions
from ctiforge.triage.reviewing import add_review, check_person, undo_row
from ctiforge.triage.rules import rules_in_force
from ctiforge.triage.schema import bulks, items, reviews
from ctiforge.triage.store import TriageStore
from ctiforge.triage.values import BulkAct, BulkResult

__all__ = ["bulk_accept", "bulk_acts", "bulk_reviewer", "bulk_undo"]

_TAKEN: Final = ("item_id", "version", "state", "cwe_ids", "review_id", "suggestion_id", "top_cwe", "probability")


def bulk_accept(
    store: TriageStore,
    *,
    min_probability: float,
    reviewer: str,
    reason: str = "",
    wanted: QueueFilter | None = None,
    limit: int | None = None,
    dry_run: bool = False,
    expected: str | None = None,
) -> BulkResult:
    """Accept the first suggestion of every item that is open, fits the filter and reaches the probability; all or none.

    Items on which parties, or a party and the model, differ are never among them: they need a person's eyes.

    Args:
        reason: why; a dry run needs none.
        limit: at most so many, the most probable first.
        dry_run: only say which ones it would be.
        expected: the digest of a dry run; nothing is written if it would be another set by now.

    Raises:
        BulkChangedError: it would not be what was expected.
        SettingError: the probability is below the store's lowest, four eyes are asked for, or name or reason are missing.
    """
    reviewer, reason = check_person(reviewer, reason)
    if dry_run:
        with store.reading() as connection:
            return _result(_candidates(connection, store.now(), min_probability, wanted, limit))
    if not reason:
        raise SettingError("bulk acceptance needs a reason", fix="say why", about="reason")
    with store.writing() as transaction:
        connection = transaction.connection
        rows = _candidates(connection, transaction.moment, min_probability, wanted, limit)
        found = _result(rows)
        if expected is not None and expected != found.digest:
            raise BulkChangedError(
                f"the queue has changed since you looked: {len(rows):,} items would be accepted now", fix="look at them again"
            )
        if not rows:
            return found
        bulk_id = transaction.next_number(bulks.c.bulk_id)
        made = {
            "bulk_id": bulk_id,
            "at": transaction.at,
            "reviewer": reviewer,
            "reason": reason,
            "min_probability": min_probability,
        }
        connection.execute(insert(bulks), [made])
        details: dict[str, Any] = {
            "items": len(rows), "expected_wrong": round(found.expected_wrong, 2), "min_probability": min_probability,
        }  # fmt: skip
        transaction.link("bulk-accept", reviewer, bulk=bulk_id, reason=reason, **details)
        for row in rows:
            add_review(transaction, row, "accept", "accepted", (row["top_cwe"],), reviewer, reason, bulk_id=bulk_id)
    return BulkResult(bulk_id, found.item_ids, found.expected_wrong, digest=found.digest)


def _candidates(
    connection: Connection, moment: datetime, min_probability: float, wanted: QueueFilter | None, limit: int | None
) -> list[dict[str, Any]]:
    rules = rules_in_force(connection)
    if rules.four_eyes:
        raise SettingError("this store asks for two reviewers, and in bulk nobody looks at an item", fix="review one by one")
    if not rules.bulk_min_probability <= min_probability <= 1:
        raise SettingError(
            f"a probability of {min_probability} is not from {rules.bulk_min_probability} to 1",
            fix="give a higher one, or lower bulk_min_probability in the rules",
            about="rules",
        )
    query = (
        select(*(items.c[name] for name in _TAKEN))
        .where(conditions(wanted or QueueFilter(), moment))
        .where(items.c.state.in_(("open", "reopened")), items.c.abstain_reason == "")
        .where(items.c.probability >= min_probability, ~items.c.parties_differ, ~items.c.model_differs)
        .order_by(items.c.probability.desc(), items.c.item_id)
    )
    return [row._asdict() for row in connection.execute(query.limit(limit))]


def _result(rows: list[dict[str, Any]]) -> BulkResult:
    seen = "\n".join(f"{row['item_id']} {row['version']} {row['top_cwe']}" for row in rows)
    wrong = sum(1 - row["probability"] for row in rows)
    return BulkResult(0, tuple(row["item_id"] for row in rows), wrong, digest=sha256(seen.encode()))


def bulk_undo(store: TriageStore, bulk_id: int, *, reviewer: str, reason: str = "") -> BulkResult:
    """Take a bulk acceptance back, except where somebody has acted on an item since; those are named.

    Raises:
        UnknownItemError: there is no such bulk acceptance.
    """
    reviewer, reason = check_person(reviewer, reason)
    with store.writing() as transaction:
        connection = transaction.connection
        of_bulk = select(reviews.c.review_id, reviews.c.item_id).where(reviews.c.bulk_id == bulk_id, reviews.c.act == "accept")
        accepted = connection.execute(of_bulk.order_by(reviews.c.review_id)).all()
        if not accepted:
            known = connection.execute(select(func.max(bulks.c.bulk_id))).scalar_one()
            raise UnknownItemError(
                f"there is no bulk acceptance {bulk_id}", fix=f"the newest one is {known}" if known else "there has been none"
            )
        in_force = select(*(items.c[name] for name in _TAKEN)).where(
            items.c.state == "accepted", items.c.review_id.in_(of_bulk.with_only_columns(reviews.c.review_id))
        )
        rows = {row.item_id: row._asdict() for row in connection.execute(in_force)}
        transaction.link("bulk-undo", reviewer, bulk=bulk_id, items=len(rows), reason=reason)
        undone = [each.item_id for each in accepted if each.item_id in rows]
        for item_id in undone:
            undo_row(transaction, rows[item_id], reviewer, reason, bulk_id)
    left = tuple(each.item_id for each in accepted if each.item_id not in rows)
    return BulkResult(bulk_id, tuple(undone), left=left)


def bulk_reviewer(store: TriageStore, bulk_id: int) -> str | None:
    """Return who accepted in bulk; None if there is no such act."""
    with store.reading() as connection:
        found: str | None = connection.execute(select(bulks.c.reviewer).where(bulks.c.bulk_id == bulk_id)).scalar_one_or_none()
    return found


def bulk_acts(store: TriageStore, *, limit: int = 10) -> tuple[BulkAct, ...]:
    """Return bulk acceptances, the newest first."""
    accepted = (
        select(reviews.c.bulk_id, func.count().label("items")).where(reviews.c.act == "accept").group_by(reviews.c.bulk_id)
    )
    standing = (
        select(reviews.c.bulk_id, func.count().label("standing"))
        .join(items, items.c.review_id == reviews.c.review_id)
        .where(items.c.state == "accepted")
        .group_by(reviews.c.bulk_id)
    )
    a, s = accepted.subquery(), standing.subquery()
    query = (
        select(bulks, func.coalesce(a.c["items"], 0).label("items"), func.coalesce(s.c.standing, 0).label("standing"))
        .join(a, a.c.bulk_id == bulks.c.bulk_id, isouter=True)
        .join(s, s.c.bulk_id == bulks.c.bulk_id, isouter=True)
        .order_by(bulks.c.bulk_id.desc())
        .limit(limit)
    )
    with store.reading() as connection:
        return tuple(BulkAct(**row._asdict()) for row in connection.execute(query))
