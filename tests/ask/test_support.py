"""Whether a cited text supports a sentence, and how much a passage has to hold."""

from __future__ import annotations

import pytest

from ctiforge.ask.extractive import answer_score
from ctiforge.ask.objects import Passage, ScoredPassage
from ctiforge.ask.support import coverage, is_supported

CITED = "X Spoons: Alarm\nThe alarm of the CVE-2099-10001 drawer rings 3 times. It does not ring at night in winter."


def even(terms: object) -> dict[str, float]:
    return dict.fromkeys(terms, 1.0)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("sentence", "supported"),
    [
        ("The alarm of the drawer rings.", True),
        ("The alarms rang in the drawer, CVE-2099-10001.", True),
        ("The alarm of the drawer rings 3 times.", True),
        ("The alarm of the drawer rings 4 times.", False),
        ("The alarm of the drawer CVE-2099-10002 rings.", False),
        ("The alarm of the drawer never rings.", False),
        ("The alarm does not ring at night in winter.", True),
        ("The alarm rings at night in winter.", False),
        ("The alarm rings at night.", False),
        ("The butler polished the silver.", False),
    ],
)
def test_words_identifiers_numbers_and_negation(sentence: str, supported: bool) -> None:
    assert is_supported(sentence, CITED, even) is supported


def test_coverage_is_a_share_of_weight() -> None:
    assert coverage({"a": 3.0, "b": 1.0}, ["a", "c"]) == 0.75
    assert coverage({}, ["a"]) == 0.0


def hit(text: str) -> ScoredPassage:
    return ScoredPassage(Passage("X#section.0", "X", "section", "X", text), 1.0, 1.0)


def test_the_score_asks_for_more_than_chance_gives() -> None:
    terms = {"spoon": 6.0, "drawer": 6.0}
    assert answer_score(terms, [hit("a spoon in the drawer")], 1000) > 0.5  # 12 held of 12, about 7 required
    assert answer_score(terms, [hit("a spoon")], 1000) < 0.5  # 6 held, about 12 required
    assert answer_score(terms, [hit("a spoon in the drawer")], 10**9) < 0.5  # of so many passages one would have both
    assert answer_score(terms, [], 1000) == 0.0
    assert answer_score({}, [hit("a spoon")], 1000) == 0.0
