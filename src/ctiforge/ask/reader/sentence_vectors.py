"""Embeddings of single sentences, made when they are first needed: a passage's own vector blurs what one of them says."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

import numpy as np
import numpy.typing as npt

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.passages import split_sentences

__all__ = ["SentenceVectors"]

Floats = npt.NDArray[np.float32]

_MOST: Final = 8
"""Sentences of one passage; lists of names have many."""


class SentenceVectors:
    """Vectors of a passage's sentences, each under the passage's heading; safe to share between threads.

    Each passage is a batch of its own, so that its vectors do not depend on what else was asked (`SentenceEncoder.encode`).
    """

    def __init__(self, base: KnowledgeBase, remembered: int = 4096) -> None:
        self._base, self._remembered = base, remembered
        self._kept: OrderedDict[int, Floats] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, row: int) -> Floats:
        """Return unit vectors, shape (sentences, dimensions), of the passage in `row`."""
        with self._lock:
            if (known := self._kept.get(row)) is not None:
                self._kept.move_to_end(row)
                return known
        passage = self._base.passage_at(row)
        sentences = [each for line in passage.text.split("\n") for each in split_sentences(line)][:_MOST]
        vectors = self._base.encode([f"{passage.heading}: {sentence}" for sentence in sentences or [""]])
        assert vectors is not None
        with self._lock:
            self._kept[row] = vectors
            if len(self._kept) > self._remembered:
                self._kept.popitem(last=False)
        return vectors
