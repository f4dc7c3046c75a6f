"""Evidence: the parts of a text whose words moved the decision, as spans of the input."""

from __future__ import annotations

from ctiforge.classify.prediction import EvidenceSpan
from ctiforge.models.cwe_model import Contributions

__all__ = ["STRONGEST_PARTS", "evidence_spans"]

STRONGEST_PARTS = 6
"""Parts of a text that become evidence."""
_MAX_SPANS = 3


def evidence_spans(text: str, contributions: Contributions) -> tuple[EvidenceSpan, ...]:
    """Return at most three spans of `text` with the largest contribution to one label.

    Parts that touch or overlap become one span. A weight is the span's share of everything that spoke for the label, so the
    weights of one suggestion add up to 1 at most.
    """
    merged: list[tuple[int, int, float]] = []
    for start, end, value in sorted(contributions.strongest):
        if merged and start <= merged[-1][1] + 1:
            first, last, weight = merged[-1]
            merged[-1] = (first, max(last, end), weight + value)
        else:
            merged.append((start, end, value))
    best = sorted(merged, key=lambda span: -span[2])[:_MAX_SPANS]
    return tuple(EvidenceSpan(start, end, text[start:end], round(value / contributions.total, 4)) for start, end, value in best)
