from __future__ import annotations

from itertools import pairwise

import Stemmer
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.models.text_features import PLACEHOLDERS, gram_place, lower_same_length, ngrams, tokenize

STEMMER = Stemmer.Stemmer("english")


def test_placeholders_stand_for_addresses_identifiers_and_numbers() -> None:
    words, spans = tokenize("See https://x.example/a?b=1 for CVE-2024-12345, version 1.2.3-rc1 of Foo_bar on http and cve")
    assert words == ["see", "_url", "for", "_cve", "version", "_num", "of", "foo_bar", "on", "http", "and", "cve"]
    assert spans[1] == (4, 27)
    assert set(PLACEHOLDERS) <= {*words}


def test_ngrams_come_shortest_first() -> None:
    assert ngrams(["use", "after", "free"], 2) == ["use", "after", "free", "use after", "after free"]
    assert ngrams(["use"], 3) == ["use"]
    assert ngrams([], 2) == []


@given(st.lists(st.sampled_from("abcdef"), max_size=9), st.integers(1, 4))
def test_the_place_of_an_ngram_is_where_its_words_are(words: list[str], max_n: int) -> None:
    for position, gram in enumerate(ngrams(words, max_n)):
        first, last = gram_place(position, len(words))
        assert gram == " ".join(words[first : last + 1])


def test_forms_of_a_word_are_one_feature() -> None:
    assert tokenize("overflows overflowed overflowing Overflow")[0] == ["overflow"] * 4


@given(st.text(max_size=200))
def test_spans_point_at_the_tokens(text: str) -> None:
    words, spans = tokenize(text)
    assert len(words) == len(spans)
    lowered = lower_same_length(text)
    assert len(lowered) == len(text)
    for word, (start, end) in zip(words, spans, strict=True):
        assert word in PLACEHOLDERS or word == STEMMER.stemWord(lowered[start:end])
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_a_letter_that_grows_when_lowered_keeps_offsets_true() -> None:
    text = "İİ overflow"
    words, spans = tokenize(text)
    assert text[slice(*spans[-1])] == "overflow"
    assert words[-1] == "overflow"
