"""Evidence: the parts of a text whose words moved the decision, as spans of the input."""

from __future__ import annotations

from operator import itemgetter

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
    merged: list[tuple[float, int, int]] = []
    first, last, weight = 0, -2, 0.0
    for start, end, value in sorted(contributions.strongest):
        if start <= last + 1:
            last = max(last, end)
            weight += value
            continue
        if weight:
            merged.append((weight, first, last))
        first, last, weight = start, end, value
    if weight:
        merged.append((weight, first, last))
    merged.sort(key=itemgetter(0), reverse=True)
    total = contributions.total
    return tuple(
        EvidenceSpan(start, end, text[start:end], round(value / total, 4)) for value, start, end in merged[:_MAX_SPANS]
    )
