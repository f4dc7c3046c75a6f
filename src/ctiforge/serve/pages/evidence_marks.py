"""The classified text cut at the borders of evidence, so that a page can mark what speaks for each suggestion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ctiforge.classify.prediction import EvidenceSpan

__all__ = ["MarkedText", "mark_evidence"]


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A piece of the text, and the places (from 0) of the suggestions that it is evidence for; none for most of it."""

    text: str
    ranks: tuple[int, ...] = ()


def mark_evidence(text: str, evidence: Sequence[Sequence[EvidenceSpan]]) -> list[MarkedText]:
    """Return the text in pieces; joined they are the text again, whatever the spans are.

    Args:
        evidence: the spans of each suggestion, best suggestion first.
    """
    spans = [(max(0, span.start), min(len(text), span.end), rank) for rank, of_one in enumerate(evidence) for span in of_one]
    edges = sorted({0, len(text), *(edge for start, end, _ in spans if start < end for edge in (start, end))})
    pieces: list[MarkedText] = []
    for start, end in pairwise(edges):
        ranks = tuple(sorted({rank for first, last, rank in spans if first <= start and end <= last}))
        if pieces and pieces[-1].ranks == ranks:
            pieces[-1] = MarkedText(pieces[-1].text + text[start:end], ranks)
        else:
            pieces.append(MarkedText(text[start:end], ranks))
    return pieces
