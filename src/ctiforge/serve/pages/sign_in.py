"""Signing in and out. With a file of keys a person gives an API key, without one (loopback only) a name."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ctiforge.serve.keys import Principal
from ctiforge.serve.pages.sessions import Session
from ctiforge.serve.pages.site import Form, Site, local_path

__all__ = ["SignIn"]

_FORM_COOKIE: Final = "ctiforge_form"
_LONGEST: Final = 200


class SignIn:
    """The sign-in page, its form, and the form that ends a session."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def show(self, request: Request) -> Response:
        """Show the page; its form and a cookie share a token, so that no other site can sign somebody in."""
        return self._page(request, local_path(request.query_params.get("next", "")))

    async def take(self, request: Request) -> Response:
        """Begin a session."""
        form = await self._site.read_form(request)
        if isinstance(form, Response):
            return form
        back = local_path(form.get("next", [""])[0])
        if not self._site.is_own(request, form, request.cookies.get(_FORM_COOKIE, "")):
            return self._page(request, back, 403, "That form was not complete. Try again; cookies must be allowed.")
        given = form.get("key", [""])[0].strip()
        principal = self._principal(given)
        if principal is None:
            wrong = "That key is not known here, or was withdrawn." if self._site.state.keys else "Give your name."
            return self._page(request, back, 403, wrong)
        token, _ = self._site.sessions.begin(principal, given if self._site.state.keys else None)
        self._site.sessions.end(request.cookies.get(self._site.cookie))
        response = RedirectResponse(back, HTTPStatus.SEE_OTHER)
        self._site.set_cookie(response, self._site.cookie, token)
        response.delete_cookie(_FORM_COOKIE, path="/", httponly=True, samesite="strict", secure=self._site.state.settings.tls)
        return self._site.secured(response)

    def leave(self, request: Request, session: Session, form: Form) -> Response:
        """End the session."""
        self._site.sessions.end(request.cookies.get(self._site.cookie))
        response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
        response.delete_cookie(
            self._site.cookie, path="/", httponly=True, samesite="strict", secure=self._site.state.settings.tls
        )
        return response

    def _principal(self, given: str) -> Principal | None:
        if self._site.state.keys is not None:
            return self._site.state.authenticate(given)
        name = " ".join(given.split())
        return Principal(name, "admin") if name and name.isprintable() and len(name) <= _LONGEST else None

    def _page(self, request: Request, back: str, status: int = 200, problem: str = "") -> Response:
        token = secrets.token_urlsafe(32)
        settings = self._site.state.settings
        context = {"back": back, "csrf": token, "problem": problem, "by_key": self._site.state.keys is not None}
        response = self._site.render(request, None, "sign_in.html", status, person=settings.person, **context)
        self._site.set_cookie(response, _FORM_COOKIE, token)
        return response
