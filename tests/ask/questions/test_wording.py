"""Sentences made into questions."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ctiforge.ask.questions.wording import (
    mask_names,
    mentions_any,
    reworded,
    split_sentence,
    usable_sentences,
    without_end,
)

SENTENCE = "Cooks may polish the copper ladles to make the butlers believe that nobody used them."


def test_a_sentence_is_cut_at_a_joint() -> None:
    assert split_sentence(SENTENCE, Random(1)) == (
        "Cooks may polish the copper ladles", "to", "make the butlers believe that nobody used them",
    )  # fmt: skip
    assert split_sentence("Cooks polish.", Random(1)) is None


def test_names_are_masked_longest_first() -> None:
    assert mask_names("The Copper Ladle is old. Copper rusts.", ["Copper", "Copper Ladle"], "this tool") == (
        "This tool is old. this tool rusts."
    )


def test_names_count_in_any_case_and_between_words_only() -> None:
    assert mentions_any("the copper-ladle", ["Copper Ladle"])
    assert not mentions_any("coppers", ["Copper"])


def test_sentences_that_lean_on_others_are_left_out() -> None:
    assert usable_sentences([SENTENCE, f"This {SENTENCE}", "Too short.", SENTENCE.rstrip(".")]) == [SENTENCE]


def test_options_end_without_a_stop_and_begin_with_a_capital() -> None:
    assert without_end(" the lid. ") == "The lid"


@given(st.text(), st.integers(0, 9), st.floats(0, 1))
def test_rewording_takes_any_text(text: str, seed: int, share: float) -> None:
    assert isinstance(reworded(text, Random(seed), share), str)
    assert reworded(text, Random(seed), 0) == text


def test_rewording_takes_words_of_a_thesaurus() -> None:
    assert {reworded("A ladle", Random(seed), 1.0, {"ladle": ("spoon",)}) for seed in range(20)} == {"A ladle", "A spoon"}


def test_rewording_leaves_names_and_what_turns_a_question_alone() -> None:
    text = "Which group is not known to have used the tool Data Access to obtain any sensitive data in large numbers?"
    for seed in range(20):
        changed = reworded(text, Random(seed), 1.0)
        assert "Data Access" in changed
        assert changed.startswith("Which ")
        assert " not " in changed
        assert changed != text
