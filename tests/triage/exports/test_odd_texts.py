"""Whatever feeds bring, and whatever people decide of it: every export stays valid, and nothing is lost."""

from __future__ import annotations

import json
import tempfile
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ctiforge.classify.feed import ClassifierSettings
from ctiforge.classify.outputs import OutputOptions
from ctiforge.triage import ExportSummary, QueueFilter, TriageStore, export, import_advisories, open_store, queue, review
from ctiforge.triage.exports import EXPORTS
from ctiforge.triage.values import STATES

REVIEWER = "Rhiannon Quillfeather"
ODD = [
    "", " ", "=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r\n=1", "'=1", '"=1', "x;=1+1", 'x";"=1', "x;\t@a",
    "＝1", "\u200b=1", "\x00", "\x1b[2J\x9b31m", "\u202efdp.exe\u2069", "شرح\u200f عربي", "🦊👩‍🚒",
    "\ud800", "\ufffe\uffff", "a" * 70_000,
    "]]>", "<script>alert(1)</script>", "a\u2028b\u0085c\x1cd", "SQL injection in the login", "buffer overflow write",
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(ODD), st.text(max_size=40), st.tuples(st.sampled_from(ODD), st.text(max_size=9)).map("".join))
IDS = st.one_of(st.integers(10_000, 10_009).map(lambda number: f"CVE-2099-{number}"), TEXTS)
SCORES = st.lists(st.sampled_from([0, 3.9, 7.0, 10]), max_size=1)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """A row of a user's own file, or a CVE Record."""
    if draw(st.booleans()):
        return {"id": draw(IDS), "description": draw(TEXTS), "title": draw(TEXTS), "cwe": draw(TEXTS), "published": draw(TEXTS)}
    text, words = draw(TEXTS), draw(TEXTS)
    cna: dict[str, Any] = {
        "title": draw(TEXTS),
        "descriptions": [{"lang": "en", "value": text}],
        "problemTypes": [{"descriptions": [{"lang": "en", "description": words}]}],
        "metrics": [
            {"cvssV3_1": {"version": "3.1", "baseScore": score, "vectorString": draw(TEXTS)}} for score in draw(SCORES)
        ],
    }
    number = draw(st.integers(10_010, 10_019))
    meta = {"cveId": f"CVE-2099-{number}", "state": "PUBLISHED", "datePublished": draw(TEXTS)}
    return {"dataType": "CVE_RECORD", "cveMetadata": meta, "containers": {"cna": cna}}


VERDICTS = st.sampled_from([("accept", ()), ("reject", ()), ("correct", ("CWE-79", "CWE-564")), ("correct", ("CWE-119",))])


def decide(store: TriageStore, item_id: str, verdict: str, cwe_ids: tuple[str, ...], reason: str) -> None:
    if verdict == "accept" and queue_item(store, item_id).abstain_reason:
        verdict = "reject"
    review(store, item_id, verdict, reviewer=REVIEWER, cwe_ids=cwe_ids, reason=f"seen: {reason}")


def queue_item(store: TriageStore, item_id: str) -> Any:
    return next(each for each in queue(store, QueueFilter(states=STATES), limit=100).items if each.id == item_id)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck))
@given(feed=st.lists(records(), min_size=1, max_size=4), verdicts=st.lists(VERDICTS, min_size=4, max_size=4), reason=TEXTS)
def test_every_export_of_any_review_is_valid(
    feed: list[dict[str, Any]],
    verdicts: list[tuple[str, tuple[str, ...]]],
    reason: str,
    tiny_model: Path,
    options: OutputOptions,
    checks: SimpleNamespace,
    request: pytest.FixtureRequest,
) -> None:
    numbers = count()
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "triage.db") as store:
        path = Path(folder) / "feed.jsonl"
        path.write_text("".join(json.dumps(each) + "\n" for each in feed))
        report = import_advisories(store, [str(path)], ClassifierSettings(model=str(tiny_model)), workers=1)
        assert report.records == len(feed)
        waiting = [each.id for each in queue(store, limit=100).items]
        for item_id in waiting:
            decide(store, item_id, *verdicts[next(numbers)], reason)
        for form in EXPORTS:
            summary = ExportSummary()
            text = "".join(export(store, form, options, summary=summary))
            text.encode()  # no lone surrogate got this far
            assert summary.written + sum(summary.left_out.values()) == len(waiting)
            assert REVIEWER not in text
            read = checks.check(form, text, request)
            if form == "csv":
                same_in_csv(store, read)


def same_in_csv(store: TriageStore, rows: list[dict[str, str]]) -> None:
    """What a program reads from the file is what the queue shows, but for the apostrophes before formulas."""
    by_id = {each.id.replace("'", ""): each for each in queue(store, QueueFilter(states=STATES), limit=100).items}
    assert {row["id"].replace("'", "") for row in rows} == set(by_id)
    for row in rows:
        item = by_id[row["id"].replace("'", "")]
        assert row["cwe_ids"] == "; ".join(item.cwe_ids)
        assert {"accept": "accepted", "reject": "rejected", "correct": "corrected"}[row["verdict"]] == item.state
