"""BM25 over the passages (package bm25s): built in memory, kept as arrays, scored with numpy alone."""

from __future__ import annotations

import importlib
import json
import logging
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import MissingExtraError

__all__ = ["LexicalIndex", "build_lexical"]

Floats = npt.NDArray[np.float32]

_K1: Final = 1.2
_B: Final = 0.6
_FILES: Final = ("data", "indices", "indptr")
_VOCABULARY: Final = "vocabulary.json"
_MAX_REPEAT: Final = 3
"""A word that a query repeats counts so often at most: long queries are not about what they repeat."""


def build_lexical(terms: Sequence[Sequence[str]], folder: Path) -> None:
    """Index passages and write the index to `folder`: ``data.npy`` (float32, scores), ``indices.npy`` and ``indptr.npy``
    (int32, passages of each term), ``vocabulary.json``.

    Args:
        terms: of each passage, see `ctiforge.ask.terms.search_terms`.

    Raises:
        MissingExtraError: the package bm25s is not installed.
    """
    try:
        bm25s: Any = importlib.import_module("bm25s")
    except ImportError:
        raise MissingExtraError("bm25s", "ask") from None
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # its import sets DEBUG, which is nothing for users
    vocabulary: dict[str, int] = {}
    rows = [[vocabulary.setdefault(term, len(vocabulary)) for term in passage] for passage in terms]
    vocabulary = vocabulary or {"": 0}
    index = bm25s.BM25(k1=_K1, b=_B, method="lucene")
    index.index((rows, vocabulary), create_empty_token=False, show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        kind = np.float32 if name == "data" else np.int32
        np.save(folder / f"{name}.npy", np.asarray(index.scores[name], dtype=kind), allow_pickle=False)
    (folder / _VOCABULARY).write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")


class LexicalIndex:
    """An index as `build_lexical` wrote it; the arrays stay on disk and are mapped into memory.

    Args:
        passages: how many there are.
    """

    def __init__(self, folder: Path, passages: int) -> None:
        self._data, self._indices, self._indptr = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _FILES
        )
        self._vocabulary: dict[str, int] = json.loads((folder / _VOCABULARY).read_text("utf-8"))
        self._passages = passages

    def scores(self, terms: Sequence[str]) -> Floats:
        """Return the BM25 score of every passage, float32, shape (passages,); 0 where no term is in it."""
        scores = np.zeros(self._passages, dtype=np.float32)
        for term, count in Counter(terms).items():
            row = self._vocabulary.get(term)
            if row is not None:
                start, end = self._indptr[row], self._indptr[row + 1]
                scores[self._indices[start:end]] += self._data[start:end] * np.float32(min(count, _MAX_REPEAT))
        return scores

    def weight(self, term: str) -> float:
        """Return the term's inverse document frequency, as BM25 has it; of an unknown term that of one which is in no
        passage."""
        row = self._vocabulary.get(term)
        found = 0 if row is None else int(self._indptr[row + 1] - self._indptr[row])
        return math.log(1.0 + (self._passages - found + 0.5) / (found + 0.5))

    def knows(self, terms: Sequence[str]) -> bool:
        """Say whether any of the terms is in any passage."""
        return any(term in self._vocabulary for term in terms)

    def rarity(self, term: str) -> float:
        """Return the inverse document frequency of a term, at least 0."""
        row = self._vocabulary.get(term)
        found = 0 if row is None else int(self._indptr[row + 1] - self._indptr[row])
        return math.log(1 + (self._passages - found + 0.5) / (found + 0.5))
