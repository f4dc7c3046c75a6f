from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.corpus.near_pairs import near_pairs, shingles

SETS = st.lists(st.frozensets(st.sampled_from("abcdefghijkl"), max_size=9), max_size=14)


@given(SETS, st.sampled_from([0.05, 0.3, 0.5, 2 / 3, 0.75, 0.8, 0.9, 1.0]))
def test_every_pair_and_no_other(sets: list[frozenset[str]], threshold: float) -> None:
    expected = {}
    for i, one in enumerate(sets):
        for j in range(i + 1, len(sets)):
            if one and sets[j] and len(one & sets[j]) / len(one | sets[j]) >= threshold:
                expected[i, j] = len(one & sets[j]) / len(one | sets[j])
    found = list(near_pairs(sets, threshold))
    assert {(first, second): similarity for first, second, similarity in found} == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("One, two; one", 1, {"one", "two"}),
        ("One, two three", 2, {"one two", "two three"}),
        ("Short", 3, {"short"}),
        ("...", 2, set()),
    ],
)
def test_shingles(text: str, size: int, expected: set[str]) -> None:
    assert shingles(text, size) == expected
