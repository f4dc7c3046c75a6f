from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.ask.passages import MAX_CHARACTERS, PassageMaker, cut_text, split_sentences, visible_text


def test_sentences_end_where_readers_think_they_do() -> None:
    text = 'Locks help, e.g. Yale locks. The cook (A. Baker) said "Yes." Then version 2.0 of spoon.exe ran! Did it?'
    assert split_sentences(text) == [
        "Locks help, e.g. Yale locks.",
        'The cook (A. Baker) said "Yes."',
        "Then version 2.0 of spoon.exe ran!",
        "Did it?",
    ]


def test_short_paragraphs_share_a_passage_and_long_ones_are_cut_between_sentences() -> None:
    assert cut_text("One.\nTwo.\n\nThree.", 11) == ["One.\nTwo.", "Three."]
    assert cut_text("One is here. Two is there. Three.", 26) == ["One is here. Two is there.", "Three."]
    assert cut_text("a bb ccc dddd", 6) == ["a bb", "ccc", "dddd"]
    assert cut_text("abcdefgh", 3) == ["abc", "def", "gh"]
    assert cut_text(" \n ") == []


@given(st.text(alphabet=st.sampled_from("ab C.!?\n\"'(é0 "), max_size=300), st.integers(1, 40))
def test_nothing_is_lost_and_no_piece_is_too_long(text: str, limit: int) -> None:
    pieces = cut_text(text, limit)
    assert all(0 < len(piece) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_every_passage_says_what_it_is_about() -> None:
    maker = PassageMaker("T9000", "Boil Frobs")
    long = " ".join(["Adversaries may boil the frobs of the kitchen at night."] * 40)
    first, *_, last = maker.make("description", "", long)
    assert first.id == "T9000#description.0"
    assert first.heading == "T9000 Boil Frobs"
    assert first.indexed == f"T9000 Boil Frobs\n{first.text}"
    assert len(first.text) <= MAX_CHARACTERS
    (cure,) = maker.make("mitigation", "Mitigation M9000 Lock", "Lock it.", ["M9000", "T9000", "M9000"])
    assert (cure.id, cure.heading) == ("T9000#mitigation.0", "T9000 Boil Frobs: Mitigation M9000 Lock")
    assert cure.object_ids == ("T9000", "M9000")
    (more,) = maker.make("description", "More", "Yes.")
    assert int(more.id.rpartition(".")[2]) == int(last.id.rpartition(".")[2]) + 1


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\x1b[2Jb", "a[2Jb"),
        ("user\u202etxt.exe", "usertxt.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("tab\tand\nline é", "tab\tand\nline é"),
    ],
)
def test_what_could_steer_a_terminal_is_taken_out(text: str, seen: str) -> None:
    assert visible_text(text) == seen
    assert next(PassageMaker("X", text).make("section", text, text)).text.split() == seen.split() or "\n" in seen
