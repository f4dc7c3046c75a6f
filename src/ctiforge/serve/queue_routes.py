"""The queue over HTTP: ``/v1/queue``, ``/v1/items``, ``/v1/reviews``, bulk acceptance and exports."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from ctiforge import __version__, triage
from ctiforge.classify.outputs import OutputOptions
from ctiforge.classify.outputs.plain_text import printable
from ctiforge.serve.access import Metrics, Reader, Reviewer, State, check_own_bulk
from ctiforge.serve.json_replies import json_reply
from ctiforge.serve.problems import Problem, problem_of, problem_responses
from ctiforge.triage import ConflictError, QueueFilter, Review, TriageStore
from ctiforge.triage.exports import find_export
from ctiforge.triage.listing import Order
from ctiforge.triage.values import DECIDED, WAITING, Act, BulkResult, QueuePage
from ctiforge.triage.values import State as ItemState

__all__ = ["BulkRequest", "ReviewRequest", "conflict_of", "router", "write_review"]

router = APIRouter(tags=["triage"])
_FAILS = problem_responses(400, 401, 403, 404, 422, 429, 503)
_MOST = 2_147_483_647
_IN_MEMORY = 4_000_000
_ItemId = Annotated[str, Path(description="A CVE ID, or the identifier of a record without one.", examples=["CVE-2099-10001"])]


@router.get("/v1/queue", responses={200: {"model": QueuePage}, **_FAILS})
def queue(
    state: State,
    _: Reader,
    item_state: Annotated[list[ItemState], Query(alias="state")] = list(WAITING),  # noqa: B006 - FastAPI copies it
    order: Order = "priority",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=_MOST)] = 0,
    conflict: Literal["parties", "model", "any"] | None = None,
    discouraged: bool = False,
    abstained: bool = False,
    kev: bool = False,
    overdue: bool = False,
    ssvc: Literal["act", "attend", "track*", "track"] | None = None,
    cwe: Annotated[str | None, Query(max_length=20, examples=["CWE-79"])] = None,
    text: Annotated[str, Query(max_length=200)] = "",
    min_probability: Annotated[float | None, Query(ge=0, le=1)] = None,
) -> Response:
    """Return a page of the queue, most urgent first by default."""
    wanted = QueueFilter(
        states=tuple(item_state), conflict=conflict, discouraged=discouraged, abstained=abstained, kev=kev, overdue=overdue,
        ssvc=ssvc, cwe_id=cwe, text=printable(text), min_probability=min_probability,
    )  # fmt: skip
    return json_reply(triage.queue(state.store, wanted, order=order, limit=limit, offset=offset))


@router.get("/v1/items/{item_id:path}", responses={200: {"model": dict[str, Any]}, **_FAILS})
def item(item_id: _ItemId, state: State, _: Reader) -> Response:
    """Return everything about an item: record, suggestion with evidence, terms of its priority, reviews."""
    return json_reply(triage.show(state.store, item_id))


class ReviewRequest(BaseModel):
    """What a person decides of the version of an item that they looked at."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"item_id": "CVE-2099-10001", "act": "accept", "version": 1}]},
    )
    item_id: str = Field(max_length=200)
    act: Act = Field(description="`accept`, `correct` (with `cwe_ids`), `reject` (with `reason`), `confirm` or `undo`.")
    version: int = Field(ge=0, le=_MOST, description="As `/v1/queue` and `/v1/items` give it.")
    cwe_ids: list[str] = Field([], max_length=20, description="For `correct`: the entries, root cause first.")
    reason: str = Field("", max_length=2000)


@router.post("/v1/reviews", status_code=201, responses={201: {"model": Review}, **_FAILS, **problem_responses(409)})
def review(asked: ReviewRequest, state: State, person: Reviewer, metrics: Metrics) -> Response:
    """Decide an item as the key's owner. If somebody was faster, 409 says who decided what, and nothing is written."""
    try:
        done = write_review(state.store, asked, person.name)
    except ConflictError as error:
        metrics.conflicts.inc()
        raise conflict_of(state.store, error) from None
    metrics.reviews.labels(done.act).inc()
    return json_reply(done, 201)


