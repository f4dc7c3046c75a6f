"""Answers that are words: the name of a threat actor, or the text of a user's own task."""

from __future__ import annotations

import re

from ctiforge.bench.extraction.plain import collapse, last_lines, plain_text, without_thinking
from ctiforge.bench.task import Sample

__all__ = ["actor_after_tag", "last_line_actor", "last_line_text", "text_after_tag", "whole_text"]

_EDGES = " \t\n*_`\"'\u2018\u2019\u201c\u201d.,;:!#>|-="
_MAX_LABELS = 3
_LABEL = re.compile(
    r"(?:the\s)?(?:most\s)?(?:likely\s|probable\s|suspected\s|final\s|correct\s)?"
    r"(?:answer|attribution|(?:threat\s|apt\s)?(?:actor|group)(?:\sname)?)\s?(?:is|=|:|-)\s?"
    r"(?:likely\s|probably\s|most likely\s)?",
    re.IGNORECASE,
)
_TAG = re.compile(r"<answer>([^<]{0,1000})</answer>|\banswer\b ?(?::|=|is\b) {0,4}(\S[^\n]{0,1000})", re.IGNORECASE)


def _name(text: str) -> str | None:
    name = collapse(text).strip(_EDGES)
    for _ in range(_MAX_LABELS):
        if label := _LABEL.match(name):
            name = name[label.end() :].strip(_EDGES)
    return name or None


def _after_tag(text: str) -> str | None:
    found = _TAG.findall(plain_text(text))
    return next(filter(None, found[-1]), None) if found else None


def last_line_actor(text: str, sample: Sample) -> str | None:
    """Return the name on the last line, without a label before it (``Threat actor:``), quotes, markdown and full stop."""
    return _name("".join(last_lines(plain_text(text))))


def actor_after_tag(text: str, sample: Sample) -> str | None:
    """Return the name in the last ``<answer>...</answer>``, or after the last ``Answer:``."""
    tagged = _after_tag(text)
    return None if tagged is None else _name(tagged)


def whole_text(text: str, sample: Sample) -> str | None:
    """Return all of `text` but thinking, every run of white space as one space."""
    return collapse(without_thinking(text)) or None


def last_line_text(text: str, sample: Sample) -> str | None:
    """Return the last line as it stands, every run of white space as one space."""
    return collapse("".join(last_lines(without_thinking(text)))) or None


def text_after_tag(text: str, sample: Sample) -> str | None:
    """Return what is in the last ``<answer>...</answer>``, or after the last ``Answer:`` on its line."""
    return collapse(_after_tag(text) or "") or None
