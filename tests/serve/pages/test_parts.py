"""What pages are computed from: sessions, marks, trees, addresses, charts, forms."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

from ctiforge.classify.prediction import EvidenceSpan
from ctiforge.core.metrics import Interval, wilson_interval
from ctiforge.serve.keys import Principal
from ctiforge.serve.pages.charts import CHART, calibration_marks, day_bars, drift_panels, nice_step
from ctiforge.serve.pages.evidence_marks import mark_evidence
from ctiforge.serve.pages.queue_query import STATE_CHOICES, QueueQuery, read_queue_query
from ctiforge.serve.pages.rendering import item_address
from ctiforge.serve.pages.report_pages import read_records
from ctiforge.serve.pages.review_form import entries_in
from ctiforge.serve.pages.sessions import Sessions
from ctiforge.serve.pages.site import local_path
from ctiforge.serve.pages.weakness_tree import TreeNode, relation_words, weakness_trees
from ctiforge.sources.cwe import load_catalogue
from ctiforge.triage import CalibrationBin, DayOfWork, DriftReport
from ctiforge.triage.drift import PeriodDrift
from ctiforge.triage.drift_measures import Measure

ADA = Principal("Ada", "reviewer")


@given(st.text(max_size=60), st.lists(st.lists(st.tuples(st.integers(-5, 70), st.integers(-5, 70)), max_size=4), max_size=3))
def test_marked_pieces_are_the_text(text: str, spans: list[list[tuple[int, int]]]) -> None:
    evidence = [[EvidenceSpan(start, end, "", 0.5) for start, end in of_one] for of_one in spans]
    pieces = mark_evidence(text, evidence)
    assert "".join(each.text for each in pieces) == text
    place = 0
    for each in pieces:
        for at in range(place, place + len(each.text)):
            assert set(each.ranks) == {rank for rank, of_one in enumerate(spans) if any(a <= at < b for a, b in of_one)}
        place += len(each.text)


def test_neighbouring_pieces_differ() -> None:
    pieces = mark_evidence("buffer overflow", [[EvidenceSpan(0, 6, "", 0.5), EvidenceSpan(3, 9, "", 0.5)], []])
    assert [(each.text, each.ranks) for each in pieces] == [("buffer ov", (0,)), ("erflow", ())]


@given(
    st.builds(
        QueueQuery,
        state=st.sampled_from(list(STATE_CHOICES)),
        conflict=st.sampled_from(["", "any", "model", "parties"]),
        kev=st.booleans(),
        abstained=st.booleans(),
        q=st.text("abc &=?#+ü", max_size=12).map(str.strip),
        order=st.sampled_from(["priority", "due", "certain"]),
        page=st.integers(1, 99),
    )
)
def test_an_address_says_the_whole_query(query: QueueQuery) -> None:
    assert read_queue_query(dict(parse_qsl(query.text(page=query.page)))) == query


@given(st.dictionaries(st.sampled_from(["state", "conflict", "kev", "q", "order", "page", "cwe", "x"]), st.text(max_size=20)))
def test_any_address_can_be_read(values: dict[str, str]) -> None:
    query = read_queue_query(values)
    assert query.page >= 1
    assert len(query.q) <= 300


@given(st.text(max_size=40))
def test_local_paths_stay_here(text: str) -> None:
    path = local_path(text)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))


def test_identifiers_may_hold_any_character() -> None:
    assert item_address("../feeds/x.txt:3?a#b", "at=1") == "/items/..%2Ffeeds%2Fx.txt%3A3%3Fa%23b?at=1"


@pytest.mark.parametrize(
    ("text", "entries"),
    [("CWE-416, 787;CWE-79", ["CWE-416", "CWE-787", "CWE-79"]), (" , ", []), ("cwe-20 x", ["cwe-20", "x"]), ("²", ["²"])],
)
def test_entries_that_a_person_types(text: str, entries: list[str]) -> None:
    assert entries_in(text) == entries


def test_sessions_end_when_idle_and_when_told() -> None:
    now = [0.0]
    sessions = Sessions(clock=lambda: now[0], idle_seconds=10)
    token, session = sessions.begin(ADA)
    other, _ = sessions.begin(ADA)
    assert sessions.find(token) is session
    assert sessions.find(token + "x") is None
    sessions.end(other)
    assert sessions.find(other) is None
    now[0] = 9
    assert sessions.find(token) is session
    now[0] = 18
    assert sessions.find(token) is session
    now[0] = 29
    assert sessions.find(token) is None


def test_the_session_that_was_idle_longest_makes_room() -> None:
    now = [0.0]
    sessions = Sessions(clock=lambda: now[0], most=2)
    tokens = []
    for now[0] in (1.0, 2.0, 3.0):
        tokens.append(sessions.begin(ADA)[0])
    assert [sessions.find(each) is not None for each in tokens] == [False, True, True]


def test_trees_join_common_ancestors() -> None:
    catalogue = load_catalogue()
    (root,) = weakness_trees(catalogue, {"CWE-79": ["model 1"], "CWE-89": ["CNA"], "CWE-264": ["NVD"]})
    assert root.entry.cwe_id == "CWE-707"
    marked = {node.entry.cwe_id: node.marks for node in _all(root) if node.marks}
    assert marked == {"CWE-79": ("model 1",), "CWE-89": ("CNA",)}


def _all(node: TreeNode) -> list[TreeNode]:
    return [node, *(each for below in node.below for each in _all(below))]


@pytest.mark.parametrize(
    ("assigned", "words"),
    [
        ("CWE-79", "same as the model"),
        ("CWE-74", "broader than the model's"),
        ("CWE-80", "narrower than the model's"),
        ("CWE-416", "differs from the model"),
        ("CWE-264", ""),
    ],
)
def test_how_a_party_stands_to_the_model(assigned: str, words: str) -> None:
    assert relation_words(load_catalogue(), assigned, "CWE-79") == words


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=90))
def test_bars_stay_in_the_frame(counts: list[tuple[int, int, int]]) -> None:
    bars = day_bars([DayOfWork(f"2099-01-{n:02}", 0, a, c, r, 0, 0) for n, (a, c, r) in enumerate(counts)])
    for _, x, y, width, height in bars.pieces:
        assert CHART.left <= x <= x + width <= CHART.right + 0.02
        assert CHART.top - 0.02 <= y
        assert y + height <= CHART.bottom + 0.02
    assert 1 <= len(bars.x_ticks) <= 6


@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(0, 1)), min_size=1, max_size=30))
def test_drift_panels_hold_intervals_and_thresholds(values: list[tuple[float, float]]) -> None:
    periods = tuple(
        PeriodDrift(
            f"2099-{number:02}", 60, 0, (Measure("override", value, Interval(value - by, value + by), 0.15, value > by),)
        )
        for number, (value, by) in enumerate(values)
    )
    (panel,) = drift_panels(DriftReport("2098-12", 60, (*periods, PeriodDrift("2099-99", 3, 0, ()))))
    assert len(panel.marks) == len(values)
    assert len(panel.thresholds) == 2
    edges = [edge for mark in panel.marks for edge in (mark.low, mark.high, mark.y)] + list(panel.thresholds)
    assert all(14 <= edge <= 94 for edge in edges)
    assert all(56 <= mark.x <= 472 for mark in panel.marks)


@given(st.floats(0, 1e9))
def test_steps_are_round_and_reach(largest: float) -> None:
    step = nice_step(largest)
    assert step * 4 >= largest
    assert str(step).strip("0") in ("1", "2", "5")


def test_a_bin_that_breaks_its_word_is_marked() -> None:
    good = CalibrationBin(0.9, 1, 100, 0.95, 95, wilson_interval(95, 100))
    bad = CalibrationBin(0.8, 0.9, 100, 0.85, 40, wilson_interval(40, 100))
    assert [each.kind for each in calibration_marks([bad, good])] == ["alarm", "calm"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": "ctiforge-benchmark/1", "model": 3}', '{"format": "other/9"}'])
def test_what_is_no_record_is_left_out(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    assert read_records(tmp_path) == []
