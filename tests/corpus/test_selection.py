from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.selection import balance, draw_key, split_by_date

Make = Callable[..., CorpusRecord]


@pytest.fixture
def balanced(run_stage: Callable[..., Any]) -> Callable[..., tuple[list[CorpusRecord], Counter[str]]]:
    def run(records: list[CorpusRecord], **settings: Any) -> tuple[list[CorpusRecord], Counter[str]]:
        settings = {"limits": {"rcm": None, "qa": None}} | settings
        result = run_stage(lambda writer: balance(writer, records, 1, **settings))
        assert result.kept + sum(result.reasons.values()) == len(records)
        return list(result.records()), Counter(result.reasons)

    return run


def test_limits_by_label_generator_and_kind(balanced: Any, make_record: Make) -> None:
    records = [make_record(f"r{i}", label=f"CWE-{i % 2}") for i in range(40)]
    records += [make_record(f"q{i}", label="A", kind="qa", generator=f"qa/g{i % 4}") for i in range(40)]
    kept, reasons = balanced(records, max_per_label=12, max_per_generator=5, limits={"rcm": 23, "qa": 18})
    assert Counter(record.kind for record in kept) == {"rcm": 23, "qa": 18}
    assert max(Counter(record.label for record in kept if record.kind == "rcm").values()) <= 12
    assert max(Counter(record.generator for record in kept if record.kind == "qa").values()) <= 5
    assert set(reasons) == {"over_label_limit", "over_generator_limit", "over_limit"}


def test_support_is_asked_of_what_is_left(balanced: Any, make_record: Make) -> None:
    records = [make_record(f"r{i}", label="CWE-79") for i in range(50)] + [
        make_record(f"s{i}", label="CWE-89") for i in range(3)
    ]
    kept, _ = balanced(records, min_support=4)
    assert {record.label for record in kept} == {"CWE-79"}
    for limit in range(5, 50, 9):
        drawn, _ = balanced([*records, make_record("s9", label="CWE-89")], min_support=4, limits={"rcm": limit})
        assert min(Counter(record.label for record in drawn).values()) >= 4


def test_a_draw_looks_at_no_other_record(balanced: Any, make_record: Make) -> None:
    records = [make_record(f"r{i}") for i in range(60)]
    ten, _ = balanced(records, limits={"rcm": 10})
    twenty, _ = balanced(list(reversed(records)), limits={"rcm": 20})
    assert {record.id for record in ten} < {record.id for record in twenty}


@given(st.integers(), st.text(), st.text())
def test_draw_keys_follow_from_seed_purpose_and_id(seed: int, purpose: str, record_id: str) -> None:
    assert draw_key(seed, purpose, record_id) == draw_key(seed, purpose, record_id)
    assert draw_key(seed, purpose, record_id) != draw_key(seed + 1, purpose, record_id)


def test_the_split_is_cut_by_date_and_keeps_a_cve_together(run_stage: Any, make_record: Make) -> None:
    records = [
        make_record("old", source_id="CVE-2099-1", date="2099-05-31"),
        make_record("new", source_id="CVE-2099-2", date="2099-06-01"),
        make_record("q-of-new", source_id="CVE-2099-2", kind="qa", date="2099-01-01"),
        make_record("q-of-old", source_id="CVE-2099-1", kind="qa", date="2099-07-01"),
        make_record("q-alone", source_id="CVE-2099-3", kind="qa", date="2099-07-01"),
        make_record("object", source_id="T1001", kind="qa", date="2099-06-01"),
        make_record("new-object", source_id="T1002", kind="qa", date="2099-09-01"),
        make_record("undated", source_id="CWE-79", kind="qa", date=""),
    ]
    result = run_stage(lambda writer: split_by_date(writer, records, date(2099, 6, 1), date(2099, 9, 1)))
    developing = {record.id for record in result.records() if record.steps == ("development",)}
    assert developing == {"new", "q-of-new", "q-alone", "new-object"}
    assert {record.id for record in result.records() if record.steps == ("train",)} == {r.id for r in records} - developing
    assert [orjson.loads(line) for line in result.reject_lines()] == []
