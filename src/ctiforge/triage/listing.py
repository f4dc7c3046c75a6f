"""The queue: filters, order, pages; and one item with everything about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

import orjson
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from ctiforge.classify.outputs.plain_text import printable
from ctiforge.core.errors import SettingError, did_you_mean
from ctiforge.core.ids import parse_cve_id, parse_cwe_id
from ctiforge.triage.errors import UnknownItemError
from ctiforge.triage.ranking import age_points, facts_of_row, priority_column, priority_parts
from ctiforge.triage.record_json import advisory_from_json, item_key, prediction_from_json
from ctiforge.triage.rules import TriageRules, rules_in_force
from ctiforge.triage.schema import items, record_heads, reviews, suggestions
from ctiforge.triage.store import TriageStore, utc_text
from ctiforge.triage.values import STATES, WAITING, ItemView, Prior, QueueItem, QueuePage, Review, State, StoredSuggestion

__all__ = [
    "Order",
    "QueueFilter",
    "conditions",
    "find_row",
    "queue",
    "queue_items",
    "review_of_row",
    "show",
    "stored_suggestion",
]

_LINE: Final = tuple(column for column in items.c if column.name not in ("advisory", "search"))
_AT_ONCE: Final = 1000
"""Identifiers in one statement; databases have a limit."""

Order = Literal["priority", "due", "newest", "oldest", "uncertain", "certain"]


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which items; all that is given must hold.

    Attributes:
        states: those that wait for a decision by default.
        conflict: ``parties``: two parties' entries have none in common; ``model``: parties named entries, the model another;
            ``any``: one of the two.
        discouraged: a party assigned an entry that MITRE discourages or prohibits.
        abstained: the model suggests nothing.
        kev: CISA lists it as exploited.
        overdue: its service level has passed.
        ssvc: this decision.
        cwe_id: the first suggestion, or what was decided.
        text: words that must all be in the identifier, title or text; case does not matter.
        min_probability: of the first suggestion, which is not an abstention.
    """

    states: tuple[State, ...] = WAITING
    conflict: Literal["parties", "model", "any"] | None = None
    discouraged: bool = False
    abstained: bool = False
    kev: bool = False
    overdue: bool = False
    ssvc: str | None = None
    cwe_id: str | None = None
    text: str = ""
    min_probability: float | None = None

    def __post_init__(self) -> None:
        for state in self.states:
            if state not in STATES:
                raise SettingError(
                    f"no state named {state!r}", fix=did_you_mean(state, STATES) or f"one of {', '.join(STATES)}"
                )
        if self.conflict not in (None, "parties", "model", "any"):
            raise SettingError(f"no conflict of kind {self.conflict!r}", fix="one of parties, model, any")
        if self.cwe_id is not None and parse_cwe_id(self.cwe_id) is None:
            raise SettingError(f"{self.cwe_id!r} is no CWE ID", fix="write it as in CWE-79")


def conditions(wanted: QueueFilter, now: datetime) -> ColumnElement[bool]:
    """Return a filter as a condition on `items`."""
    found: list[ColumnElement[bool]] = [items.c.state.in_(wanted.states)]
    conflicts = {
        "parties": items.c.parties_differ.is_(True),
        "model": items.c.model_differs.is_(True),
        "any": or_(items.c.parties_differ.is_(True), items.c.model_differs.is_(True)),
    }
    if wanted.conflict:
        found.append(conflicts[wanted.conflict])
    if wanted.discouraged:
        found.append(items.c.discouraged.is_(True))
    if wanted.abstained:
        found.append(items.c.abstain_reason != "")
    if wanted.kev:
        found.append(items.c.kev_date != "")
    if wanted.overdue:
        found += [items.c.due_at < utc_text(now), items.c.state.in_(WAITING)]
    if wanted.ssvc is not None:
        found.append(items.c.ssvc == printable(wanted.ssvc))
    if wanted.cwe_id is not None:
        cwe_id = parse_cwe_id(wanted.cwe_id)
        found.append(or_(items.c.top_cwe == cwe_id, items.c.cwe_ids.contains(f'"{cwe_id}"', autoescape=True)))
    # As `search` was written; PostgreSQL refuses some of the characters that are replaced.
    found += [items.c.search.contains(word.lower(), autoescape=True) for word in printable(wanted.text).split()]
    if wanted.min_probability is not None:
        found += [items.c.probability >= wanted.min_probability, items.c.abstain_reason == ""]
    return and_(*found)


def queue(
    store: TriageStore, wanted: QueueFilter | None = None, *, order: str = "priority", limit: int = 50, offset: int = 0
) -> QueuePage:
    """Return a page of the queue.

    Raises:
        SettingError: there is no such order.
    """
    now = store.now()
    wanted = wanted or QueueFilter()
    where = conditions(wanted, now)
    with store.reading() as connection:
        rules = rules_in_force(connection)
        # Identifiers first: what orders and filters lies together in an index, whole rows are long.
        query = _ordered(select(items.c.item_id).where(where), order, rules, now)
        if wanted.text:  # reads every text, so only once
            every = connection.execute(query).scalars().all()
            return QueuePage(_lines(connection, every[offset : offset + limit], now), len(every))
        ids = connection.execute(query.limit(limit).offset(offset)).scalars().all()
        total = int(connection.execute(select(func.count()).select_from(items).where(where)).scalar_one())
        return QueuePage(_lines(connection, ids, now), total)


