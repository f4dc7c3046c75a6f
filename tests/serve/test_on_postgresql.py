"""A team on one PostgreSQL database: eight people with keys of their own, over HTTP, at once."""

from __future__ import annotations

import runpy
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ctiforge.classify.feed import ClassifierSettings
from ctiforge.serve import KeyRing, ServeSettings
from ctiforge.triage import history, import_advisories, open_store, show, verify

TRIAGE: dict[str, Any] = runpy.run_path(str(Path(__file__).resolve().parents[1] / "triage" / "conftest.py"))
FEEDS = TRIAGE["INVENTED"]
postgres = TRIAGE["postgres"]
PEOPLE = 8
ITEMS = 200


@pytest.fixture
def database_url(postgres: str) -> str:
    import psycopg

    with psycopg.connect(postgres.format(database="postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE served")
    return postgres.format(database="served")


@pytest.mark.slow
@pytest.mark.enable_socket
def test_eight_reviewers_over_http(
    database_url: str, tiny_model: Path, settings: ServeSettings, serving: Callable[..., Any], tmp_path: Path
) -> None:
    """Two want each item: one has it, the other is told who was faster; none is lost, none counts twice."""
    feed = FEEDS.write_feed(tmp_path / "feed.jsonl", [FEEDS.cve(10000 + n, f"{FEEDS.SQL} {n}") for n in range(ITEMS)])
    with open_store(database_url) as store:
        import_advisories(store, [str(feed)], ClassifierSettings(model=str(tiny_model)), workers=1)
    ring = KeyRing(tmp_path / "keys.json")
    keys = {f"Reviewer {person}": ring.add(f"Reviewer {person}", "reviewer") for person in range(PEOPLE)}
    server = serving(replace(settings, store=database_url), "--keys", str(ring.path))
    written: dict[str, str] = {}
    told: Counter[str] = Counter()
    unexpected: list[str] = []
    start = threading.Barrier(PEOPLE)

    def work(name: str, key: str, person: int) -> None:
        with httpx.Client(base_url=server.url, headers={"X-API-Key": key}, timeout=300) as client:
            start.wait()
            for n in range(ITEMS):
                if n % PEOPLE not in (person, (person + 1) % PEOPLE):
                    continue
                item = f"CVE-2099-{10000 + n}"
                answer = client.post("/v1/reviews", json={"item_id": item, "act": "accept", "version": 1})
                if answer.status_code == 201 and item not in written:
                    written[item] = name
                elif answer.status_code == 409:
                    told[answer.json()["last_review"]["reviewer"]] += 1
                else:
                    unexpected.append(f"{item}: {answer.status_code} {answer.text}")

    threads = [threading.Thread(target=work, args=(name, key, n)) for n, (name, key) in enumerate(keys.items())]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert unexpected == []
    assert len(written) == ITEMS
    assert told == Counter(written.values())
    with open_store(database_url) as store:
        for item, name in written.items():
            (only,) = show(store, item).reviews
            assert (only.reviewer, only.act, only.version) == (name, "accept", 2)
        report = verify(store)
        assert (report.broken, report.reviews) == (None, ITEMS)
        assert Counter(each.action for each in history(store, limit=10 * ITEMS))["accept"] == ITEMS
    refused = httpx.get(f"{server.url}/v1/queue", params={"text": "\x00"}, headers={"X-API-Key": keys["Reviewer 0"]})
    assert (refused.status_code, refused.json()["total"]) == (200, 0)
