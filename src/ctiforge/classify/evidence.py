"""Evidence: the parts of a text whose words moved the decision, as spans of the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ctiforge.classify.prediction import EvidenceSpan

__all__ = ["evidence_spans"]

_MAX_NGRAMS = 8
_MAX_SPANS = 3


def evidence_spans(
    text: str, places: list[tuple[int, int]], contributions: npt.NDArray[np.floating[Any]]
) -> tuple[EvidenceSpan, ...]:
    """Return at most three spans of `text` with the largest positive contribution to one label.

    Args:
        places: character range of each of n features.
        contributions: shape (n,): what each feature adds to the label's score.

    The eight strongest n-grams are taken; ranges that touch or overlap become one span. A weight is the span's share of
    everything that spoke for the label, so the weights of one suggestion add up to 1 at most.
    """
    positive = contributions > 0
    total = float(contributions[positive].sum())
    if total <= 0:
        return ()
    strongest = np.argsort(-contributions, kind="stable")[:_MAX_NGRAMS]
    ranges = sorted((places[i], float(contributions[i])) for i in strongest if contributions[i] > 0)
    merged: list[tuple[int, int, float]] = []
    for (start, end), value in ranges:
        if merged and start <= merged[-1][1] + 1:
            first, last, weight = merged[-1]
            merged[-1] = (first, max(last, end), weight + value)
        else:
            merged.append((start, end, value))
    best = sorted(merged, key=lambda span: -span[2])[:_MAX_SPANS]
    return tuple(EvidenceSpan(start, end, text[start:end], round(value / total, 4)) for start, end, value in best)
