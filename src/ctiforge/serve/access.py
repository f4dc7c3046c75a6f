"""Who may call a route: dependencies that give the `Principal`, or refuse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.types import Scope

from ctiforge.serve.gate import PRINCIPAL
from ctiforge.serve.keys import Principal, Role
from ctiforge.serve.metrics import ServerMetrics
from ctiforge.serve.problems import Problem
from ctiforge.serve.state import ServerState
from ctiforge.triage import TriageStore
from ctiforge.triage.bulk import bulk_reviewer

__all__ = ["Metrics", "Reader", "Reviewer", "State", "check_own_bulk", "check_role_of"]

_bearer = HTTPBearer(auto_error=False, description="An API key of `ctiforge keys add`.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same.")


def check_role_of(scope: Scope, role: Role) -> Principal:
    """Return who makes a request.

    Raises:
        Problem: 401 if nobody is known, 403 if the role is too low.
    """
    principal: Principal | None = scope.get(PRINCIPAL)
    if principal is None:
        raise Problem(
            401,
            "this needs an API key",
            fix="send it as 'Authorization: Bearer KEY'; ctiforge keys add NAME makes one",
            name="no-key",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if not principal.may(role):
        raise Problem(403, f"{principal.name} is a {principal.role}; this needs the role {role}", name="role")
    return principal


def _needs(role: Role) -> Callable[..., Awaitable[Principal]]:
    async def principal(
        request: Request, _: Annotated[object, Depends(_bearer)], __: Annotated[object, Depends(_header)]
    ) -> Principal:
        return check_role_of(request.scope, role)

    return principal


def check_own_bulk(store: TriageStore, bulk_id: int, principal: Principal) -> None:
    """Let people take back their own bulk acceptances, and administrators anybody's; one that is not there is not checked.

    Raises:
        Problem: 403.
    """
    reviewer = bulk_reviewer(store, bulk_id)
    if reviewer is not None and reviewer != principal.name and not principal.may("admin"):
        raise Problem(403, f"{reviewer} accepted these; taking them back needs {reviewer} or the role admin", name="role")


async def _state(request: Request) -> ServerState:
    state: ServerState = request.app.state.server
    return state


async def _metrics(request: Request) -> ServerMetrics:
    metrics: ServerMetrics = request.app.state.metrics
    return metrics


Reader = Annotated[Principal, Depends(_needs("reader"))]
Reviewer = Annotated[Principal, Depends(_needs("reviewer"))]
State = Annotated[ServerState, Depends(_state)]
Metrics = Annotated[ServerMetrics, Depends(_metrics)]
