from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.models.ngram_index import NgramIndex
from ctiforge.models.text_features import ngrams

WORDS = st.sampled_from(["a", "b", "c", "dd", "_num"])
GRAMS = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)


@given(st.lists(GRAMS, unique=True), st.lists(st.lists(WORDS | st.just("unknown"), max_size=9), max_size=4))
def test_it_finds_what_a_look_up_of_every_ngram_finds(vocabulary: list[str], texts: list[list[str]]) -> None:
    index = {gram: i for i, gram in enumerate(vocabulary)}
    expected = [
        (number, place, index[gram])
        for number, text in enumerate(texts)
        for place, gram in enumerate(ngrams(text, 3))
        if gram in index
    ]
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    found = NgramIndex(vocabulary, 3).find(chain.from_iterable(texts), lengths)
    got = list(zip(found.texts.tolist(), found.places.tolist(), found.ids.tolist(), strict=True))
    assert sorted(got) == expected
    for one in set(expected):
        of_one = [place for text, place, gram in got if (text, gram) == (one[0], one[2])]
        assert of_one == sorted(of_one), "the first occurrence comes first"
