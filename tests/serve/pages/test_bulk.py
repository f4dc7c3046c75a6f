"""Bulk acceptance on a page: nothing happens by accident, what happens is what was shown, and it can be taken back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ctiforge.triage import TriageRules, history, open_store, rank, review, show, verify

SQL = {"CVE-2099-10001", "CVE-2099-10005"}


@pytest.fixture
def rules(queue_db: Path) -> TriageRules:
    """Bulk acceptance from 0.5 on."""
    chosen = TriageRules(bulk_min_probability=0.5)
    with open_store(queue_db) as store:
        rank(store, actor="lead", rules=chosen)
    return chosen


def fields_of(page: Any) -> dict[str, str]:
    """The hidden fields of the form that accepts."""
    return dict(
        re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text.partition("would be accepted")[2])
    )


@pytest.mark.usefixtures("rules")
def test_it_says_what_it_would_do_and_does_just_that(ada: Any, queue_db: Path) -> None:
    page = ada.get("/bulk?min=0.5&cwe=CWE-89")
    assert page.status_code == 200
    assert "2 suggestions would be accepted" in page.text
    shown = set(re.findall(r'href="/items/(CVE-2099-\d+)"', page.text))
    assert shown == SQL
    form = fields_of(page)
    unsure = ada.client.post("/bulk", data=form | {"reason": "routine"})
    assert (unsure.status_code, "tick the box" in unsure.text, "routine</textarea>" in unsure.text) == (422, True, True)
    silent = ada.client.post("/bulk", data=form | {"sure": "1", "reason": " "})
    assert (silent.status_code, "Say why" in silent.text) == (422, True)
    with open_store(queue_db) as store:
        assert {show(store, each).item.state for each in shown} == {"open"}
    done = ada.client.post("/bulk", data=form | {"sure": "1", "reason": "routine"})
    assert (str(done.url.path), "2 suggestions accepted in bulk" in done.text) == ("/bulk", True)
    with open_store(queue_db) as store:
        assert {show(store, each).item.state for each in shown} == {"accepted"}
        assert show(store, "CVE-2099-10003").item.state == "open"
        (link,) = [each for each in history(store) if each.action == "bulk-accept"]
        assert (link.actor, link.details["reason"]) == ("Ada", "routine")
    token = ada.token("/bulk")
    back = ada.client.post("/bulk", data={"csrf": token, "act": "undo", "bulk": "1"})
    assert "2 items are again what they were before" in back.text
    assert "taken back" in back.text
    with open_store(queue_db) as store:
        assert {show(store, each).item.state for each in shown} == {"open"}
        assert verify(store).broken is None


@pytest.mark.usefixtures("rules")
def test_what_changed_since_is_shown_before_anything_is_accepted(ada: Any, queue_db: Path) -> None:
    form = fields_of(ada.get("/bulk?min=0.5"))
    with open_store(queue_db) as store:
        review(store, "CVE-2099-10001", "reject", reviewer="Grace", reason="no")
    refused = ada.client.post("/bulk", data=form | {"sure": "1", "reason": "routine"})
    assert refused.status_code == 409
    assert "The queue has changed" in refused.text.replace("the queue", "The queue")
    assert "2 suggestions would be accepted" in refused.text
    with open_store(queue_db) as store:
        assert show(store, "CVE-2099-10005").item.state == "open"


@pytest.mark.usefixtures("rules")
def test_who_may(visitor: Any, keys: dict[str, str]) -> None:
    visitor.sign_in(keys["Rosa"])
    assert visitor.get("/bulk").status_code == 403
    assert "/bulk" not in visitor.get("/queue").text
    form = {"csrf": visitor.token("/queue"), "act": "accept", "min": "0.5", "sure": "1", "reason": "x", "seen": ""}
    assert visitor.client.post("/bulk", data=form).status_code == 403
    visitor.sign_in(keys["Ada"])
    page = visitor.get("/bulk?min=0.5")
    assert visitor.client.post("/bulk", data=fields_of(page) | {"csrf": "x", "sure": "1", "reason": "x"}).status_code == 403
    assert visitor.client.post("/bulk", data=fields_of(page) | {"sure": "1", "reason": "x"}).status_code == 200
    visitor.sign_in(keys["Grace"])
    assert "Take 3 back" not in visitor.get("/bulk").text
    undo = {"csrf": visitor.token("/bulk"), "act": "undo", "bulk": "1"}
    refused = visitor.client.post("/bulk", data=undo)
    assert (refused.status_code, "Ada accepted these" in refused.text) == (403, True)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("min=0.2", "0.2 is not from 0.9 to 1"),
        ("min=nan", "nan is not from"),
        ("min=much", "is no probability"),
        ("min=0.95&limit=some", "is no number of items"),
        ("min=0.95&limit=0", "is no number of items"),
        ("min=0.95&cwe=CWE-x", "is no CWE ID"),
        ("min=0.95&q=%00%22%3E%3Cscript%3E", ""),
    ],
)
def test_what_makes_no_sense_is_told(looking: Any, query: str, says: str) -> None:
    page = looking.get(f"/bulk?{query}")
    assert page.status_code == (422 if says else 200)
    assert says in page.text
    assert "<script>" not in page.text


def test_four_eyes_leave_nothing_to_do_in_bulk(ada: Any, queue_db: Path) -> None:
    with open_store(queue_db) as store:
        rank(store, actor="lead", rules=TriageRules(four_eyes=True))
    page = ada.get("/bulk?min=0.95")
    assert (page.status_code, "Review one by one" in page.text, "<textarea" in page.text) == (200, True, False)
