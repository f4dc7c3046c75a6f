from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.shared_phrases import PHRASE_WORDS, PhraseIndex

WORDS = "one two three four five six seven eight nine ten eleven twelve"


def test_the_share_is_of_the_text_asked_about() -> None:
    index = PhraseIndex([WORDS, "something else entirely that has nothing in common with the other text"])
    assert index.largest_share(WORDS) == 1.0
    assert index.largest_share("one two three four five six seven eight of quite another kind") == 1 / 5
    assert index.largest_share(WORDS.replace("six", "6")) == 0.0


def test_phrases_of_two_texts_do_not_add_up() -> None:
    first, second = "a b c d e f g h", "i j k l m n o p"
    assert PhraseIndex([first, second]).largest_share(f"{first} {second}") == 1 / 9


@given(st.lists(st.sampled_from("ab"), max_size=PHRASE_WORDS - 1))
def test_a_short_text_shares_nothing(words: list[str]) -> None:
    text = " ".join(words)
    assert PhraseIndex([text]).largest_share(text) == 0.0
