"""Reviews: a person's verdict on an item, a second person's consent, and taking the newest one back.

Nothing is overwritten: each act adds a row with what was before it. A caller says which version of the item was in view; if
another is there by now, nothing is written and the caller is told who did what.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import insert, select, update

from ctiforge.classify.outputs.plain_text import one_line
from ctiforge.classify.outputs.record import json_text
from ctiforge.core.errors import SettingError, did_you_mean
from ctiforge.sources.cwe import CweCatalogue, load_catalogue
from ctiforge.triage.audit_links import row_digest
from ctiforge.triage.errors import ConflictError
from ctiforge.triage.listing import find_row, review_of_row
from ctiforge.triage.rules import rules_in_force
from ctiforge.triage.schema import items, reviews
from ctiforge.triage.store import Transaction, TriageStore
from ctiforge.triage.values import VERDICTS, Act, Review, State

__all__ = ["add_review", "check_person", "confirm", "review", "undo", "undo_row"]

_STATE_AFTER: Final[dict[str, State]] = {"accept": "accepted", "correct": "corrected", "reject": "rejected"}
_LONGEST = 2000


def review(
    store: TriageStore,
    item_id: str,
    verdict: str,
    *,
    reviewer: str,
    cwe_ids: Sequence[str] = (),
    reason: str = "",
    version: int | None = None,
    catalogue: CweCatalogue | None = None,
) -> Review:
    """Decide an item.

    Args:
        verdict: ``accept`` the first suggestion, ``correct`` it to `cwe_ids` (root cause first), or ``reject``: no entry can
            be assigned.
        reviewer: who decides.
        reason: why; needed for ``reject``, and to assign an entry that MITRE discourages.
        version: of the item, as it was shown; the one that it has if None (then nobody is told of a conflict).
        catalogue: what entries there are; the one in force if None.

    Raises:
        ConflictError: the item has another version by now.
        SettingError: the verdict and what was given with it do not fit, or an entry must not be assigned.
        UnknownItemError: there is no such item.
    """
    if verdict not in VERDICTS:
        raise SettingError(
            f"no verdict named {verdict!r}", fix=did_you_mean(verdict, VERDICTS) or f"one of {', '.join(VERDICTS)}"
        )
    reviewer, reason = check_person(reviewer, reason)
    chosen = _check_entries(verdict, cwe_ids, reason, catalogue or load_catalogue())
    with store.writing() as transaction:
        row = find_row(transaction.connection, item_id)
        _check_version(transaction, row, version)
        if verdict == "accept":
            if row["abstain_reason"]:
                raise SettingError(
                    f"{row['item_id']}: the model suggests nothing, so there is nothing to accept",
                    fix="correct it, naming the entries, or reject it with a reason",
                )
            chosen = (row["top_cwe"],)
        state = _STATE_AFTER[verdict]
        if rules_in_force(transaction.connection).four_eyes:
            state = "awaiting_second"
        return add_review(transaction, row, verdict, state, chosen, reviewer, reason)


def confirm(store: TriageStore, item_id: str, *, reviewer: str, reason: str = "", version: int | None = None) -> Review:
    """Agree, as a second person, with a verdict that waits for one.

    Raises:
        ConflictError: nothing waits for a second person, or the item has another version by now.
        SettingError: it is the same person.
        UnknownItemError: there is no such item.
    """
    reviewer, reason = check_person(reviewer, reason)
    with store.writing() as transaction:
        row = find_row(transaction.connection, item_id)
        _check_version(transaction, row, version)
        if row["state"] != "awaiting_second":
            raise ConflictError(
                f"{row['item_id']} is {row['state']}; no verdict waits for a second person",
                item_id=row["item_id"],
                version=row["version"],
                fix="look at it again",
            )
        first = _review_in_force(transaction, row)
        if first.reviewer.casefold() == reviewer.casefold():
            raise SettingError(f"{reviewer} gave the verdict, and cannot confirm it", fix="have another person confirm it")
        return add_review(transaction, row, "confirm", _STATE_AFTER[first.act], first.cwe_ids, reviewer, reason)


def undo(store: TriageStore, item_id: str, *, reviewer: str, reason: str = "", version: int | None = None) -> Review:
    """Take the newest review back: the item is again what it was before it. Once more takes back the one before.

    Raises:
        ConflictError: there is nothing to undo, or the item has another version by now.
        UnknownItemError: there is no such item.
    """
    reviewer, reason = check_person(reviewer, reason)
    with store.writing() as transaction:
        row = find_row(transaction.connection, item_id)
        _check_version(transaction, row, version)
        return undo_row(transaction, row, reviewer, reason)


def undo_row(transaction: Transaction, row: dict[str, Any], reviewer: str, reason: str, bulk_id: int | None = None) -> Review:
    """Take back the review in force of an item.

    Raises:
        ConflictError: there is none, or the item was opened again since.
    """
    last = _review_in_force(transaction, row) if row["review_id"] is not None else None
    if last is None or last.state != row["state"]:
        why = "nobody has reviewed it" if last is None else "its record has changed since it was reviewed"
        raise ConflictError(
            f"{row['item_id']}: nothing to undo, {why}",
            item_id=row["item_id"],
            version=row["version"],
            fix="look at it again",
        )
    prior = last.prior
    return add_review(transaction, row, "undo", prior.state, prior.cwe_ids, reviewer, reason, prior.review_id, bulk_id)


_SAME: Final = -1


def add_review(
    transaction: Transaction,
    row: dict[str, Any],
    act: Act,
    state: State,
    cwe_ids: tuple[str, ...],
    reviewer: str,
    reason: str,
    in_force: int | None = _SAME,
    bulk_id: int | None = None,
) -> Review:
    """Add a review of an item, bring the item and the trail up to date.

    Args:
        row: the item as it is.
        in_force: the review that is in force from now on; the new one by default.
    """
    connection = transaction.connection
    prior = {"state": row["state"], "cwe_ids": orjson.loads(row["cwe_ids"]), "review_id": row["review_id"]}
    new = {
        "review_id": transaction.next_number(reviews.c.review_id),
        "item_id": row["item_id"],
        "version": row["version"] + 1,
        "act": act,
        "state": state,
        "cwe_ids": json_text(list(cwe_ids)),
        "reviewer": reviewer,
        "reason": reason,
        "at": transaction.at,
        "prior": json_text(prior),
        "suggestion_id": row["suggestion_id"],
        "bulk_id": bulk_id,
    }
    connection.execute(insert(reviews), [new])
    now_in_force = new["review_id"] if in_force == _SAME else in_force
    changes = {"state": state, "cwe_ids": new["cwe_ids"], "version": new["version"], "review_id": now_in_force}
    connection.execute(update(items).where(items.c.item_id == row["item_id"]).values(changes))
    row.update(changes)
    transaction.link(
        act,
        reviewer,
        row["item_id"],
        review=new["review_id"],
        review_digest=row_digest(new),
        state=state,
        cwe_ids=list(cwe_ids),
        prior=prior,
        reason=reason,
        **({} if bulk_id is None else {"bulk": bulk_id}),
    )
    return review_of_row(new)


def check_person(reviewer: str, reason: str) -> tuple[str, str]:
    """Return name and reason as they are kept: on one line.

    Raises:
        SettingError: there is no name.
    """
    name = one_line(reviewer, 200)
    if not name:
        raise SettingError("nobody is named as reviewer", fix="say who decides", about="reviewer")
    return name, one_line(reason, _LONGEST)


def _check_entries(verdict: str, cwe_ids: Sequence[str], reason: str, catalogue: CweCatalogue) -> tuple[str, ...]:
    if verdict != "correct":
        if cwe_ids:
            raise SettingError(f"{verdict} takes no CWE", fix="to assign other entries: correct")
        if verdict == "reject" and not reason:
            raise SettingError("a rejection needs a reason", fix="say why", about="reason")
        return ()
    if not cwe_ids:
        raise SettingError("correct needs the entries to assign", fix="name them, root cause first: CWE-416 CWE-787")
    return tuple(dict.fromkeys(_check_entry(each, reason, catalogue) for each in cwe_ids))


def _check_entry(text: str, reason: str, catalogue: CweCatalogue) -> str:
    cwe_id = catalogue.resolve(text)
    if cwe_id is None:
        raise catalogue.unknown(text)
    entry = catalogue[cwe_id]
    prefer = catalogue.nearest_allowed(cwe_id) if catalogue.is_weakness(cwe_id) else ()
    instead = f"prefer {', '.join(prefer[:4])}" if prefer else "choose a weakness that MITRE allows"
    if not catalogue.is_weakness(cwe_id) or entry.usage == "Prohibited":
        raise SettingError(f"{cwe_id} ({entry.name}) must not be assigned: MITRE prohibits mapping to it", fix=instead)
    if entry.usage == "Discouraged" and not reason:
        raise SettingError(
            f"MITRE discourages mapping to {cwe_id} ({entry.name})", fix=f"{instead}; or say why", about="reason"
        )
    return cwe_id


def _check_version(transaction: Transaction, row: dict[str, Any], version: int | None) -> None:
    if version is None or version == row["version"]:
        return
    query = select(reviews).where(reviews.c.item_id == row["item_id"]).order_by(reviews.c.review_id.desc()).limit(1)
    last = transaction.connection.execute(query).one_or_none()
    what = (
        f"{last.reviewer} has {row['state']} it at {last.at}"
        if last and last.version > version
        else "its record was imported anew"
    )
    raise ConflictError(
        f"{row['item_id']} has changed while you looked at it: {what}; it has version {row['version']}, you saw {version}",
        item_id=row["item_id"],
        version=row["version"],
        fix="look at it again",
    )


def _review_in_force(transaction: Transaction, row: dict[str, Any]) -> Review:
    found = transaction.connection.execute(select(reviews).where(reviews.c.review_id == row["review_id"])).one()
    return review_of_row(found._asdict())
