"""One item: its text with evidence, what the model and each party say, where that stands in CWE, what was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ctiforge.classify.outputs.assigned import PARTY_NAMES
from ctiforge.classify.prediction import Suggestion
from ctiforge.core.weakness import Weakness
from ctiforge.serve.pages.evidence_marks import mark_evidence
from ctiforge.serve.pages.queue_page import PAGE_SIZE, item_query, place_of
from ctiforge.serve.pages.queue_query import QueueQuery, read_queue_query
from ctiforge.serve.pages.sessions import Session
from ctiforge.serve.pages.similar_cves import SimilarFinder
from ctiforge.serve.pages.site import Site
from ctiforge.serve.pages.weakness_tree import relation_words, weakness_trees
from ctiforge.sources.cwe import CweCatalogue, load_catalogue
from ctiforge.triage import AuditEntry, ItemView, history, show
from ctiforge.triage.values import WAITING

__all__ = ["Event", "ItemPage", "PartyRow", "Ranked", "event_of", "party_rows", "read_place", "tree_marks"]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A suggestion with its entry and, from the knowledge base, what MITRE writes of it."""

    suggestion: Suggestion
    entry: Weakness | None
    definition: str


@dataclass(frozen=True, slots=True)
class PartyRow:
    """What one party says: entries with how each stands to the model's, and words without a number."""

    name: str
    entries: tuple[tuple[str, Weakness | None, str], ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the history."""

    at: str
    actor: str
    what: str
    cwe_ids: tuple[str, ...]
    reason: str
    link: int


def read_place(values: Mapping[str, str]) -> tuple[QueueQuery, int]:
    """Return the queue that an item was opened from, and the number that it had there."""
    at = values.get("at", "0")
    return read_queue_query(values), int(at) if at.isascii() and at.isdigit() and len(at) < 9 else 0


class ItemPage:
    """The page of an item."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._similar = SimilarFinder(site.state.settings)

    def show(self, request: Request, session: Session) -> Response:
        """Show the item that the address names."""
        return self.render(request, session, request.path_params["item_id"], request.query_params)

    def render(
        self,
        request: Request,
        session: Session,
        item_id: str,
        place: Mapping[str, str],
        status: int = 200,
        problem: str = "",
        form: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the page.

        Args:
            place: the queue that it was opened from.
            problem: what was wrong with a form.
            form: what was filled in, so that it is not lost.
        """
        store = self._site.state.store
        view = show(store, item_id)
        query, at = read_place(place)
        stands = place_of(store, query, at, view.item.id)
        catalogue = load_catalogue()
        prediction = view.suggestion.prediction
        similar = prediction.similar if prediction.similar is not None else self._similar.find(view.advisory, prediction.text)
        return self._site.render(
            request,
            session,
            "item.html",
            status,
            view=view,
            item=view.item,
            prediction=prediction,
            pieces=mark_evidence(prediction.text, [each.evidence for each in prediction.suggestions]),
            ranked=[self._ranked(each, catalogue) for each in prediction.suggestions],
            discouraged=[self._ranked(each, catalogue) for each in prediction.discouraged],
            parties=party_rows(view, catalogue),
            trees=weakness_trees(catalogue, tree_marks(view)),
            similar=similar,
            events=[event_of(each) for each in reversed(history(store, view.item.id))],
            place=stands,
            queue_text=query.text(page=1 + (stands.number or at) // PAGE_SIZE),
            here=item_query(query, at),
            waits=view.item.state in WAITING,
            may_review=session.principal.may("reviewer"),
            first_reviewer=_first_reviewer(view),
            problem=problem,
            form=form or {},
        )

    def _ranked(self, suggestion: Suggestion, catalogue: CweCatalogue) -> Ranked:
        state = self._site.state
        known = state.answerer.base.get(suggestion.cwe_id) if state.has_knowledge_base else None
        return Ranked(suggestion, catalogue.get(suggestion.cwe_id), known.text.split("\n")[0] if known else "")


def party_rows(view: ItemView, catalogue: CweCatalogue) -> list[PartyRow]:
    """Return a row for each party, in the record's order."""
    prediction = view.suggestion.prediction
    top = prediction.suggestions[0].cwe_id if prediction.suggestions and not prediction.abstained else ""
    rows = []
    for party in dict.fromkeys(each.party for each in view.advisory.weaknesses):
        ids = view.advisory.cwe_ids(party)
        words = [each.text for each in view.advisory.weaknesses if each.party == party and not each.cwe_id and each.text]
        entries = tuple((each, catalogue.get(each), relation_words(catalogue, each, top)) for each in ids)
        rows.append(PartyRow(PARTY_NAMES[party], entries, tuple(dict.fromkeys(words))))
    return rows


def tree_marks(view: ItemView) -> dict[str, list[str]]:
    """Return who names which entry: the decision, the model's first three, the parties."""
    marks: dict[str, list[str]] = {}
    for cwe_id in view.item.cwe_ids:
        marks.setdefault(cwe_id, []).append("decided")
    for number, each in enumerate(view.suggestion.prediction.suggestions[:3], 1):
        marks.setdefault(each.cwe_id, []).append(f"model {number}")
    for weakness in view.advisory.weaknesses:
        if weakness.cwe_id and PARTY_NAMES[weakness.party] not in marks.setdefault(weakness.cwe_id, []):
            marks[weakness.cwe_id].append(PARTY_NAMES[weakness.party])
    return marks


def event_of(link: AuditEntry) -> Event:
    """Return a link of the audit trail as a line of the history."""
    details: Mapping[str, Any] = link.details
    what = {
        "import": f"came in from {details.get('feed')}; suggestion by {details.get('model', 'the model')}",
        "change": f"record changed: {_listed(details.get('changed', ()))}",
        "reopen": f"opened again, since {_listed(details.get('changed', ()))} changed",
        "accept": "accepted in bulk" if "bulk" in details else "accepted",
        "correct": "corrected",
        "reject": "rejected",
        "confirm": "confirmed",
        "undo": f"taken back; {str(details.get('state', '')).replace('_', ' ')} again",
    }.get(link.action, link.action)
    return Event(link.at, link.actor, what, tuple(details.get("cwe_ids", ())), str(details.get("reason", "")), link.seq)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(each.replace("_", " ") for each in names) or "facts"


def _first_reviewer(view: ItemView) -> str:
    """Return whose verdict waits for a second person; empty if none does."""
    return view.reviews[-1].reviewer if view.item.state == "awaiting_second" and view.reviews else ""
