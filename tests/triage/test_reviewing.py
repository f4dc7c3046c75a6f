from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select

from ctiforge.core.errors import CatalogueError, SettingError
from ctiforge.triage import (
    BulkChangedError,
    ConflictError,
    QueueFilter,
    TriageRules,
    TriageStore,
    UnknownItemError,
    bulk_accept,
    bulk_acts,
    bulk_undo,
    confirm,
    history,
    open_store,
    queue,
    rank,
    review,
    show,
    undo,
    verify,
)
from ctiforge.triage.schema import reviews

A = "CVE-2099-10001"
B = "CVE-2099-10002"


@pytest.fixture
def filled(store: TriageStore, feed: Any, invented: SimpleNamespace) -> TriageStore:
    feed(store, invented.cve(10001), invented.cve(10002, invented.VAGUE), invented.cve(10003, invented.OVERFLOW))
    return store


def test_a_review_keeps_who_what_why_when_and_what_was_before(filled: TriageStore) -> None:
    first = review(filled, A, "accept", reviewer="Ada", version=1)
    assert (first.state, first.cwe_ids, first.at, first.prior.state) == (
        "accepted",
        ("CWE-89",),
        "2099-03-01T09:30:00Z",
        "open",
    )
    second = review(
        filled, A, "correct", reviewer="Ben", cwe_ids=["cwe-79", "CWE-787", "CWE-79"], reason="two causes", version=2
    )
    assert (second.cwe_ids, second.prior.cwe_ids, second.prior.review_id) == (("CWE-79", "CWE-787"), ("CWE-89",), 1)
    view = show(filled, A)
    assert view.reviews == (first, second)
    assert (view.item.state, view.item.version) == ("corrected", 3)
    assert verify(filled).broken is None


def test_the_second_writer_of_a_conflict_is_told(filled: TriageStore) -> None:
    review(filled, A, "accept", reviewer="Ada", version=1)
    with pytest.raises(
        ConflictError, match=r"Ada has accepted it at 2099-03-01T09:30:00Z; it has version 2, you saw 1"
    ) as told:
        review(filled, A, "reject", reviewer="Ben", reason="no", version=1)
    assert (told.value.item_id, told.value.version, told.value.exit_code) == (A, 2, 8)
    assert len(show(filled, A).reviews) == 1


def test_undo_goes_back_step_by_step(filled: TriageStore) -> None:
    review(filled, A, "accept", reviewer="Ada")
    review(filled, A, "reject", reviewer="Ada", reason="too vague")
    assert undo(filled, A, reviewer="Ada").state == "accepted"
    assert show(filled, A).item.cwe_ids == ("CWE-89",)
    assert undo(filled, A, reviewer="Ada").state == "open"
    with pytest.raises(ConflictError, match="nobody has reviewed it"):
        undo(filled, A, reviewer="Ada")
    assert [link.action for link in history(filled, A)] == ["import", "accept", "reject", "undo", "undo"]
    assert verify(filled).broken is None


def test_a_decision_on_a_record_that_changed_cannot_be_undone(
    filled: TriageStore, feed: Any, invented: SimpleNamespace
) -> None:
    review(filled, A, "accept", reviewer="Ada")
    feed(filled, invented.cve(10001, cna=("CWE-79",), modified="2099-03-01T00:00:00Z"))
    with pytest.raises(ConflictError, match="its record has changed"):
        undo(filled, A, reviewer="Ada")


