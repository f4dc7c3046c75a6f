"""Cutting texts into passages: at paragraphs, else at sentences, else at words; each with its object's identifier and name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from ctiforge.ask.objects import Passage, PassageKind

__all__ = ["MAX_CHARACTERS", "PassageMaker", "cut_text", "split_sentences", "visible_text"]

MAX_CHARACTERS: Final = 900
"""About 200 word pieces: the encoder reads 256, the heading included."""

_STOP = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")
_NO_STOP = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|al|ca|approx|Inc|Ltd|Corp|Co|No|Fig|Mr|Ms|Dr|St|U\.S)|\b[A-Z])\.$")


_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")


def visible_text(text: str) -> str:
    """Return `text` without control characters and invisible ones: they could steer a terminal, or hide words from a reader."""
    return _CONTROLS.sub("", text) if _CONTROLS.search(text) else text


def split_sentences(text: str) -> list[str]:
    """Return the sentences of one paragraph; abbreviations and initials do not end one."""
    found: list[str] = []
    start = 0
    for stop in _STOP.finditer(text):
        if not _NO_STOP.search(text, start, stop.start()):
            found.append(text[start : stop.end()].strip())
            start = stop.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]


def cut_text(text: str, limit: int = MAX_CHARACTERS) -> list[str]:
    """Return pieces of at most `limit` characters, each as many whole lines (paragraphs) as fit.

    A line that is longer by itself is cut between sentences, a sentence between words, a word anywhere.
    """
    return _pack((piece for line in text.split("\n") if line.strip() for piece in _lines_of(line.strip(), limit)), limit, "\n")


def _lines_of(line: str, limit: int) -> list[str]:
    if len(line) <= limit:
        return [line]
    sentences = (piece for sentence in split_sentences(line) for piece in _words_of(sentence, limit))
    return _pack(sentences, limit, " ")


def _words_of(sentence: str, limit: int) -> list[str]:
    if len(sentence) <= limit:
        return [sentence]
    words = (word[i : i + limit] for word in sentence.split() for i in range(0, len(word), limit))
    return _pack(words, limit, " ")


def _pack(pieces: Iterable[str], limit: int, joint: str) -> list[str]:
    packed: list[str] = []
    for piece in pieces:
        if packed and len(packed[-1]) + len(joint) + len(piece) <= limit:
            packed[-1] += joint + piece
        else:
            packed.append(piece)
    return packed


class PassageMaker:
    """Makes the passages of one object and numbers them.

    Args:
        object_id, name: go into every heading.
    """

    def __init__(self, object_id: str, name: str) -> None:
        self.object_id = object_id
        name = visible_text(name)
        self.title = f"{object_id} {name}".strip() if name != object_id else object_id
        self._numbers: dict[str, int] = {}

    def make(self, kind: PassageKind, about: str, text: str, related: Iterable[str] = ()) -> Iterator[Passage]:
        """Yield the pieces of `text` as passages.

        Args:
            about: goes behind the object in the heading, e.g. ``Mitigation M1040 Behavior Prevention on Endpoint``.
        """
        heading = f"{self.title}: {visible_text(about)}" if about else self.title
        others = tuple(dict.fromkeys(other for other in related if other != self.object_id))
        for piece in cut_text(visible_text(text)):
            number = self._numbers.get(kind, 0)
            self._numbers[kind] = number + 1
            yield Passage(f"{self.object_id}#{kind}.{number}", self.object_id, kind, heading, piece, others)
