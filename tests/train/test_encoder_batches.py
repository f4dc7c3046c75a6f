from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.train.encoder_batches import bucketed_batches

LENGTHS = st.lists(st.integers(2, 192), min_size=1, max_size=300).map(lambda found: np.array(found, dtype=np.int64))


@given(LENGTHS, st.integers(1, 40), st.integers(0, 5))
def test_an_epoch_sees_every_text_once(lengths: np.ndarray, batch_size: int, epoch: int) -> None:
    batches = bucketed_batches(lengths, batch_size, (7, epoch))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    assert len(batches) == -(-len(lengths) // batch_size)


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    lengths = np.random.default_rng(0).integers(5, 192, 500)
    first, again, other = (bucketed_batches(lengths, 16, seed) for seed in ((1, 0), (1, 0), (1, 1)))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in other]


def test_little_is_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 192, 4000)
    cells = sum(lengths[batch].max() * len(batch) for batch in bucketed_batches(lengths, 32, (1, 0)))
    assert cells < 1.1 * lengths.sum()
    one_by_one = np.array_split(np.random.default_rng(1).permutation(4000), 125)
    assert sum(lengths[batch].max() * len(batch) for batch in one_by_one) > 1.7 * lengths.sum()