@pytest.mark.parametrize(
    ("item", "given", "error", "says"),
    [
        (A, {"verdict": "agree"}, SettingError, "no verdict"),
        (A, {"verdict": "accept", "reviewer": " \n"}, SettingError, "nobody is named"),
        (A, {"verdict": "accept", "cwe_ids": ["CWE-79"]}, SettingError, "takes no CWE"),
        (A, {"verdict": "reject"}, SettingError, "needs a reason"),
        (A, {"verdict": "correct"}, SettingError, "needs the entries"),
        (A, {"verdict": "correct", "cwe_ids": ["CWE-999999"]}, CatalogueError, "999999"),
        (A, {"verdict": "correct", "cwe_ids": ["CWE-264"], "reason": "x"}, SettingError, "must not be assigned"),
        (A, {"verdict": "correct", "cwe_ids": ["CWE-119"]}, SettingError, "discourages mapping to CWE-119"),
        (B, {"verdict": "accept"}, SettingError, "suggests nothing"),
        ("CVE-2099-99999", {"verdict": "accept"}, UnknownItemError, "no item"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    item: str, given: dict[str, Any], error: type[Exception], says: str, filled: TriageStore
) -> None:
    with pytest.raises(error, match=says):
        review(filled, item, **({"reviewer": "Ada"} | given))
    assert verify(filled).reviews == 0


def test_a_discouraged_entry_can_be_assigned_with_a_reason(filled: TriageStore) -> None:
    assert review(filled, B, "correct", reviewer="Ada", cwe_ids=["CWE-119"], reason="the vendor says no more").cwe_ids == (
        "CWE-119",
    )


def test_four_eyes(filled: TriageStore) -> None:
    rank(filled, actor="lead", rules=TriageRules(four_eyes=True))
    assert review(filled, A, "correct", reviewer="Ada", cwe_ids=["CWE-79"]).state == "awaiting_second"
    assert A in [item.id for item in queue(filled).items]
    with pytest.raises(SettingError, match="cannot confirm"):
        confirm(filled, A, reviewer="ADA")
    done = confirm(filled, A, reviewer="Ben", version=2)
    assert (done.state, done.cwe_ids, done.prior.state) == ("corrected", ("CWE-79",), "awaiting_second")
    with pytest.raises(ConflictError, match="no verdict waits"):
        confirm(filled, A, reviewer="Eve")
    assert undo(filled, A, reviewer="Ben").state == "awaiting_second"
    with pytest.raises(SettingError, match="two reviewers"):
        bulk_accept(filled, min_probability=0.95, reviewer="Ada", reason="all")
    assert verify(filled).broken is None


def test_bulk_acceptance_is_one_act_that_can_be_taken_back(filled: TriageStore, feed: Any, invented: SimpleNamespace) -> None:
    feed(filled, invented.cve(10004, cna=("CWE-79",)))
    rank(filled, actor="lead", rules=TriageRules(bulk_min_probability=0.6))
    tried = bulk_accept(filled, min_probability=0.6, reviewer="Ada", reason="sure", dry_run=True)
    assert (tried.bulk_id, set(tried.item_ids)) == (0, {A, "CVE-2099-10003"})
    assert verify(filled).reviews == 0
    with pytest.raises(BulkChangedError, match="2 items would be accepted now"):
        bulk_accept(filled, min_probability=0.6, reviewer="Ada", reason="sure", expected="what was seen before")
    assert bulk_acts(filled) == ()
    done = bulk_accept(filled, min_probability=0.6, reviewer="Ada", reason="sure", expected=tried.digest)
    assert (done.bulk_id, done.item_ids) == (1, tried.item_ids)
    assert 0 < done.expected_wrong < 1
    review(filled, A, "correct", reviewer="Ben", cwe_ids=["CWE-79"])
    (act,) = bulk_acts(filled)
    assert (act.reviewer, act.reason, act.items, act.standing) == ("Ada", "sure", 2, 1)
    undone = bulk_undo(filled, 1, reviewer="Ada", reason="too early")
    assert (undone.item_ids, undone.left) == (("CVE-2099-10003",), (A,))
    assert show(filled, A).item.state == "corrected"
    assert show(filled, "CVE-2099-10003").item.state == "open"
    assert [each.standing for each in bulk_acts(filled)] == [0]
    with pytest.raises(UnknownItemError, match="no bulk acceptance 7"):
        bulk_undo(filled, 7, reviewer="Ada")
    assert verify(filled).broken is None


@pytest.mark.parametrize(("given", "says"), [({"min_probability": 0.5}, "not from 0.9"), ({"reason": ""}, "needs a reason")])
def test_bulk_acceptance_has_limits(given: dict[str, Any], says: str, filled: TriageStore) -> None:
    with pytest.raises(SettingError, match=says):
        bulk_accept(filled, **({"min_probability": 0.95, "reviewer": "Ada", "reason": "sure"} | given))


@pytest.mark.slow
def test_eight_reviewers_at_once(database: str, feed: Any, invented: SimpleNamespace) -> None:
    """5,000 reviews by eight people, two of whom want each item: none lost, none double, conflicts told."""
    people, wanted = 8, 5000
    with open_store(database) as store:
        feed(store, *(invented.cve(10000 + n, f"{invented.SQL} {n}") for n in range(wanted)))

        def work(person: int) -> tuple[int, int]:
            done = told = 0
            with open_store(database) as own:
                for n in range(wanted):
                    if n % people not in (person, (person + 1) % people):
                        continue
                    try:
                        review(own, f"CVE-2099-{10000 + n}", "accept", reviewer=f"person {person}", version=1)
                        done += 1
                    except ConflictError:
                        told += 1
            return done, told

        with ThreadPoolExecutor(people) as pool:
            results = list(pool.map(work, range(people)))
        assert sum(done for done, _ in results) == wanted
        assert sum(told for _, told in results) == wanted
        with store.reading() as connection:
            counts = select(func.count(), func.count(reviews.c.item_id.distinct())).select_from(reviews)
            assert tuple(connection.execute(counts).one()) == (wanted, wanted)
        report = verify(store)
        assert (report.broken, report.reviews) == (None, wanted)
        assert queue(store, QueueFilter(states=("accepted",)), limit=1).total == wanted
