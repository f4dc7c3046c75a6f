from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select

from ctiforge.classify.feed import ClassifierSettings
from ctiforge.core.advisory import Reject
from ctiforge.triage import QueueFilter, TriageStore, history, import_advisories, open_store, queue, review, show, verify
from ctiforge.triage.schema import audit, items, records, suggestions
from ctiforge.triage.values import STATES

EVERY = QueueFilter(states=STATES)


def contents(store: TriageStore) -> dict[str, list[dict[str, Any]]]:
    """Everything but times and what follows from them."""
    timely = ("first_seen", "opened_at", "opened_day", "due_at", "made_at", "imported_at", "at", "hash", "previous", "details")
    with store.reading() as connection:
        return {
            table.name: [
                {name: value for name, value in row._asdict().items() if name not in timely}
                for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in (items, records, suggestions, audit)
        }


def test_an_import_keeps_what_everybody_said_and_how_it_was_made(
    store: TriageStore, feed: Any, invented: SimpleNamespace
) -> None:
    record = invented.cve(10001, cna=("CWE-20",), adp=("CWE-89", "CWE-20"), score=9.8, kev="2099-02-03")
    report = feed(store, record, {"cveMetadata": {"cveId": "none"}})
    assert (report.added, dict(report.rejected), report.records) == (1, {"missing_field": 1}, 2)
    view = show(store, "cve-2099-10001")
    assert dict(view.item.assigned) == {"cna": ("CWE-20",), "adp": ("CWE-89", "CWE-20")}
    assert view.item.discouraged
    assert not view.item.parties_differ
    assert (view.item.top_cwe, view.item.state, view.item.version) == ("CWE-89", "open", 1)
    prediction = view.suggestion.prediction
    assert prediction.advisory == view.advisory
    assert prediction.suggestions[0].evidence[0].text in invented.SQL
    assert (view.suggestion.model, view.suggestion.policy, view.suggestion.threshold) == ("tiny", "mitre", 0.5)
    assert len(view.suggestion.model_digest) == 64
    assert verify(store).broken is None


def test_a_second_import_changes_nothing(store: TriageStore, feed: Any, invented: SimpleNamespace) -> None:
    batch = [invented.cve(10001), invented.cve(10002, invented.OVERFLOW), invented.cve(10003, invented.VAGUE)]
    feed(store, *batch)
    before = contents(store)
    report = feed(store, *batch)
    assert (report.added, report.changed, report.unchanged) == (0, 0, 3)
    assert contents(store) == before


def test_a_touched_record_has_not_changed(store: TriageStore, feed: Any, invented: SimpleNamespace) -> None:
    feed(store, invented.cve(10001))
    assert feed(store, invented.cve(10001, modified="2099-03-01T00:00:00Z")).unchanged == 1


@pytest.mark.parametrize("change", [{"text": "buffer overflow write in the login allows attackers"}, {"cna": ("CWE-79",)}])
def test_a_changed_record_opens_a_decision_again_and_keeps_history(
    change: dict[str, Any], store: TriageStore, feed: Any, invented: SimpleNamespace
) -> None:
    feed(store, invented.cve(10001))
    review(store, "CVE-2099-10001", "accept", reviewer="Ada", version=1)
    report = feed(store, invented.cve(10001, modified="2099-03-01T00:00:00Z", **change))
    assert (report.changed, report.reopened) == (1, 1)
    view = show(store, "CVE-2099-10001")
    assert (view.item.state, view.item.version) == ("reopened", 3)
    assert view.item.cwe_ids == ("CWE-89",)
    assert [each.act for each in view.reviews] == ["accept"]
    assert [link.action for link in history(store, "CVE-2099-10001")] == ["import", "accept", "reopen"]
    assert verify(store).broken is None
    with store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(records)).scalar_one() == 2


def test_a_new_score_does_not_open_a_decision_again(store: TriageStore, feed: Any, invented: SimpleNamespace) -> None:
    feed(store, invented.cve(10001, score=4.0))
    review(store, "CVE-2099-10001", "accept", reviewer="Ada")
    report = feed(store, invented.cve(10001, score=9.8, modified="2099-03-01T00:00:00Z"))
    assert (report.changed, report.reopened) == (1, 0)
    view = show(store, "CVE-2099-10001")
    assert (view.item.state, view.item.cvss) == ("accepted", 9.8)