def queue_items(store: TriageStore, item_ids: Sequence[str]) -> tuple[QueueItem, ...]:
    """Return lines of the queue by identifier, in the order given; what is not there is left out."""
    now = store.now()
    with store.reading() as connection:
        return _lines(connection, item_ids, now)


def _lines(connection: Connection, item_ids: Sequence[str], now: datetime) -> tuple[QueueItem, ...]:
    priority = priority_column(rules_in_force(connection), now).label("priority")
    found: dict[str, QueueItem] = {}
    for start in range(0, len(item_ids), _AT_ONCE):
        query = select(*_LINE, priority).where(items.c.item_id.in_(item_ids[start : start + _AT_ONCE]))
        found |= {row.item_id: _queue_item(row._asdict(), now) for row in connection.execute(query)}
    return tuple(found[item_id] for item_id in item_ids if item_id in found)


def _ordered(query: Select[Any], order: str, rules: TriageRules, now: datetime) -> Select[Any]:
    orders: dict[str, tuple[Any, ...]] = {
        "priority": (priority_column(rules, now).desc(),),
        "due": (items.c.due_at,),
        "newest": (),
        "oldest": (items.c.published,),
        "uncertain": (items.c.probability,),
        "certain": (items.c.probability.desc(),),
    }
    if order not in orders:
        raise SettingError(
            f"no order named {order!r}", fix=did_you_mean(order, orders) or f"one of {', '.join(get_args(Order))}"
        )
    return query.order_by(*orders[order], items.c.published.desc(), items.c.item_id)


def _queue_item(row: Mapping[str, Any], now: datetime) -> QueueItem:
    assigned = {party: tuple(ids) for party, ids in orjson.loads(row["assigned"]).items()}
    taken = (
        "version", "state", "title", "priority", "ssvc", "kev_date", "epss", "cvss", "top_cwe", "probability", "abstain_reason",
        "parties_differ", "model_differs", "discouraged", "published", "opened_at", "due_at",
    )  # fmt: skip
    return QueueItem(
        id=row["item_id"],
        assigned=MappingProxyType(assigned),
        overdue=row["state"] in WAITING and row["due_at"] < utc_text(now),
        cwe_ids=tuple(orjson.loads(row["cwe_ids"])),
        **{name: row[name] for name in taken},
    )


def find_row(connection: Connection, item_id: str) -> dict[str, Any]:
    """Return the row of an item; a CVE ID may be written in any of the usual ways.

    Raises:
        UnknownItemError: there is no such item.
    """
    key = parse_cve_id(item_id) or item_key(item_id)
    row = connection.execute(select(items).where(items.c.item_id == key)).one_or_none()
    if row is None:
        raise UnknownItemError(f"there is no item {item_id!r} in this store", fix="search for what is there", about="items")
    return row._asdict()


def show(store: TriageStore, item_id: str) -> ItemView:
    """Return everything about an item.

    Raises:
        UnknownItemError: there is no such item.
    """
    now = store.now()
    with store.reading() as connection:
        rules = rules_in_force(connection)
        row = find_row(connection, item_id)
        own = reviews.c.item_id == row["item_id"]
        made = connection.execute(select(reviews).where(own).order_by(reviews.c.review_id)).all()
        suggestion = connection.execute(select(suggestions).where(suggestions.c.suggestion_id == row["suggestion_id"])).one()
        feeds = connection.execute(
            select(record_heads.c.kind).where(record_heads.c.item_id == row["item_id"]).order_by(record_heads.c.kind)
        ).scalars()
        parts = (*priority_parts(facts_of_row(row), rules), age_points(rules, row["opened_day"], now))
        item = _queue_item({**row, "priority": sum(part.points for part in parts)}, now)
        return ItemView(
            item=item,
            advisory=advisory_from_json(row["advisory"]),
            feeds=tuple(feeds),
            suggestion=stored_suggestion(suggestion._asdict(), row["advisory"]),
            priority=parts,
            reviews=tuple(review_of_row(each._asdict()) for each in made),
        )


def stored_suggestion(row: Mapping[str, Any], advisory: str) -> StoredSuggestion:
    """Return a row of `suggestions` as a value, with the item's advisory (JSON)."""
    names = ("suggestion_id", "made_at", "model", "model_digest", "cwe_version", "policy", "threshold")
    prediction = prediction_from_json(row["prediction"], advisory_from_json(advisory))
    return StoredSuggestion(prediction=prediction, **{name: row[name] for name in names})


def review_of_row(row: Mapping[str, Any]) -> Review:
    """Return a row of `reviews` as a value."""
    prior = orjson.loads(row["prior"])
    return Review(
        **{
            **row,
            "cwe_ids": tuple(orjson.loads(row["cwe_ids"])),
            "prior": Prior(prior["state"], tuple(prior["cwe_ids"]), prior["review_id"]),
        }
    )
