from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.near_duplicates import JaccardIndex
from ctiforge.corpus.contamination.overlap import WordOverlapIndex
from ctiforge.corpus.contamination.phrases import PhraseIndex, masked_words, phrases_of

TEXTS = st.lists(st.text("abcdefg ", min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=12)


def weight_of(word: str) -> float:
    return 1.0 + len(word)


THRESHOLDS = st.sampled_from([0.1, 0.5, 0.7, 0.8, 1.0])


@given(TEXTS, st.text("abcdefg ", max_size=30), THRESHOLDS, THRESHOLDS)
def test_similarities_are_those_of_brute_force(texts: list[str], query: str, jaccard: float, weighted: float) -> None:
    expected = {}
    words = set(query.split())
    for place, text in enumerate(texts):
        others = set(text.split())
        shared = words & others
        plain = len(shared) / len(words | others)
        heavy = sum(map(weight_of, shared)) / sum(map(weight_of, words | others))
        if plain >= jaccard - 1e-9 or heavy >= weighted - 1e-9:
            expected[place] = (pytest.approx(plain), pytest.approx(heavy), len(shared))
    found = WordOverlapIndex(texts, weight_of).find(query, jaccard, weighted)
    assert {each.place: (each.jaccard, each.weighted, each.shared) for each in found} == expected


@given(TEXTS, st.text("abcdefg ", max_size=30), st.sampled_from([0.5, 0.7, 0.8, 1.0]))
def test_it_agrees_with_the_prefix_filter(texts: list[str], query: str, threshold: float) -> None:
    nearest = JaccardIndex(texts, threshold).nearest(query)
    best = max((each.jaccard for each in WordOverlapIndex(texts, weight_of).find(query, threshold, 1.0)), default=0.0)
    assert (nearest is not None) == (best >= threshold - 1e-12)
    if nearest:
        assert nearest.similarity == pytest.approx(best)


def test_common_words_are_supposed_and_checked() -> None:
    chance = random.Random(3)
    texts = [" ".join(["the", "of", "a", "in", *(f"w{chance.randrange(400)}" for _ in range(12))]) for _ in range(300)]
    index = WordOverlapIndex(texts, weight_of)
    for text in texts[:40]:
        query = " ".join(word for word in text.split() if chance.random() > 0.3)
        words = set(query.split())
        near = {n for n, other in enumerate(texts) if len(words & set(other.split())) / len(words | set(other.split())) >= 0.3}
        assert {each.place for each in index.find(query, 0.3, 1.0)} == near


def test_names_and_numbers_are_one_mark() -> None:
    common = {"the", "parser", "of", "fails"}
    words = masked_words("the parser of acme router 4 2 fails", common)
    assert words == ["the", "parser", "of", "*", "fails"]
    assert phrases_of(words, 4) == {"the parser of *", "parser of * fails"}
    assert phrases_of(words[:3], 4) == set()


def test_phrases_that_many_texts_have_weigh_little() -> None:
    own = [{"rare one", "rare two", "often"}, {"often", "elsewhere one", "elsewhere two"}]
    counts = {"often": 101}
    index = PhraseIndex(own, lambda phrase: counts.get(phrase, 1))
    assert index.shared({"often", "of mine", "of mine too"}, 0.01, 0.5) == []
    (found,) = index.shared({"rare one", "rare two", "of mine"}, 0.5, 2.0)
    assert found.place == 0
    assert found.share == pytest.approx(2 / 2.01)
    assert index.shared({"rare one", "of mine"}, 0.1, 2.0) == []
