"""Evidence: the parts of a text whose words moved the decision, as spans of the input."""

from __future__ import annotations

import numpy as np

from ctiforge.classify.prediction import EvidenceSpan
from ctiforge.models.linear import Features, Floats

__all__ = ["evidence_spans"]

_MAX_NGRAMS = 6
_MAX_SPANS = 3


def evidence_spans(text: str, number: int, features: Features, contributions: Floats) -> tuple[EvidenceSpan, ...]:
    """Return at most three spans of `text` with the largest positive contribution to one label.

    Args:
        number: which text of the batch `features` it is.
        contributions: shape (n,): what each of the text's n known n-grams adds to the label's score.

    The six strongest n-grams are taken; ranges that touch or overlap become one span. A weight is the span's share of
    everything that spoke for the label, so the weights of one suggestion add up to 1 at most.
    """
    total = float(np.maximum(contributions, 0).sum())
    strongest = (-contributions).argsort(kind="stable")[:_MAX_NGRAMS]
    places = features.places[features.of(number)][strongest].tolist()
    values = contributions[strongest].tolist()
    ranges = sorted((features.span(number, place), value) for place, value in zip(places, values, strict=True) if value > 0)
    merged: list[tuple[int, int, float]] = []
    for (start, end), value in ranges:
        if merged and start <= merged[-1][1] + 1:
            first, last, weight = merged[-1]
            merged[-1] = (first, max(last, end), weight + value)
        else:
            merged.append((start, end, value))
    best = sorted(merged, key=lambda span: -span[2])[:_MAX_SPANS]
    return tuple(EvidenceSpan(start, end, text[start:end], round(value / total, 4)) for start, end, value in best)
