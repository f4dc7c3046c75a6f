"""``POST /v1/classify``: the one route that many short requests hit at once, so it is answered before FastAPI's routing.

The route that FastAPI knows has the same handler; it is there for the OpenAPI document and for other methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ctiforge.classify import Classifier
from ctiforge.core.errors import CtiforgeError
from ctiforge.serve.access import Reader, State, check_role_of
from ctiforge.serve.classify_worker import AskedText
from ctiforge.serve.problems import Problem, invalid_request, problem_of, problem_response, problem_responses
from ctiforge.serve.state import ServerState

__all__ = ["ClassifyFirst", "ClassifyItem", "ClassifyReply", "ClassifyRequest", "router"]

PATH: Final = "/v1/classify"
_JSON: Final = "application/json"
_EXAMPLES: Final = {
    "one": {
        "summary": "One text",
        "value": {"text": "SQL injection in the login form lets remote attackers read the database."},
    },
    "many": {
        "summary": "Several, with identifiers",
        "value": {
            "items": [
                {"id": "CVE-2099-10001", "text": "A use after free in the parser allows code execution."},
                {"id": "CVE-2099-10002", "text": "Improper neutralization of input allows cross-site scripting."},
            ],
            "top_k": 3,
        },
    },
}
_Text = Annotated[str, StringConstraints(max_length=1_000_000)]


class ClassifyItem(BaseModel):
    """One text to classify."""

    model_config = ConfigDict(extra="forbid")
    text: _Text = Field(description="The description of a vulnerability, in English.")
    id: str = Field(default="", max_length=200, description="Comes back with the answer.")


class ClassifyRequest(BaseModel):
    """Either one `text`, or `items`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"oneOf": [{"required": ["text"]}, {"required": ["items"]}]})
    text: _Text | None = Field(None, description="One text.")
    items: list[ClassifyItem] | None = Field(None, min_length=1, max_length=10_000, description="Several.")
    top_k: int = Field(5, ge=1, le=20, description="Suggestions an answer at most; the server may be set to fewer.")

    @model_validator(mode="after")
    def _one_of_both(self) -> ClassifyRequest:
        if (self.text is None) == (self.items is None):
            raise ValueError("give either text or items")
        return self


class ClassifyReply(BaseModel):
    """One prediction a text, in order, and what made them."""

    predictions: list[dict[str, Any]]
    model: str
    model_digest: str
    cwe_version: str
    policy: str


async def _answer(state: ServerState, body: bytes) -> bytes:
    try:
        request = ClassifyRequest.model_validate_json(body)
    except ValidationError as error:
        raise invalid_request(error.errors(include_url=False, include_context=False, include_input=False)) from None
    asked = [AskedText(each.id, each.text, request.top_k) for each in request.items or ()]
    if request.text is not None:
        asked.append(AskedText("", request.text, request.top_k))
    limits = state.settings.limits
    if len(asked) > limits.texts:
        raise Problem(
            422, f"items: more than {limits.texts} texts", name="invalid-request", fix="send them in several requests"
        )
    if any(len(each.text) > limits.characters for each in asked):
        raise Problem(
            422, f"text: more than {limits.characters:,} characters", name="invalid-request", fix="send the description alone"
        )
    return _reply(state.classifier, await state.classify_records(asked))


def _reply(classifier: Classifier, records: Sequence[bytes]) -> bytes:
    made_by = {
        "model": classifier.model.name,
        "model_digest": classifier.model.digest,
        "cwe_version": classifier.catalogue.version,
        "policy": classifier.policy,
    }
    return b'{"predictions":[' + b",".join(records) + b"]," + orjson.dumps(made_by)[1:]


router = APIRouter(tags=["classify"])


@router.post(
    PATH,
    response_model=ClassifyReply,
    responses=problem_responses(400, 401, 403, 413, 422, 429, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": {"$ref": "#/components/schemas/ClassifyRequest"}, "examples": _EXAMPLES}},
        }
    },
)
async def classify(request: Request, state: State, _: Reader) -> Response:
    """Suggest CWEs for one text or several. Saying that there is not enough information is an answer too."""
    return Response(await _answer(state, await request.body()), media_type=_JSON)


class ClassifyFirst:
    """ASGI middleware that answers ``POST /v1/classify`` itself and hands everything else on."""

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            check_role_of(scope, "reader")
            reply = await _answer(self._state, await _body(receive))
        except Problem as problem:
            await problem_response(problem)(scope, receive, send)
        except CtiforgeError as error:
            await problem_response(problem_of(error))(scope, receive, send)
        else:
            headers = [(b"content-length", str(len(reply)).encode()), (b"content-type", _JSON.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": reply})


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    return body
