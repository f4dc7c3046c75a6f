"""Failures as the HTTP API tells them: a proper status and a body of ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ctiforge.core.errors import CatalogueError, CtiforgeError, InputError, MissingExtraError, ModelError
from ctiforge.serve.json_replies import plain_json
from ctiforge.serve.state import NotConfiguredError
from ctiforge.triage import BulkChangedError, ConflictError, StoreError, UnknownItemError

__all__ = [
    "PROBLEM_MEDIA_TYPE",
    "Problem",
    "ProblemBody",
    "failure",
    "install_handlers",
    "invalid_request",
    "problem_of",
    "problem_response",
    "problem_responses",
]  # fmt: skip

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
_log = logging.getLogger("ctiforge.serve")


class ProblemBody(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field("about:blank", description="`about:blank`, or `urn:ctiforge:problem:NAME`.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field("", description="What is wrong with this request.")
    fix: str | None = Field(None, description="What to change.")
    errors: list[dict[str, Any]] | None = Field(None, description="For 422: each fault with its place in the request.")
    version: int | None = Field(None, description="For 409: the version that the item has by now.")


class Problem(Exception):  # noqa: N818 - the term of RFC 9457
    """A failure to tell the client.

    Args:
        status: 4xx or 5xx.
        detail: what is wrong with this request.
        fix: what to change.
        name: last part of the type's URN; ``about:blank`` if empty.
        more: further members of the body.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        fix: str | None = None,
        name: str = "",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.fix, self.name, self.headers, self.more = status, detail, fix, name, headers, more


def problem_response(problem: Problem) -> Response:
    """Return the response that tells a problem."""
    body: dict[str, Any] = {
        "type": f"urn:ctiforge:problem:{problem.name}" if problem.name else "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        **({"fix": problem.fix} if problem.fix else {}),
        **problem.more,
    }
    return Response(plain_json(body), problem.status, dict(problem.headers or {}), PROBLEM_MEDIA_TYPE)


_STATUSES: Final[tuple[tuple[type[CtiforgeError], int, str], ...]] = (
    (ConflictError, 409, "conflict"),
    (BulkChangedError, 409, "changed"),
    (UnknownItemError, 404, "unknown-item"),
    (NotConfiguredError, 503, "not-configured"),
    (MissingExtraError, 503, "not-installed"),
    (StoreError, 503, "store"),
    (ModelError, 502, "model"),
    (CatalogueError, 422, "unknown-entry"),
    (InputError, 422, "bad-value"),
)
"""The first that fits counts."""
_HTTP_NAMES: Final = {413: "too-large"}


def problem_of(error: CtiforgeError) -> Problem:
    """Return an error of ours as a problem."""
    status, name = next(((status, name) for kind, status, name in _STATUSES if isinstance(error, kind)), (500, "error"))
    more: dict[str, Any] = {"version": error.version, "item_id": error.item_id} if isinstance(error, ConflictError) else {}
    return Problem(status, error.message, fix=error.fix, name=name, **more)


def invalid_request(faults: Sequence[Any]) -> Problem:
    """Return faults as pydantic lists them as one problem; values are not repeated, they may be long or secret."""
    errors = [
        {"at": ".".join(str(part) for part in each["loc"]), "message": str(each["msg"]), "type": str(each["type"])}
        for each in faults[:20]
    ]
    first = "; ".join(f"{each['at'] or 'body'}: {each['message']}" for each in errors[:3])
    return Problem(422, first, name="invalid-request", errors=errors)


def failure() -> Problem:
    """Return what is told of a bug."""
    return Problem(500, "the server failed; its log says why")


def install_handlers(app: FastAPI) -> None:
    """Let every failure of the application be told as a problem."""

    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return problem_response(error)

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, CtiforgeError)
        return problem_response(problem_of(error))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError | ValidationError)
        return problem_response(invalid_request(error.errors()))

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(
            Problem(error.status_code, str(error.detail), name=_HTTP_NAMES.get(error.status_code, ""), headers=error.headers)
        )

    async def database(request: Request, error: Exception) -> Response:
        _log.error("%s %s: the store does not answer", request.method, request.url.path, exc_info=error)
        problem = Problem(
            503, "the store does not answer; the server's log says why", name="store", headers={"Retry-After": "5"}
        )
        return problem_response(problem)

    async def bug(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem_response(failure())

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(CtiforgeError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(OperationalError, database)
    app.add_exception_handler(PoolTimeoutError, database)
    app.add_exception_handler(Exception, bug)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that can fail with these statuses, for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }
