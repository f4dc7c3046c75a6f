"""Rows of TF-IDF vectors turned round: for each n-gram the rows that hold it, so that a text meets only what it shares.

Values are in 8 bits with one scale a row. The arrays may be memory-mapped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctiforge.models.linear import Features, Floats, Integers

__all__ = ["Postings", "build_postings", "quantize_tfidf"]

_LARGEST = 255
_MANY = 100_000
"""From so many shared values on, adding n-gram by n-gram is faster than gathering all of them first."""

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Postings:
    """R sparse rows over F n-grams with N values in all, ordered by n-gram.

    Attributes:
        bounds: int64, shape (F + 1,): the values of n-gram f are those from ``bounds[f]`` to ``bounds[f + 1]``.
        rows: integers, shape (N,): the row of each value, rising within an n-gram.
        values: uint8, shape (N,): value r of row i is ``values[r] * scale[i]``.
        scale: float32, shape (R,).
    """

    bounds: Integers
    rows: npt.NDArray[np.integer]
    values: Bytes
    scale: Floats

    def similarities(self, ids: Integers, tfidf: Floats) -> Floats:
        """Return the dot product of one text's n-grams with every row: float32, shape (R,). Exact over what is stored.

        Args:
            ids, tfidf: the text's n-grams, each once, and their values (`ctiforge.models.linear.Features`).
        """
        starts = self.bounds[ids]
        lengths = self.bounds[ids + 1] - starts
        total = int(lengths.sum())
        if total < _MANY:
            places = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(total)
            parts = self.values[places] * np.repeat(tfidf, lengths)
            sums = np.bincount(self.rows[places], weights=parts, minlength=len(self.scale))
        else:
            sums = np.zeros(len(self.scale), dtype=np.float32)
            for start, length, value in zip(starts.tolist(), lengths.tolist(), tfidf, strict=True):
                sums[self.rows[start : start + length]] += self.values[start : start + length] * value
        similar: Floats = sums.astype(np.float32) * self.scale
        return similar


def quantize_tfidf(features: Features) -> tuple[Bytes, Floats]:
    """Return the values of B texts in 8 bits, shape (N,), and the scale of each text, shape (B,); see `Postings`."""
    lengths = np.diff(features.bounds)
    largest = np.zeros(len(lengths), dtype=np.float32)
    filled = np.flatnonzero(lengths)
    if filled.size:
        largest[filled] = np.maximum.reduceat(features.values, features.bounds[:-1][filled])
    scale: Floats = largest / np.float32(_LARGEST)
    values = np.rint(features.values / np.repeat(scale, lengths)).astype(np.uint8)
    return values, scale


def build_postings(features: Features, size: int) -> Postings:
    """Turn the vectors of B texts (the rows) over `size` n-grams round.

    N-grams whose value in 8 bits is 0 are left out.
    """
    values, scale = quantize_tfidf(features)
    rows = np.repeat(np.arange(len(scale), dtype=np.int32), np.diff(features.bounds))
    kept = np.flatnonzero(values)
    order = kept[np.argsort(features.ids[kept], kind="stable")]
    bounds = np.zeros(size + 1, dtype=np.int64)
    np.cumsum(np.bincount(features.ids[order], minlength=size), out=bounds[1:])
    return Postings(bounds, rows[order], values[order], scale)
