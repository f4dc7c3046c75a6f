"""Who may call a route: dependencies that give the `Principal`, or refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.types import Scope

from ctiforge.serve.gate import PRINCIPAL
from ctiforge.serve.keys import Principal, Role
from ctiforge.serve.metrics import ServerMetrics
from ctiforge.serve.problems import Problem
from ctiforge.serve.state import ServerState

__all__ = ["Admin", "Metrics", "Reader", "Reviewer", "State", "check_role_of"]

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


def _needs(role: Role) -> Callable[..., Principal]:
    async def principal(
        request: Request, _: Annotated[object, Depends(_bearer)], __: Annotated[object, Depends(_header)]
    ) -> Principal:
        return check_role_of(request.scope, role)

    return principal


async def _state(request: Request) -> ServerState:
    state: ServerState = request.app.state.server
    return state


async def _metrics(request: Request) -> ServerMetrics:
    metrics: ServerMetrics = request.app.state.metrics
    return metrics


Reader = Annotated[Principal, Depends(_needs("reader"))]
Reviewer = Annotated[Principal, Depends(_needs("reviewer"))]
Admin = Annotated[Principal, Depends(_needs("admin"))]
State = Annotated[ServerState, Depends(_state)]
Metrics = Annotated[ServerMetrics, Depends(_metrics)]
