from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from ctiforge.corpus.deduplicate import deduplicate, resolve
from ctiforge.corpus.recipe import Deduplication
from ctiforge.corpus.record import CorpusRecord

Make = Callable[..., CorpusRecord]
LONG = "A long sentence about the parser of Frobnicator that has some twenty different words in it so that one counts little"


@pytest.fixture
def unique(run_stage: Callable[..., Any]) -> Callable[..., tuple[list[str], dict[str, str], list[dict[str, Any]]]]:
    """Return the IDs that stay, the reasons of the others, and the conflicts."""

    def run(*records: CorpusRecord, **settings: Any) -> tuple[list[str], dict[str, str], list[dict[str, Any]]]:
        result = run_stage(lambda writer: deduplicate(writer, records, Deduplication(**settings)))
        gone = {row["id"]: row["reason"] for row in map(orjson.loads, result.reject_lines())}
        return [record.id for record in result.records()], gone, result.facts["conflicts"]

    return run


def test_the_oldest_of_equal_texts_stays(unique: Any, make_record: Make) -> None:
    kept, gone, conflicts = unique(
        make_record("b", "A text."), make_record("a", "a  TEXT", date="2098-01-01"), make_record("c", "Other.")
    )
    assert (kept, gone, conflicts) == (["a", "c"], {"b": "duplicate"}, [])


@pytest.mark.parametrize(("rule", "kept"), [("majority", ["b"]), ("newest", ["c"]), ("drop", [])])
def test_a_conflict_is_resolved_by_the_rule_and_listed(rule: str, kept: list[str], unique: Any, make_record: Make) -> None:
    records = [
        make_record("a", "Same text.", "CWE-79", date="2099-01-01"),
        make_record("b", "Same text.", "CWE-79", date="2099-01-02"),
        make_record("c", "Same text.", "CWE-89", date="2099-01-03"),
    ]
    stays, gone, conflicts = unique(*records, conflicts=rule)
    assert stays == kept
    assert sorted([*stays, *gone]) == ["a", "b", "c"]
    assert "label_conflict" in gone.values()
    (conflict,) = conflicts
    assert (conflict["labels"], conflict["rule"], conflict["kept"]) == (
        {"a": "CWE-79", "b": "CWE-79", "c": "CWE-89"},
        rule,
        kept,
    )


def test_of_labels_that_tie_the_newest_records_counts(make_record: Make) -> None:
    group = [make_record("a", label="CWE-1", date="2099-05-05"), make_record("b", label="CWE-2", date="2099-06-06")]
    chosen = resolve(group, "majority")
    assert chosen
    assert chosen.id == "b"


def test_near_duplicates_with_one_label_leave(unique: Any, make_record: Make) -> None:
    records = [make_record("a", LONG), make_record("b", LONG + " indeed", date="2099-02-02")]
    assert unique(*records, near_duplicate=0.9)[:2] == (["a"], {"b": "near_duplicate_in_corpus"})
    assert unique(*records, near_duplicate=None)[0] == ["a", "b"]


def test_near_duplicates_with_two_labels_stay_and_are_listed(unique: Any, make_record: Make) -> None:
    records = [make_record("a", LONG), make_record("b", LONG + " indeed", "CWE-89", date="2099-02-02")]
    kept, gone, conflicts = unique(*records)
    assert (kept, gone) == (["a", "b"], {})
    assert [conflict["kept"] for conflict in conflicts] == [["a", "b"]]
    assert unique(*records, near_conflicts="remove")[:2] == (["a"], {"b": "near_duplicate_in_corpus"})


def test_nothing_near_to_what_left_leaves(unique: Any, make_record: Make) -> None:
    words = LONG.split()
    chain = [" ".join(words[i : i + 15]) for i in range(3)]
    records = [
        make_record(name, text, date=f"2099-01-0{i + 1}") for i, (name, text) in enumerate(zip("abc", chain, strict=True))
    ]
    kept, gone, _ = unique(*records, near_duplicate=0.85)
    assert (kept, set(gone)) == (["a", "c"], {"b"})  # c is near to b only, and b is not there any more


def test_questions_with_other_answers_are_other_questions(unique: Any, make_record: Make) -> None:
    records = [
        make_record("q1", "Which one?", "", kind="qa", completion="This."),
        make_record("q2", "Which one?", "", kind="qa", completion="That."),
        make_record("q3", "which ONE", "", kind="qa", completion="this"),
        make_record("r1", "Which one?", "CWE-79"),
    ]
    assert unique(*records)[:2] == (["q1", "q2", "r1"], {"q3": "duplicate"})
