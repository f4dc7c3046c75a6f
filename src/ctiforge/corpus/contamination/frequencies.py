"""How common words and phrases are in the texts at hand, in memory that does not grow with them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["DocumentFrequencies"]

_BUCKETS = 1 << 22


class DocumentFrequencies:
    """Counts the texts that hold a word or a phrase; two that share a bucket of 2^22 share a count, so none is too low.

    Texts are counted once each, however often they come, so that a leak which was copied many times stays rare.
    """

    def __init__(self) -> None:
        self.texts = 0
        self._counts: npt.NDArray[np.int32] = np.zeros(_BUCKETS, np.int32)
        self._seen: set[int] = set()

    def add(self, key: str, terms: Iterable[str]) -> None:
        """Count the different `terms` of one text; `key` tells it from other texts."""
        digest = hash(key)
        if digest in self._seen:
            return
        self._seen.add(digest)
        self.texts += 1
        places = {zlib.crc32(term.encode()) & (_BUCKETS - 1) for term in terms}
        self._counts[list(places)] += 1

    def count(self, term: str) -> int:
        """Return how many texts have `term`, rather too many than too few."""
        return int(self._counts[zlib.crc32(term.encode()) & (_BUCKETS - 1)])
