"""What the wording of a question says."""

from __future__ import annotations

import pytest

from ctiforge.ask.reader.cues import is_catch_all, read_cues


@pytest.mark.parametrize(
    "question",
    [
        "Which of these is NOT a spoon?",
        "All of these hold jam EXCEPT:",
        "Which drawer is not locked at night?",
        "Which of the following would not be polished?",
        "A cook cleans all of these, except:",
        "Spoons are polished. Which statement is incorrect?",
    ],
)
def test_turned_questions_are_seen(question: str) -> None:
    assert read_cues(question).negated


@pytest.mark.parametrize(
    "question",
    [
        "Which spoon is polished?",
        "The drawer is not locked. What should the butler do?",
        "How is notation of spoons kept?",
        "Which spoon is taken when the drawer is not locked?",
        "Which cooks ring a bell that does not work?",
    ],
)
def test_a_negation_that_does_not_ask_is_none(question: str) -> None:
    assert not read_cues(question).negated


def test_words_ask_for_relations_from_either_end() -> None:
    cues = read_cues("How can T9001 be mitigated?")
    assert cues.asks_for("mitigated-by")
    assert cues.asks_for("mitigates")
    assert not cues.asks_for("in-tactic")


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("All of the above", 1),
        ("all the above.", 1),
        ("None of the above", -1),
        ("None of these", -1),
        ("All spoons", 0),
        ("None", 0),
    ],
)
def test_catch_alls(option: str, kind: int) -> None:
    assert is_catch_all(option) == kind
