"""The batches of an epoch: random, and of like length, so that little is computed on padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["bucketed_batches"]

Integers = npt.NDArray[np.int64]

_POOL = 64
"""Batches are cut from shuffled pools of this many batches, sorted by length within: like lengths, and still random."""


def bucketed_batches(lengths: Integers, batch_size: int, seed: Sequence[int]) -> list[Integers]:
    """Return the batches of one epoch: every text once, in a random order that the seed decides, like lengths together."""
    rng = np.random.default_rng(list(seed))
    order = rng.permutation(len(lengths))
    batches: list[Integers] = []
    size = batch_size * _POOL
    for start in range(0, len(order), size):
        pool = order[start : start + size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]
