"""Bulk acceptance: one explicit act of a named person, above a calibrated probability, that can be taken back as a whole."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, insert, select

from ctiforge.core.errors import SettingError
from ctiforge.triage.errors import UnknownItemError
from ctiforge.triage.listing import QueueFilter, conditions
from ctiforge.triage.reviewing import add_review, check_person, undo_row
from ctiforge.triage.rules import rules_in_force
from ctiforge.triage.schema import bulks, items, reviews
from ctiforge.triage.store import TriageStore
from ctiforge.triage.values import BulkResult

__all__ = ["bulk_accept", "bulk_undo"]


def bulk_accept(
    store: TriageStore,
    *,
    min_probability: float,
    reviewer: str,
    reason: str,
    wanted: QueueFilter | None = None,
    limit: int | None = None,
    dry_run: bool = False,
) -> BulkResult:
    """Accept the first suggestion of every item that is open, fits the filter and reaches the probability; all or none.

    Items on which parties, or a party and the model, differ are never among them: they need a person's eyes.

    Args:
        limit: at most so many, the most probable first.
        dry_run: only say which ones it would be.

    Raises:
        SettingError: the probability is below the store's lowest, four eyes are asked for, or name or reason are missing.
    """
    reviewer, reason = check_person(reviewer, reason)
    if not reason:
        raise SettingError("bulk acceptance needs a reason", fix="say why: --reason TEXT")
    with store.writing() as transaction:
        connection = transaction.connection
        rules = rules_in_force(connection)
        if rules.four_eyes:
            raise SettingError(
                "this store asks for two reviewers, and in bulk nobody looks at an item", fix="review one by one"
            )
        if not rules.bulk_min_probability <= min_probability <= 1:
            raise SettingError(
                f"a probability of {min_probability} is not from {rules.bulk_min_probability} to 1",
                fix="give a higher one, or lower bulk_min_probability in the rules: ctiforge triage rank --settings FILE",
            )
        where = conditions(wanted or QueueFilter(), transaction.moment)
        query = (
            select(items)
            .where(where, items.c.state.in_(("open", "reopened")), items.c.abstain_reason == "")
            .where(items.c.probability >= min_probability, ~items.c.parties_differ, ~items.c.model_differs)
            .order_by(items.c.probability.desc(), items.c.item_id)
        )
        rows: list[dict[str, Any]] = [row._asdict() for row in connection.execute(query.limit(limit))]
        ids = tuple(row["item_id"] for row in rows)
        expected_wrong = sum(1 - row["probability"] for row in rows)
        if dry_run or not rows:
            return BulkResult(0, ids, expected_wrong)
        bulk_id = transaction.next_number(bulks.c.bulk_id)
        made = {
            "bulk_id": bulk_id,
            "at": transaction.at,
            "reviewer": reviewer,
            "reason": reason,
            "min_probability": min_probability,
        }
        connection.execute(insert(bulks), [made])
        details = {"items": len(ids), "expected_wrong": round(expected_wrong, 2), "min_probability": min_probability}
        transaction.link("bulk-accept", reviewer, bulk=bulk_id, reason=reason, **details)
        for row in rows:
            add_review(transaction, row, "accept", "accepted", (row["top_cwe"],), reviewer, reason, bulk_id=bulk_id)
    return BulkResult(bulk_id, ids, expected_wrong)


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
        in_force = select(items).where(
            items.c.state == "accepted", items.c.review_id.in_(of_bulk.with_only_columns(reviews.c.review_id))
        )
        rows = {row.item_id: row._asdict() for row in connection.execute(in_force)}
        transaction.link("bulk-undo", reviewer, bulk=bulk_id, items=len(rows), reason=reason)
        undone = [each.item_id for each in accepted if each.item_id in rows]
        for item_id in undone:
            undo_row(transaction, rows[item_id], reviewer, reason, bulk_id)
    left = tuple(each.item_id for each in accepted if each.item_id not in rows)
    return BulkResult(bulk_id, tuple(undone), left=left)
