"""The queue: a page of it, and where to go from one item to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ctiforge.serve.pages.bulk_page import BulkQuery
from ctiforge.serve.pages.queue_query import STATE_CHOICES, QueueQuery, read_queue_query
from ctiforge.serve.pages.sessions import Session
from ctiforge.serve.pages.site import Site
from ctiforge.triage import QueueItem, TriageStore, queue

__all__ = ["ORDER_WORDS", "PAGE_SIZE", "Place", "item_query", "place_of", "show_queue"]

PAGE_SIZE: Final = 25
ORDER_WORDS: Final = {
    "priority": "most urgent first",
    "due": "due first",
    "newest": "newest first",
    "oldest": "oldest first",
    "uncertain": "least certain first",
    "certain": "most certain first",
}
_PRESETS: Final = (
    ("Waiting", QueueQuery()),
    ("Exploited (KEV)", QueueQuery(kev=True)),
    ("Overdue", QueueQuery(overdue=True)),
    ("Parties differ", QueueQuery(conflict="parties")),
    ("Model differs", QueueQuery(conflict="model")),
    ("Discouraged", QueueQuery(discouraged=True)),
    ("Low information", QueueQuery(abstained=True)),
    ("Decided", QueueQuery(state="decided", order="newest")),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item stands in a queue.

    Attributes:
        number: from 0; None if it does not stand in it any more.
        before, after: addresses' parts of its neighbours: identifier and query string; None at the ends.
    """

    number: int | None
    total: int
    before: tuple[str, str] | None
    after: tuple[str, str] | None


def place_of(store: TriageStore, query: QueueQuery, at: int, item_id: str) -> Place:
    """Return the place of an item that stood at number `at`; once decided, it may have left, and the next one stands there."""
    first = max(0, at - 1)
    found = queue(store, query.wanted, order=query.order, limit=3, offset=first)
    numbered = list(enumerate(found.items, first))
    here = next((number for number, each in numbered if each.id == item_id), None)
    before = [pair for pair in numbered if pair[0] < (at if here is None else here)]
    after = [pair for pair in numbered if pair[0] >= (at if here is None else here + 1)]
    return Place(here, found.total, _address(query, before[-1:]), _address(query, after[:1]))


def _address(query: QueueQuery, one_or_none: list[tuple[int, QueueItem]]) -> tuple[str, str] | None:
    return next(((item.id, item_query(query, number)) for number, item in one_or_none), None)


def item_query(query: QueueQuery, at: int) -> str:
    """Return the query string of an item's page: the queue that it was opened from, and its number there."""
    return "&".join(filter(None, [query.text(), f"at={at}"]))


def show_queue(site: Site, request: Request, session: Session) -> Response:
    """Show a page of the queue, filtered as its address says."""
    query = read_queue_query(request.query_params)
    offset = (query.page - 1) * PAGE_SIZE
    page = queue(site.state.store, query.wanted, order=query.order, limit=PAGE_SIZE, offset=offset)
    rows = [(item, item_query(query, offset + number)) for number, item in enumerate(page.items)]
    return site.render(
        request,
        session,
        "queue.html",
        query=query,
        rows=rows,
        total=page.total,
        offset=offset,
        pages=-(-page.total // PAGE_SIZE),
        presets=[(name, preset.text(), preset.text() == query.text(order=preset.order)) for name, preset in _PRESETS],
        states=list(STATE_CHOICES),
        orders=ORDER_WORDS,
        bulk=BulkQuery(q=query.q, cwe=query.cwe).text if session.principal.may("reviewer") else None,
    )
