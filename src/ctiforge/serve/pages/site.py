"""`Site`: what all pages share. Who is asking, whether the form is theirs, and how a page or a failure is sent."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ctiforge.core.errors import CtiforgeError
from ctiforge.serve.keys import Role
from ctiforge.serve.pages.rendering import make_environment
from ctiforge.serve.pages.sessions import Session, Sessions
from ctiforge.serve.problems import Problem, problem_of
from ctiforge.serve.state import ServerState

__all__ = ["PAGE_HEADERS", "Endpoint", "Form", "FormHandler", "PageHandler", "Site", "local_path"]

Form = Mapping[str, list[str]]
"""The fields of a form, each with all its values."""
PageHandler = Callable[[Request, Session], Response]
FormHandler = Callable[[Request, Session, Form], Response]
Endpoint = Callable[[Request], Awaitable[Response]]

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Sent with every page. Nothing inline runs, nothing comes from elsewhere, nobody frames it, nothing is kept in a cache."""

_MOST_BYTES: Final = 64 * 1024
_MOST_FIELDS: Final = 200
_log = logging.getLogger("ctiforge.serve")


class Site:
    """The pages of one server."""

    def __init__(self, state: ServerState) -> None:
        self.state = state
        self.sessions = Sessions(idle_seconds=state.settings.session_hours * 3600)
        self._templates = make_environment()
        self.cookie = "__Host-ctiforge_session" if state.settings.tls else "ctiforge_session"

    # Who asks.

    def session(self, request: Request) -> Session | None:
        """Return who is signed in; nobody any more if the key was withdrawn, and with the role that the key has by now."""
        token = request.cookies.get(self.cookie)
        session = self.sessions.find(token)
        if session is None or session.key is None:
            return session
        principal = self.state.authenticate(session.key)
        if principal is None:
            self.sessions.end(token)
            return None
        session.principal = principal
        return session

    def set_cookie(self, response: Response, name: str, value: str) -> None:
        """Set a cookie that scripts cannot read and that other sites cannot have sent; it ends with the browser's session."""
        response.set_cookie(name, value, httponly=True, samesite="strict", secure=self.state.settings.tls, path="/")

    # How a request is answered.

    def page(self, handler: PageHandler, role: Role = "reader") -> Endpoint:
        """Return an endpoint that shows a page to those who are signed in, and sends others to sign in first."""

        async def endpoint(request: Request) -> Response:
            session = self.session(request)
            if session is None:
                asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                return self.secured(RedirectResponse(f"/sign-in?next={quote(asked, safe='')}", HTTPStatus.SEE_OTHER))
            return await self._answer(request, session, role, lambda: handler(request, session))

        return endpoint

    def form(self, handler: FormHandler, role: Role = "reviewer") -> Endpoint:
        """Return an endpoint that takes a form of somebody who is signed in, with their session's token in it."""

        async def endpoint(request: Request) -> Response:
            form = await self.read_form(request)
            session = self.session(request)
            if isinstance(form, Response):
                return form
            if session is None:
                return self.failure(request, None, 403, "You are not signed in any more.", "Sign in, then do it again.")
            if not self.is_own(request, form, session.csrf):
                return self.failure(
                    request, session, 403, "This form did not come from a page of this server.", "Go back, reload, do it again."
                )
            return await self._answer(request, session, role, lambda: handler(request, session, form))

        return endpoint

    async def read_form(self, request: Request) -> Form | Response:
        """Return the fields of a form, or the page that refuses it."""
        received = bytearray()
        async for chunk in request.stream():
            received += chunk
            if len(received) > _MOST_BYTES:
                return self.failure(request, None, 413, "This form is too large.")
        try:
            return parse_qs(received.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            return self.failure(request, None, 400, "This form has too many fields.")

    def is_own(self, request: Request, form: Form, token: str) -> bool:
        """Say whether a form came from a page of this server: it has the token, and no browser says otherwise."""
        given = form.get("csrf", [""])[0]
        from_here = request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
        return from_here and bool(token) and hmac.compare_digest(given.encode(), token.encode())

    async def _answer(self, request: Request, session: Session, role: Role, work: Callable[[], Response]) -> Response:
        if not session.principal.may(role):
            text = f"This needs the role {role}; the key of {session.principal.name} has the role {session.principal.role}."
            return self.failure(request, session, 403, text, "Ask whoever administers this server for another key.")
        try:
            return self.secured(await run_in_threadpool(work))
        except CtiforgeError as error:
            problem = problem_of(error)
            return self.failure(request, session, problem.status, error.message, error.fix or "")
        except Problem as problem:
            return self.failure(request, session, problem.status, problem.detail, problem.fix or "")
        except Exception:
            _log.exception("%s %s failed", request.method, request.url.path)
            return self.failure(request, session, 500, "The server failed. Its log says why.")

    # What is sent.

    def render(self, request: Request, session: Session | None, template: str, status: int = 200, **context: Any) -> Response:
        """Return a page."""
        shared = {
            "session": session,
            "flash": session.take_flash() if session else None,
            "path": request.url.path,
            "has_store": self.state.has_store,
            "has_knowledge_base": self.state.has_knowledge_base,
        }
        text = self._templates.get_template(template).render(**shared, **context)
        return self.secured(HTMLResponse(text, status))

    def failure(self, request: Request, session: Session | None, status: int, text: str, fix: str = "") -> Response:
        """Return the page that tells what went wrong."""
        title = HTTPStatus(status).phrase
        return self.render(request, session, "failure.html", status, title=title, text=text, fix=fix)

    def secured(self, response: Response) -> Response:
        """Add the headers of a page; a header that is there stays."""
        for name, value in PAGE_HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def local_path(text: str, otherwise: str = "/queue") -> str:
    """Return an address on this server, or `otherwise` for one that could lead elsewhere."""
    plain = text.startswith("/") and text.isprintable() and "\\" not in text
    return text if plain and not text.startswith("//") else otherwise
