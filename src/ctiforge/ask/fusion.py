"""One ranking from several: reciprocal rank fusion of words, meaning, and identifiers that the query names.

G. Cormack, C. Clarke, S. Buettcher: Reciprocal rank fusion outperforms Condorcet and individual rank learning methods,
SIGIR 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["fuse"]

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

RANK_OFFSET: Final = 20
"""How little the first ranks stand out; 60 in the paper, whose rankings are longer."""
WEIGHTS: Final = {"words": 1.0, "meaning": 1.0, "named": 0.5, "first of named": 2.0, "named alone": 5.0}
"""The last for the first passage of what is named where a query is nothing but identifiers: words then tell only how short a
passage is."""
_DEPTH: Final = 100
_DEEPER: Final = 400
_OF_NAMED: Final = 3
"""Passages of an object that the query names by its identifier, those that fit the words best, beside its first."""
_FEW_NAMED: Final = 2
"""Of more objects than these (options to choose from) each has its first passage only."""


def fuse(
    bm25: Floats,
    cosines: Floats | None,
    named: Sequence[Rows],
    mask: npt.NDArray[np.bool_] | None,
    top_k: int,
    *,
    deep: bool = False,
    named_alone: bool = False,
) -> list[tuple[int, float]]:
    """Return rows of passages with their fused scores, best first; equal scores in the order of the passages.

    Args:
        bm25, cosines: of every passage, shape (n,).
        named: rows of each object that the query names, its description first.
        mask: which passages may be found, shape (n,).
        named_alone: the query has no words beside the names.
        deep: look further down the rankings, because the caller will leave some out.
    """
    depth = max(_DEEPER if deep else _DEPTH, 2 * top_k)
    rankings = [(WEIGHTS["words"], _best(np.where(bm25 > 0, bm25, -np.inf), mask, depth))]
    if cosines is not None:
        rankings.append((WEIGHTS["meaning"], _best(cosines, mask, depth)))
    weight = WEIGHTS["named alone" if named_alone else "first of named"]
    for rows in named:
        allowed = rows if mask is None else rows[mask[rows]]
        # What an object is counts beside how its passages fit: whoever names it by its identifier has not said it in words.
        rankings.append((weight, allowed[:1]))
        if len(named) <= _FEW_NAMED:
            rankings.append((WEIGHTS["named"], allowed[np.argsort(-bm25[allowed], kind="stable")[:_OF_NAMED]]))
    scores: dict[int, float] = {}
    for weight, ranked in rankings:
        for rank, row in enumerate(ranked.tolist(), start=1):
            scores[row] = scores.get(row, 0.0) + weight / (RANK_OFFSET + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _best(scores: Floats, mask: npt.NDArray[np.bool_] | None, depth: int) -> Rows:
    """Return the rows of the `depth` highest finite scores, highest first."""
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    count = min(depth, len(scores))
    if not count:
        return np.empty(0, dtype=np.intp)
    rows = np.argpartition(-scores, count - 1)[:count]
    rows = rows[np.isfinite(scores[rows])]
    return rows[np.lexsort((rows, -scores[rows]))]