def write_review(store: TriageStore, asked: ReviewRequest, reviewer: str) -> Review:
    """Write a review.

    Raises:
        CtiforgeError: as the functions of `ctiforge.triage` raise it.
    """
    if asked.act in ("confirm", "undo"):
        if asked.cwe_ids:
            raise Problem(422, f"{asked.act} takes no CWE", name="invalid-request")
        act = triage.confirm if asked.act == "confirm" else triage.undo
        return act(store, asked.item_id, reviewer=reviewer, reason=asked.reason, version=asked.version)
    return triage.review(
        store, asked.item_id, asked.act, reviewer=reviewer, cwe_ids=asked.cwe_ids, reason=asked.reason, version=asked.version
    )


def conflict_of(store: TriageStore, error: ConflictError) -> Problem:
    """Return a conflict with what the item is by now, and the review that made it so, if one did."""
    problem = problem_of(error)
    view = triage.show(store, error.item_id)
    problem.fix = f"look at /v1/items/{error.item_id} again"
    problem.more |= {
        "version": view.item.version,
        "state": view.item.state,
        "cwe_ids": view.item.cwe_ids,
        "last_review": view.reviews[-1] if view.reviews else None,
    }
    return problem


class BulkRequest(BaseModel):
    """One audited act: accept all suggestions above a probability that nobody contradicts."""

    model_config = ConfigDict(extra="forbid")
    min_probability: float = Field(ge=0, le=1)
    reason: str = Field(min_length=1, max_length=2000)
    text: str = Field("", max_length=200, description="Only items with all these words.")
    cwe: str | None = Field(None, max_length=20, description="Only where this is suggested.")
    limit: int | None = Field(None, ge=1, le=_MOST)
    dry_run: bool = Field(True, description="Only say what it would accept.")
    expected: str | None = Field(
        None, max_length=64, description="The dry run's `digest`; 409 if it would be another set by now."
    )


@router.post("/v1/bulk-accept", responses={200: {"model": BulkResult}, **_FAILS, **problem_responses(409)})
def bulk_accept(asked: BulkRequest, state: State, person: Reviewer) -> Response:
    """Say what would be accepted and how many of those a calibrated model would get wrong; do it with `dry_run` false."""
    done = triage.bulk_accept(
        state.store,
        min_probability=asked.min_probability,
        reviewer=person.name,
        reason=asked.reason,
        wanted=QueueFilter(text=printable(asked.text), cwe_id=asked.cwe),
        limit=asked.limit,
        dry_run=asked.dry_run,
        expected=asked.expected,
    )
    return json_reply(done)


@router.post("/v1/bulk-undo/{bulk_id}", responses={200: {"model": BulkResult}, **_FAILS})
def bulk_undo(bulk_id: Annotated[int, Path(ge=1, le=_MOST)], state: State, person: Reviewer) -> Response:
    """Take a bulk acceptance back, except where somebody has acted since; somebody else's needs the role admin."""
    check_own_bulk(state.store, bulk_id, person)
    return json_reply(triage.bulk_undo(state.store, bulk_id, reviewer=person.name))


@router.get(
    "/v1/export/{form}",
    response_class=Response,
    responses={200: {"description": "The document.", "content": {"*/*": {}}}, **_FAILS},
)
def export(
    form: Annotated[str, Path(max_length=40, examples=["csaf"], description="A format of `ctiforge triage export`.")],
    state: State,
    _: Reader,
    item_state: Annotated[list[ItemState], Query(alias="state")] = list(DECIDED),  # noqa: B006 - FastAPI copies it
    text: Annotated[str, Query(max_length=200)] = "",
    cwe: Annotated[str | None, Query(max_length=20)] = None,
) -> Response:
    """Return what people decided in a format of other tools; never names of reviewers."""
    wanted = QueueFilter(states=tuple(item_state), text=printable(text), cwe_id=cwe)
    suffix = find_export(form).suffix
    options = OutputOptions(generated_at=datetime.now(UTC), version=__version__)
    # Written before the first byte is sent, so that a failure has a status of its own.
    document = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by `_pieces`
    try:
        for piece in triage.export(state.store, form, options, wanted=wanted):
            document.write(piece.encode())
    except BaseException:
        document.close()
        raise
    document.seek(0)
    kind = {".csv": "text/csv; charset=utf-8", ".jsonl": "application/jsonl"}.get(suffix, "application/json")
    named = {"Content-Disposition": f'attachment; filename="ctiforge-{form}{suffix}"'}
    return StreamingResponse(_pieces(document), headers=named, media_type=kind)


def _pieces(document: IO[bytes]) -> Iterator[bytes]:
    with document:
        while piece := document.read(65_536):
            yield piece