def test_an_older_record_does_not_replace_a_newer_one(quick_store: TriageStore, feed: Any, invented: SimpleNamespace) -> None:
    old = invented.cve(10001, modified="2099-01-01T00:00:00Z")
    new = invented.cve(10001, invented.OVERFLOW, modified="2099-02-01T00:00:00Z")
    feed(quick_store, old, new)
    assert show(quick_store, "CVE-2099-10001").item.top_cwe == "CWE-787"
    report = feed(quick_store, old, new)
    assert (report.outdated, report.unchanged, report.changed) == (1, 1, 0)


def test_the_second_of_two_equal_ids_is_reported(quick_store: TriageStore, feed: Any, invented: SimpleNamespace) -> None:
    met: list[Reject] = []
    report = feed(quick_store, invented.cve(10001), invented.cve(10001, invented.OVERFLOW), on_reject=met.append)
    assert dict(report.rejected) == {"duplicate_id": 1}
    assert [(each.id, each.source.line) for each in met] == [("CVE-2099-10001", 2)]


def test_feeds_of_several_parties_join(store: TriageStore, feed: Any, invented: SimpleNamespace) -> None:
    nvd = {
        "cve": {
            "id": "CVE-2099-10001",
            "vulnStatus": "Analyzed",
            "descriptions": [{"lang": "en", "value": "NVD wrote it in other words: overflow"}],
            "weaknesses": [
                {"source": "nvd@nist.gov", "description": [{"lang": "en", "value": "CWE-79"}]},
                {"source": "someone@cna.example", "description": [{"lang": "en", "value": "CWE-787"}]},
            ],
        }
    }
    feed(store, invented.cve(10001, cna=("CWE-89",)))
    assert feed(store, nvd).changed == 1
    view = show(store, "CVE-2099-10001")
    assert view.feeds == ("cve5", "nvd2")
    assert dict(view.item.assigned) == {"cna": ("CWE-89",), "nvd": ("CWE-79",)}
    assert view.item.parties_differ
    assert view.advisory.description == invented.SQL
    assert view.item.top_cwe == "CWE-89"
    assert feed(store, nvd).unchanged == 1
    assert verify(store).broken is None


def test_another_policy_suggests_anew_and_leaves_decisions(
    store: TriageStore, feed: Any, invented: SimpleNamespace, tiny_model: Path
) -> None:
    feed(store, invented.cve(10001), invented.cve(10002))
    review(store, "CVE-2099-10001", "accept", reviewer="Ada")
    report = feed(store, invented.cve(10001), invented.cve(10002), settings=ClassifierSettings(str(tiny_model), policy="nvd"))
    assert (report.changed, report.reopened) == (2, 0)
    view = show(store, "CVE-2099-10001")
    assert (view.item.state, view.suggestion.policy) == ("accepted", "nvd")
    assert verify(store).broken is None


def test_hostile_text_is_kept_and_harmless(store: TriageStore, feed: Any, invented: SimpleNamespace) -> None:
    text = "\x1b[2J SQL injection \u0000 \u202e in the login'; DROP TABLE items; --"
    feed(store, invented.cve(10001, text), {"id": "x" * 500, "description": "SQL injection in the login"})
    page = queue(store, QueueFilter(text="drop TABLE"))
    assert page.total == 1
    assert "\x1b" not in page.items[0].title
    assert show(store, "CVE-2099-10001").advisory.description == text.replace("\0", "")
    assert max(len(item.id) for item in queue(store, EVERY).items) == 200


COMMAND = """
import sys
from ctiforge.classify.feed import ClassifierSettings
from ctiforge.triage import import_advisories, open_store
with open_store(sys.argv[1]) as store:
    import_advisories(store, [sys.argv[2]], ClassifierSettings(sys.argv[3]), workers=1)
"""


@pytest.mark.slow
def test_a_killed_import_goes_on(database: str, tmp_path: Path, tiny_model: Path, invented: SimpleNamespace) -> None:
    texts = [invented.SQL, invented.OVERFLOW, invented.VAGUE]
    batch = [invented.cve(10000 + n, f"{texts[n % 3]} of product {n}") for n in range(3000)]
    path = invented.write_feed(tmp_path / "all.jsonl", batch)
    command = [sys.executable, "-c", COMMAND, database, str(path), str(tiny_model)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, ["src", os.environ.get("PYTHONPATH", "")]))}
    child = subprocess.Popen(command, env=environment)
    with open_store(database) as store:
        while queue(store, EVERY, limit=1).total < 256:
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        child.wait()
        halfway = queue(store, EVERY, limit=1).total
        assert 0 < halfway < 3000
        subprocess.run(command, env=environment, check=True)
        assert verify(store).broken is None
        with open_store(tmp_path / "undisturbed.db") as other:
            import_advisories(other, [str(path)], ClassifierSettings(str(tiny_model)), workers=1)
            assert contents(store) == contents(other)
