"""Who gets in, with how much, and what the refusals say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from ctiforge.serve import KeyRing, Limits, Role, ServeSettings

TEXT = {"text": "SQL injection in the login allows attackers"}
REVIEW = {"item_id": "CVE-2099-10002", "act": "accept", "version": 1}
Serve = Callable[[ServeSettings], TestClient]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def guarded(serve: Serve, settings: ServeSettings, keys: dict[Role, str], tmp_path: Path) -> TestClient:
    """A server with keys."""
    return serve(replace(settings, keys=tmp_path / "keys.json"))


@pytest.mark.parametrize("path", ["/v1/queue", "/v1/items/CVE-2099-10001", "/v1/models", "/metrics", "/v1/export/csv"])
def test_without_a_key_nothing_is_seen(guarded: TestClient, path: str) -> None:
    answer = guarded.get(path)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "urn:ctiforge:problem:no-key"


def test_a_wrong_key_is_told_apart_from_none(guarded: TestClient) -> None:
    for method, path in (("GET", "/v1/queue"), ("POST", "/v1/classify")):
        answer = guarded.request(method, path, headers=bearer("ctiforge_0_wrong"), json=TEXT)
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:ctiforge:problem:wrong-key")
    assert guarded.post("/v1/classify", json=TEXT).status_code == 401
    assert guarded.get("/healthz").status_code == 200
    assert guarded.get("/readyz").json()["status"] == "ready"


def test_each_role_may_what_it_may(guarded: TestClient, keys: dict[Role, str]) -> None:
    assert guarded.post("/v1/classify", json=TEXT, headers={"X-API-Key": keys["reader"]}).status_code == 200
    refused = guarded.post("/v1/reviews", json=REVIEW, headers=bearer(keys["reader"]))
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:ctiforge:problem:role")
    assert "reviewer" in refused.json()["detail"]
    assert guarded.get("/v1/items/CVE-2099-10002", headers=bearer(keys["reader"])).json()["item"]["state"] == "open"
    done = guarded.post("/v1/reviews", json=REVIEW, headers=bearer(keys["reviewer"]))
    assert (done.status_code, done.json()["reviewer"]) == (201, "Vera")
    bulk = {"min_probability": 0.9, "reason": "routine"}
    assert guarded.post("/v1/bulk-accept", json=bulk, headers=bearer(keys["reader"])).status_code == 403
    tried = guarded.post("/v1/bulk-accept", json=bulk, headers=bearer(keys["reviewer"])).json()
    assert tried["bulk_id"] == 0
    really = bulk | {"dry_run": False}
    refused = guarded.post("/v1/bulk-accept", json=really | {"expected": "another"}, headers=bearer(keys["reviewer"]))
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:ctiforge:problem:changed")
    done = guarded.post("/v1/bulk-accept", json=really | {"expected": tried["digest"]}, headers=bearer(keys["admin"])).json()
    assert done["item_ids"] == tried["item_ids"]
    undo = f"/v1/bulk-undo/{done['bulk_id']}"
    assert guarded.post(undo, headers=bearer(keys["reviewer"])).status_code == 403
    assert guarded.post(undo, headers=bearer(keys["admin"])).json()["item_ids"] == done["item_ids"]
    assert guarded.post("/v1/bulk-undo/9", headers=bearer(keys["reviewer"])).status_code == 404


def test_a_revoked_key_is_refused_at_once(guarded: TestClient, keys: dict[Role, str], tmp_path: Path) -> None:
    assert guarded.get("/v1/queue", headers=bearer(keys["reader"])).status_code == 200
    KeyRing(tmp_path / "keys.json").revoke("Rea")
    assert guarded.get("/v1/queue", headers=bearer(keys["reader"])).status_code == 401


def test_an_oversized_body_is_refused_whether_it_says_so_or_not(serve: Serve, settings: ServeSettings) -> None:
    client = serve(replace(settings, limits=Limits(body_bytes=10_000)))
    for path in ("/v1/classify", "/v1/ask"):
        declared = client.post(path, content=b"x" * 10_001)
        streamed = client.post(path, content=(b"x" * 1000 for _ in range(11)))
        for answer in (declared, streamed):
            assert (answer.status_code, answer.json()["type"]) == (413, "urn:ctiforge:problem:too-large")
    assert client.post("/v1/classify", json=TEXT).status_code == 200


def test_more_requests_than_the_rate_are_told_when_to_come_again(serve: Serve, settings: ServeSettings) -> None:
    client = serve(replace(settings, limits=Limits(requests_per_minute=3)))
    answers = [client.get("/healthz") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 429, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert answers[-1].json()["type"] == "urn:ctiforge:problem:rate"


def test_names_that_are_not_this_server_are_refused(client: TestClient, serve: Serve, settings: ServeSettings) -> None:
    assert client.get("/healthz", headers={"Host": "rebound.example"}).status_code == 421
    assert client.get("/healthz", headers={"Host": "localhost:8765"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "[::1]:8765"}).status_code == 200
    named = serve(replace(settings, hosts=("triage.example",)))
    assert named.get("/healthz", headers={"Host": "triage.example"}).status_code == 200


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}])
def test_another_sites_page_cannot_write(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/v1/reviews", json=REVIEW, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:ctiforge:problem:cross-origin")
    assert client.get("/v1/items/CVE-2099-10002").json()["item"]["version"] == 1
    own = client.post("/v1/reviews", json=REVIEW, headers={"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"})
    assert own.status_code == 201


def test_a_request_that_takes_too_long_is_broken_off_but_a_review_never(serve: Serve, settings: ServeSettings) -> None:
    client = serve(replace(settings, limits=Limits(seconds=0.001, batch_wait_ms=50)))
    answer = client.post("/v1/classify", json=TEXT)
    assert (answer.status_code, answer.json()["type"]) == (504, "urn:ctiforge:problem:timeout")
    assert client.post("/v1/reviews", json=REVIEW).status_code == 201


def test_responses_cannot_be_mistaken_for_pages(client: TestClient) -> None:
    for answer in (
        client.get("/v1/items/CVE-2099-10001"),
        client.get("/nothing<script>"),
        client.post("/v1/classify", json=TEXT),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "json" in answer.headers["content-type"]
        assert "server" not in answer.headers
