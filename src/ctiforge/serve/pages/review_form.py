"""The forms by which people decide: accept, correct, reject, confirm, undo. After a verdict comes the next item."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctiforge.core.errors import CtiforgeError
from ctiforge.serve.pages.item_page import ItemPage, read_place
from ctiforge.serve.pages.queue_page import item_query, place_of
from ctiforge.serve.pages.rendering import item_address
from ctiforge.serve.pages.sessions import Flash, Session
from ctiforge.serve.pages.site import Form, Site
from ctiforge.serve.problems import Problem, problem_of
from ctiforge.triage import Review, UnknownItemError, confirm, review, undo

__all__ = ["ReviewForm", "entries_in"]

_SEPARATORS: Final = re.compile(r"[\s,;]+")
_WORDS: Final[Mapping[str, str]] = {
    "accept": "accepted",
    "correct": "corrected",
    "reject": "rejected",
    "confirm": "confirmed",
    "undo": "taken back",
}


def entries_in(text: str) -> list[str]:
    """Return the entries that a person typed: ``CWE-416, 787`` is ``CWE-416`` and ``CWE-787``."""
    parts = filter(None, _SEPARATORS.split(text))
    return [f"CWE-{each}" if each.isascii() and each.isdigit() else each for each in parts]


class ReviewForm:
    """Takes the forms of an item's page, and the undo of the page that follows."""

    def __init__(self, site: Site, page: ItemPage) -> None:
        self._site = site
        self._page = page

    def take(self, request: Request, session: Session, form: Form) -> Response:
        """Write what a person decided, once, on the version that they saw; else show the item with what was wrong."""
        given = {name: values[0] for name, values in form.items()}
        act, item_id = given.get("act", ""), given.get("item", "")
        if act not in _WORDS:
            raise Problem(422, "this form does not say what to do", fix="go back, reload, and do it again")
        place = dict(parse_qsl(given.get("place", "")))
        try:
            made = self._write(act, item_id, session.principal.name, given)
        except UnknownItemError:
            raise
        except CtiforgeError as error:
            status = problem_of(error).status
            return self._page.render(request, session, item_id, place, status, _for_people(error, status), given)
        entries = f": {', '.join(made.cwe_ids)}" if made.cwe_ids and act != "undo" else ""
        waits = ", awaits a second reviewer" if made.state == "awaiting_second" and act != "undo" else ""
        can_undo = None if act == "undo" else (made.item_id, made.version)
        session.flash = Flash(f"{made.item_id} {_WORDS[act]}{entries}{waits}", undo=can_undo)
        return RedirectResponse(self._next(made.item_id, act, place), HTTPStatus.SEE_OTHER)

    def _write(self, act: str, item_id: str, reviewer: str, given: Mapping[str, str]) -> Review:
        store = self._site.state.store
        text = given.get("version", "")
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Problem(422, "this form does not say which version of the item was in view", fix="go back and reload")
        version, reason = int(text), given.get("reason", "")
        acts: Mapping[str, Callable[[], Review]] = {
            "confirm": lambda: confirm(store, item_id, reviewer=reviewer, reason=reason, version=version),
            "undo": lambda: undo(store, item_id, reviewer=reviewer, reason=reason, version=version),
        }
        cwe_ids = entries_in(given.get("cwe_ids", "")) if act == "correct" else []
        verdict = acts.get(act)
        if verdict is not None:
            return verdict()
        return review(store, item_id, act, reviewer=reviewer, cwe_ids=cwe_ids, reason=reason, version=version)

    def _next(self, item_id: str, act: str, place: Mapping[str, str]) -> str:
        query, at = read_place(place)
        if act == "undo":
            return item_address(item_id, item_query(query, at))
        after = place_of(self._site.state.store, query, at, item_id).after
        return item_address(*after) if after else f"/queue?{query.text()}".rstrip("?")


def _for_people(error: CtiforgeError, status: int) -> str:
    """Return what was wrong, and what to do about it."""
    if status == HTTPStatus.CONFLICT:
        return f"{error.message}. Nothing was written; this is how it stands now."
    fix = error.fix or ""
    return f"{error.message}. {fix[:1].upper()}{fix[1:]}".rstrip(". ")
