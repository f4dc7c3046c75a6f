"""Bulk acceptance on a page: name a probability, see what that would accept, say why, do it; take it back as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctiforge.core.errors import CtiforgeError, SettingError
from ctiforge.serve.access import check_own_bulk
from ctiforge.serve.pages.sessions import Flash, Session
from ctiforge.serve.pages.site import Form, Site
from ctiforge.serve.problems import Problem, problem_of
from ctiforge.triage import BulkResult, QueueFilter, bulk_accept, bulk_acts, bulk_undo
from ctiforge.triage.listing import queue_items
from ctiforge.triage.rules import rules_in_force

__all__ = ["BulkPage", "BulkQuery", "read_bulk_query"]

_SHOWN: Final = 25
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class BulkQuery:
    """What a person asks for, as they typed it."""

    min: str = ""
    q: str = ""
    cwe: str = ""
    limit: str = ""

    @property
    def text(self) -> str:
        """The query string; what is empty is left out."""
        return urlencode({name: value for name in self.__slots__ if (value := getattr(self, name))})

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `bulk_accept`.

        Raises:
            SettingError: one of them is not of its kind.
        """
        try:
            least = float(self.min)
        except ValueError:
            raise SettingError(f"{self.min!r} is no probability", fix="give a number such as 0.95") from None
        if self.limit and not (self.limit.isascii() and self.limit.isdigit() and int(self.limit[:9]) > 0):
            raise SettingError(f"{self.limit!r} is no number of items", fix="give a number such as 100, or none")
        limit = int(self.limit[:9]) if self.limit else None
        return {"min_probability": least, "limit": limit, "wanted": QueueFilter(text=self.q, cwe_id=self.cwe or None)}


def read_bulk_query(values: Mapping[str, str]) -> BulkQuery:
    """Return what a query string or a form asks for; what is too long is cut."""
    return BulkQuery(**{name: values.get(name, "").strip()[:_LONGEST] for name in BulkQuery.__slots__})


class BulkPage:
    """Shows what would be accepted, and takes the two forms: accept, and take back."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def show(self, request: Request, session: Session) -> Response:
        """Show the form, what it would accept, and what was accepted in bulk before."""
        return self._render(request, session, read_bulk_query(request.query_params))

    def take(self, request: Request, session: Session, form: Form) -> Response:
        """Accept what was shown and nothing else, or take a bulk acceptance back."""
        given = {name: values[0] for name, values in form.items()}
        if given.get("act") == "undo":
            return self._undo(session, given.get("bulk", ""))
        query = read_bulk_query(given)
        if given.get("sure") != "1":
            return self._render(request, session, query, 422, "Say that you mean it: tick the box.", given)
        try:
            done = bulk_accept(
                self._site.state.store,
                reviewer=session.principal.name,
                reason=given.get("reason", ""),
                expected=given.get("seen", ""),
                **query.options,
            )
        except CtiforgeError as error:
            told = f"{error.message}. {(error.fix or '').capitalize()}."
            return self._render(request, session, query, problem_of(error).status, told, given)
        session.flash = Flash(f"{len(done.item_ids):,} suggestions accepted in bulk, as number {done.bulk_id}")
        return RedirectResponse("/bulk", HTTPStatus.SEE_OTHER)

    def _undo(self, session: Session, number: str) -> Response:
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise Problem(422, "this form does not say which bulk acceptance", fix="go back and reload")
        store = self._site.state.store
        check_own_bulk(store, int(number), session.principal)
        done = bulk_undo(store, int(number), reviewer=session.principal.name)
        left = f"; {len(done.left):,} left alone, since somebody has acted on them since" if done.left else ""
        session.flash = Flash(f"{len(done.item_ids):,} items are again what they were before{left}")
        return RedirectResponse("/bulk", HTTPStatus.SEE_OTHER)

    def _render(
        self,
        request: Request,
        session: Session,
        query: BulkQuery,
        status: int = 200,
        problem: str = "",
        form: Mapping[str, str] | None = None,
    ) -> Response:
        store = self._site.state.store
        with store.reading() as connection:
            rules = rules_in_force(connection)
        found: BulkResult | None = None
        if query.min and not rules.four_eyes:
            try:
                found = bulk_accept(store, reviewer=session.principal.name, dry_run=True, **query.options)
            except SettingError as error:
                status, problem = 422, problem or f"{error.message}. {(error.fix or '').capitalize()}."
        acts = bulk_acts(store)
        own = {act.bulk_id for act in acts if session.principal.may("admin") or act.reviewer == session.principal.name}
        return self._site.render(
            request,
            session,
            "bulk.html",
            status,
            query=query,
            lowest=rules.bulk_min_probability,
            four_eyes=rules.four_eyes,
            found=found,
            lines=queue_items(store, found.item_ids[:_SHOWN]) if found else (),
            acts=acts,
            own=own,
            problem=problem,
            reason=(form or {}).get("reason", ""),
        )
