from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.near_duplicates import JaccardIndex, NearDuplicate

TEXTS = st.lists(st.sampled_from("abcdefghij"), max_size=12).map(" ".join)


def jaccard(a: str, b: str) -> float:
    one, other = set(a.split()), set(b.split())
    return len(one & other) / len(one | other) if one | other else 0.0


@given(st.lists(TEXTS, max_size=12), TEXTS, st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0]))
def test_the_nearest_is_what_comparing_with_every_text_finds(texts: list[str], text: str, threshold: float) -> None:
    similarities = [jaccard(each, text) for each in texts]
    best = max(similarities, default=0.0)
    wanted = NearDuplicate(similarities.index(best), best) if best >= threshold else None
    assert JaccardIndex(texts, threshold).nearest(text) == wanted


def test_a_threshold_that_floats_do_not_hit_is_reached() -> None:
    # 0.8 * 5 is 4.000000000000001 in some orders of arithmetic; four of five words are 0.8.
    assert JaccardIndex(["a b c d e"], 0.8).nearest("a b c d") == NearDuplicate(0, 0.8)
    assert JaccardIndex(["a b c d"], 0.8).nearest("e a b c d") == NearDuplicate(0, 0.8)


def test_the_empty_text_is_like_nothing() -> None:
    assert JaccardIndex(["", "a"], 0.5).nearest("") is None


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.01])
def test_a_threshold_out_of_range(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        JaccardIndex([], threshold)
