from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.models.token_batches import TokenizedTexts, padded, sorted_batches

LENGTHS = st.lists(st.integers(2, 192), min_size=1, max_size=300).map(lambda found: np.array(found, dtype=np.int64))


def test_padding_is_masked() -> None:
    texts = TokenizedTexts([np.array([5, 6, 7], dtype=np.int32), np.arange(1, 10, dtype=np.int32)])
    ids, mask = padded(texts, [0, 1], pad_id=99)
    assert ids.shape == mask.shape == (2, 16)
    assert ids[0].tolist() == [5, 6, 7] + [99] * 13
    assert mask.sum(axis=1).tolist() == [3, 9]
    assert (ids.dtype, mask.dtype) == (np.int64, np.int64)


@given(LENGTHS, st.integers(1, 40))
def test_batches_for_scoring_are_sorted(lengths: np.ndarray, batch_size: int) -> None:
    order = np.concatenate(sorted_batches(lengths, batch_size))
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(lengths[order]) >= 0).all()
