"""The part of an advisory that shows the evidence, cut to a width."""

from __future__ import annotations

from dataclasses import dataclass

from ctiforge.classify.outputs.plain_text import printable
from ctiforge.classify.prediction import EvidenceSpan

__all__ = ["Snippet", "cut_snippet"]


@dataclass(frozen=True, slots=True)
class Snippet:
    """One line of text with parts to highlight.

    Attributes:
        text: the line, with ``…`` where something was cut off.
        highlights: ``(start, end)`` offsets into `text`, ascending, disjoint.
    """

    text: str
    highlights: tuple[tuple[int, int], ...]


def cut_snippet(text: str, spans: tuple[EvidenceSpan, ...], width: int) -> Snippet:
    """Return at most `width` characters of `text` around the weightiest span, all spans inside it highlighted.

    Spans that lie outside the text (a renderer must not fail on a wrong offset) are ignored.
    """
    usable = [span for span in spans if 0 <= span.start < span.end <= len(text)]
    heaviest = max(usable, key=lambda span: span.weight, default=None)
    start, end = _window(text, heaviest, width - 2)
    before, after = "…" if start > 0 else "", "…" if end < len(text) else ""
    body, places = _collapse(printable(text[start:end]))
    offset = len(before)
    highlights = sorted(
        (places[max(span.start, start) - start] + offset, places[min(span.end, end) - start] + offset)
        for span in usable
        if span.start < end and span.end > start
    )
    return Snippet(f"{before}{body}{after}", _disjoint(highlights))


def _window(text: str, heaviest: EvidenceSpan | None, width: int) -> tuple[int, int]:
    """Return the bounds of the part to show: the span in its middle, moved to word boundaries where that costs little."""
    if len(text) <= width:
        return 0, len(text)
    if heaviest is None:
        start = 0
    else:
        middle = (heaviest.start + min(heaviest.end, heaviest.start + width)) // 2
        start = max(0, min(middle - width // 2, len(text) - width))
        limit = heaviest.start
        if start and (space := text.find(" ", start, min(start + 15, limit))) >= 0:
            start = space + 1
    end = min(len(text), start + width)
    floor = max(end - 15, min(heaviest.end, end) if heaviest else start)
    if end < len(text) and (space := text.rfind(" ", floor, end)) > start:
        end = space
    return start, end


def _collapse(text: str) -> tuple[str, list[int]]:
    """Return `text` with runs of spaces as one, and for every old offset (end included) the new one."""
    kept: list[str] = []
    places: list[int] = []
    for character in text:
        places.append(len(kept))
        if character != " " or (kept and kept[-1] != " "):
            kept.append(character)
    places.append(len(kept))
    body = "".join(kept).rstrip()
    return body, [min(place, len(body)) for place in places]


def _disjoint(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)
