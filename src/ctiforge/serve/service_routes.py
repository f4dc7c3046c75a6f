"""Is it alive, is it ready, what has it counted."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from ctiforge.serve.access import Metrics, Reader, State
from ctiforge.serve.json_replies import json_reply
from ctiforge.serve.problems import problem_responses

__all__ = ["router"]

router = APIRouter(tags=["service"])


@router.get("/healthz", response_model=dict[str, str])
async def healthz() -> Response:
    """Say that the process answers. Needs no key."""
    return json_reply({"status": "ok"})


@router.get("/readyz", responses={200: {"model": dict[str, Any]}, **problem_responses(503)})
async def readyz(state: State) -> Response:
    """Say whether everything that is configured is open, and what that is. Needs no key."""
    ready = state.ready
    parts = {
        "classifier": ready,
        "knowledge_base": state.has_knowledge_base,
        "queue": state.has_store,
        "model": state.model is not None,
    }
    return json_reply({"status": "ready" if ready else "starting", **parts}, 200 if ready else 503)


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, **problem_responses(401, 403)}
)
async def metrics(counted: Metrics, _: Reader) -> Response:
    """Return what the server has counted, in Prometheus' text format."""
    return Response(counted.render(), media_type=CONTENT_TYPE_LATEST)
