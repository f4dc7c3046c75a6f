"""The semantic level: cosine of embeddings, with whatever model the caller brings.

No model comes with this package; `Embed` is the place to put one in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Embed", "SemanticIndex"]

Embed: TypeAlias = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts to vectors of shape (texts, dimensions); length does not matter."""


class SemanticIndex:
    """Embedded texts."""

    def __init__(self, texts: Sequence[str], embed: Embed) -> None:
        self._embed = embed
        self._vectors = _unit(embed(texts))

    def nearest(self, text: str, threshold: float) -> list[tuple[int, float]]:
        """Return place and cosine of each indexed text at least so near."""
        cosines = self._vectors @ _unit(self._embed([text]))[0]
        return [(int(place), float(cosines[place])) for place in np.flatnonzero(cosines >= threshold)]


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = vectors / np.maximum(lengths, 1e-12)
    return unit
