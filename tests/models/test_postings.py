from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.models import postings as module
from ctiforge.models.linear import Features
from ctiforge.models.postings import build_postings, quantize_tfidf

SIZE = 12


def features(rows: list[dict[int, float]]) -> Features:
    """Vectors of Euclidean length 1 with the given directions."""
    ids, values = [], []
    for row in rows:
        norm = np.sqrt(sum(value**2 for value in row.values()))
        ids += sorted(row)
        values += [row[each] / norm for each in sorted(row)]
    bounds = np.cumsum([0, *map(len, rows)])
    nothing = np.zeros(0, dtype=np.int64)
    return Features(bounds, np.array(ids, np.int64), np.array(values, np.float32), nothing, nothing, nothing, [])


def dense(given: Features) -> np.ndarray:
    matrix = np.zeros((len(given.bounds) - 1, SIZE))
    for row in range(len(matrix)):
        matrix[row, given.ids[given.of(row)]] = given.values[given.of(row)]
    return matrix


vectors = st.dictionaries(st.integers(0, SIZE - 1), st.floats(0.05, 1), max_size=6)


@pytest.mark.parametrize("many", [1, 100_000], ids=["n-gram by n-gram", "all at once"])
@given(rows=st.lists(vectors, min_size=1, max_size=8), query=vectors)
def test_similarity_is_the_dot_product_with_every_row(many: int, rows: list[dict[int, float]], query: dict[int, float]) -> None:
    given, asked = features(rows), features([query])
    before, module._MANY = module._MANY, many
    try:
        found = build_postings(given, SIZE).similarities(asked.ids, asked.values)
    finally:
        module._MANY = before
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, dense(given) @ dense(asked)[0], atol=0.006)


@given(st.lists(vectors, min_size=1, max_size=8))
def test_eight_bits_lose_half_a_step_at_most(rows: list[dict[int, float]]) -> None:
    given = features(rows)
    values, scale = quantize_tfidf(given)
    for row in range(len(rows)):
        own = given.of(row)
        assert np.all(np.abs(values[own] * scale[row] - given.values[own]) <= scale[row] / 2 + 1e-7)
    assert np.all(scale[[not row for row in rows]] == 0)


def test_rows_rise_within_an_ngram_and_zeros_are_left_out() -> None:
    made = build_postings(features([{0: 1.0, 1: 0.0001}, {0: 1.0, 3: 1.0}]), SIZE)
    assert made.bounds.tolist() == [0, 2, 2, 2, 3, *[3] * 8]
    assert made.rows.tolist() == [0, 1, 1]
