"""Multiple choice in running text: the question, and the options behind their letters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ctiforge.corpus.contamination.normal_form import exact_key, normalize

__all__ = ["Choices", "find_choices", "options_key"]

_LETTER: Final = re.compile(r"(?:(?<=\s)|^)[(\[*]{0,3}([A-Ja-j])(?:\*\*)?[).:\]](?:\*\*)?(?=\s)")
_HEADING: Final = re.compile(r"[\s#*_]*\b(?:options|choices|answer choices)\b[\s*_:]*$", re.IGNORECASE)
_TRAILER: Final = re.compile(r"\s(?:\*\*|#+ )?(?:important|answer|note|instructions?|respond|reply)\b[\s*]*:", re.IGNORECASE)
_MIN_OPTIONS = 3


@dataclass(frozen=True, slots=True)
class Choices:
    """A question and its options in order, as they stand, without letters."""

    question: str
    options: tuple[str, ...]


def find_choices(text: str) -> Choices | None:
    """Return the question and options if `text` has options lettered A, B, C and on, on lines of their own or in one line."""
    marks: list[re.Match[str]] = []
    for match in _LETTER.finditer(text):
        if match[1].upper() == chr(ord("A") + len(marks)):
            marks.append(match)
    if len(marks) < _MIN_OPTIONS:
        return None
    ends = [following.start() for following in marks[1:]] + [len(text)]
    options = [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    last = options[-1].split("\n", 1)[0] if "\n" in text[marks[0].end() : marks[1].start()] else options[-1]
    trailer = _TRAILER.search(f" {last}")
    options[-1] = last[: max(0, trailer.start() - 1)].strip() if trailer else last.strip()
    return Choices(_HEADING.sub("", text[: marks[0].start()]).strip(), tuple(options))


def options_key(options: Iterable[str]) -> tuple[str, ...]:
    """Return what is equal for equal sets of options, in whatever order; empty unless at least two have words."""
    keys = sorted({key for option in options if (key := exact_key(normalize(option)))})
    return tuple(keys) if len(keys) >= 2 else ()
