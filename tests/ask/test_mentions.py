"""Which objects a question names, and which one is meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.ask import KnowledgeBase, Scope
from ctiforge.ask.answers import NO_SCOPE
from ctiforge.ask.mentions import MARK, NameFinder
from ctiforge.ask.subjects import choose_subject


@pytest.fixture(scope="module")
def names(base: KnowledgeBase) -> NameFinder:
    return NameFinder(base)


@pytest.mark.parametrize(
    ("question", "ids"),
    [
        ("what is t9001/002?", ["T9001.002"]),
        ("cwe 904 and CWE_0905", ["CWE-904", "CWE-905"]),
        ("what is T9091", ["T9003"]),
        ("who uses tune frobs 4", ["T9004"]),
        ("who uses Small Toast Frobs 13?", ["T9001.002"]),
        ("toast frobs 1: small toast frobs 13", ["T9001.002"]),
        ("is brass-spoon 3 behind it", ["G9003"]),
        ("jar4 or lidlessness 5", ["CWE-904", "CWE-905"]),
        ("Improper Tune of Jars ('Jar4')", ["CWE-904"]),
        ("the great suppers of old", ["C9000"]),
        ("nothing of the kind", []),
        ("T9999", []),
    ],
)
def test_identifiers_names_aliases_and_brackets(names: NameFinder, question: str, ids: list[str]) -> None:
    assert [each for mention in names.read(question).mentions for each in mention.ids] == ids


def test_the_rest_is_what_no_mention_covers(names: NameFinder) -> None:
    read = names.read("does Guild 1 use T9001, or T8888?")
    assert read.rest == f"does {MARK} use {MARK}, or {MARK}?"
    assert [(mention.text, mention.by_id) for mention in read.mentions] == [
        ("Guild 1", False),
        ("T9001", True),
        ("T8888", True),
    ]


@given(st.text(max_size=120))
def test_any_text_can_be_read(names: NameFinder, question: str) -> None:
    read = names.read(question)
    rebuilt = read.rest
    assert rebuilt.count(MARK) >= len(read.mentions)


def test_a_word_beside_a_name_says_its_kind(base: KnowledgeBase, names: NameFinder) -> None:
    mention = names.read("the group Guild 1 again").mentions[0]
    assert mention.kinds == ("group",)
    assert choose_subject(base, mention, (), NO_SCOPE, "").chosen == base["G9001"]


def test_what_is_asked_for_decides_between_objects_of_one_name(base: KnowledgeBase) -> None:
    from ctiforge.ask.mentions import Mention

    both = Mention("frob", ("T9004", "CWE-904"))
    assert choose_subject(base, both, ("weakness",), NO_SCOPE, "").chosen == base["CWE-904"]
    assert choose_subject(base, both, ("technique", "weakness"), NO_SCOPE, "").chosen == base["T9004"]
    assert choose_subject(base, both, ("technique", "weakness"), Scope(kinds=("weakness",)), "").chosen == base["CWE-904"]
    alike = choose_subject(base, Mention("frob", ("T9004", "T9005")), ("technique",), NO_SCOPE, "")
    assert alike.chosen is None
    assert [each.id for each in alike.others] == ["T9004", "T9005"]
