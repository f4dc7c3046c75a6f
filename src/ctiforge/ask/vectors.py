"""Embeddings as int8 with a scale for each: a quarter of the space, cosines right to about 0.001."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["DIGEST_BYTES", "VectorTable", "quantize_vectors", "text_digests"]

Floats = npt.NDArray[np.float32]

DIGEST_BYTES: Final = 16
_BLOCK: Final = 8192


@dataclass(frozen=True, slots=True)
class VectorTable:
    """Quantized unit vectors: `values` int8 (n, d), `scales` float32 (n,): a vector is its values times its scale."""

    values: npt.NDArray[np.int8]
    scales: Floats

    def cosines(self, vector: Floats) -> Floats:
        """Return the cosine of every row with a unit vector of shape (d,): float32, shape (n,)."""
        found = np.empty(len(self.values), dtype=np.float32)
        for start in range(0, len(found), _BLOCK):  # in blocks, so that no float copy of the whole table is made
            rows = slice(start, start + _BLOCK)
            found[rows] = self.values[rows].astype(np.float32) @ vector
        return found * self.scales

    def cosines_of(self, vectors: Floats, rows: npt.NDArray[np.intp]) -> Floats:
        """Return the cosines of some rows with unit vectors of shape (m, d): float32, shape (m, rows)."""
        found = np.empty((len(vectors), len(rows)), dtype=np.float32)
        for start in range(0, len(rows), _BLOCK):
            chosen = rows[start : start + _BLOCK]
            found[:, start : start + _BLOCK] = vectors @ self.values[chosen].astype(np.float32).T * self.scales[chosen]
        return found


def quantize_vectors(vectors: Floats) -> VectorTable:
    """Return unit vectors, shape (n, d), as a table; each is divided by its own largest component."""
    peaks = np.abs(vectors).max(axis=1, initial=0.0)
    scales = np.where(peaks > 0, peaks / 127.0, 1.0).astype(np.float32)
    values = np.rint(vectors / scales[:, None]).astype(np.int8)
    return VectorTable(values, scales)


def text_digests(texts: Sequence[str]) -> npt.NDArray[np.void]:
    """Return the first 16 bytes of each text's SHA-256, shape (n,): what an embedding is kept under."""
    import hashlib

    joined = b"".join(hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES] for text in texts)
    return np.frombuffer(joined, dtype=f"V{DIGEST_BYTES}")
