from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.ask.fusion import fuse


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def rows(found: list[tuple[int, float]]) -> list[int]:
    return [row for row, _ in found]


def test_words_alone_rank_by_their_scores_and_leave_out_what_has_none() -> None:
    assert rows(fuse(array(0, 3, 1, 0, 2), None, [], None, 10)) == [1, 4, 2]


def test_what_both_rankings_like_comes_first() -> None:
    bm25, cosines = array(5, 4, 0, 0), array(0.1, 0.8, 0.9, 0.5)
    assert rows(fuse(bm25, cosines, [], None, 10)) == [1, 0, 2, 3]


def test_a_filter_holds_for_every_ranking() -> None:
    mask = np.array([False, True, True])
    found = fuse(array(9, 1, 0), array(0.9, 0.2, 0.1), [np.array([0, 2])], mask, 10)
    assert set(rows(found)) == {1, 2}


def test_an_object_that_is_named_comes_with_its_first_passage() -> None:
    bm25 = array(1, 1, 1, 0, 9)
    assert rows(fuse(bm25, None, [np.array([2, 3])], None, 10))[:2] == [2, 4]


def test_equal_scores_keep_the_order_of_the_passages() -> None:
    assert rows(fuse(array(1, 2, 1, 1), None, [], None, 10)) == [1, 0, 2, 3]


@given(st.lists(st.floats(0, 50, width=32), max_size=30), st.integers(1, 5))
def test_any_scores_give_each_row_once_best_first(scores: list[float], top_k: int) -> None:
    found = fuse(array(*scores), array(*scores), [], None, top_k)
    assert len(set(rows(found))) == len(found)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
