from __future__ import annotations

import numpy as np

from ctiforge.ask.vectors import VectorTable, quantize_vectors, text_digests


def test_cosines_survive_quantization() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(9000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = quantize_vectors(vectors)
    assert table.values.dtype == np.int8
    query = vectors[8999]
    assert np.abs(table.cosines(query) - vectors @ query).max() < 0.005
    assert int(table.cosines(query).argmax()) == 8999


def test_no_vectors_and_empty_ones() -> None:
    assert quantize_vectors(np.zeros((2, 4), dtype=np.float32)).cosines(np.ones(4, dtype=np.float32)).tolist() == [0, 0]
    empty = VectorTable(np.zeros((0, 4), dtype=np.int8), np.zeros(0, dtype=np.float32))
    assert empty.cosines(np.ones(4, dtype=np.float32)).shape == (0,)


def test_a_text_is_known_by_its_digest() -> None:
    first, second, again = text_digests(["a", "b", "a"])
    assert first.tobytes() == again.tobytes() != second.tobytes()
    assert len(first.tobytes()) == 16
