"""Sentences: cut at their ends, and only those that tell of an object without naming it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.corpus.qa.wording import (
    closed,
    join_names,
    mentions,
    said_of_it,
    sentences,
    summary,
    telling_sentence,
    word_overlap,
)


def test_sentences_end_where_they_end() -> None:
    text = 'It uses e.g. Frob and i.e. Nob. In the U.S. Army it is known. "Yes." No\nA new line'
    assert sentences(text) == ["It uses e.g. Frob and i.e. Nob.", "In the U.S. Army it is known.", '"Yes.', "No", "A new line"]


@given(st.text(alphabet="aB. \n!?e.g", max_size=60))
def test_no_letter_is_lost(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("Uses Cross-Site Scripting (XSS)", "cross site scripting", True),
        ("Uses cross-site scripts", "Cross-Site Scripting", False),
        ("The frobs are here", "frob", True),  # a plural gives the name away as well
        ("The defrobs are here", "frob", False),
        ("anything", "", False),
    ],
)
def test_mentions_goes_by_words(text: str, name: str, found: bool) -> None:
    assert mentions(text, name) is found


def test_a_telling_sentence_stands_alone_and_names_nothing() -> None:
    text = (
        "Frobbing is what adversaries do when they have a great many spoons at hand. "
        "This is done by night and with a lamp that is turned down very low. "
        "Adversaries may move all spoons from one drawer into another without a sound."
    )
    assert telling_sentence(text, ["Frobbing"]).startswith("Adversaries may move all spoons")
    assert telling_sentence(text, ["Frobbing", "drawer"]) == ""
    assert telling_sentence("Too short.", []) == ""


def test_names_are_replaced_where_the_object_is_described() -> None:
    text = "Guild 1 is a band that has robbed kitchens since the flood, and Guild 1 is large."
    assert said_of_it(text, ["Guild 1"], "this group") == (
        "This group is a band that has robbed kitchens since the flood, and this group is large."
    )
    assert said_of_it("Short.", ["Guild 1"], "this group") == ""


def test_small_pieces() -> None:
    assert summary("One is here. Two is here. Three:", 30) == "One is here. Two is here."
    assert summary("x" * 500) == ""
    assert join_names(["a", "b", "c"]) == "a, b and c"
    assert join_names(["a"]) == "a"
    assert join_names([]) == ""
    assert word_overlap("a b c", "B C d") == 0.5
    assert closed("It ends") == "It ends."
    assert closed("It ends!") == "It ends!"
