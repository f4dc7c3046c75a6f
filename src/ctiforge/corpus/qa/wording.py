"""Sentences taken from descriptions, and the frames that questions are put in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = [
    "CHOICE_INSTRUCTIONS",
    "LAYOUTS",
    "SHORT_INSTRUCTIONS",
    "closed",
    "join_names",
    "mentions",
    "said_of_it",
    "sentences",
    "summary",
    "telling_sentence",
    "word_overlap",
]

CHOICE_INSTRUCTIONS: Final = (
    "Choose the right option. Reply with its letter and nothing else.",
    "Answer this question on cyber threat intelligence with a single letter: A, B, C or D.",
    "One of the four options is correct. Write only the letter of that option.",
    "You are a security analyst. Pick the correct answer and output just its letter.",
    "Read the question and its options, then give the letter of the correct one, without any explanation.",
)
"""Put before a multiple-choice question."""

SHORT_INSTRUCTIONS: Final = (
    "Answer briefly and factually.",
    "You are a security analyst. Answer in one to three sentences.",
    "Give a short answer that follows MITRE's catalogues.",
    "Answer the question as a defender would note it down.",
)
"""Put before a question with a free answer."""

LAYOUTS: Final = ("{letter}) {text}", "{letter}. {text}", "({letter}) {text}")
"""How a line of an option looks."""

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]\u201d]?\s+(?=[A-Z\"'(\[\u201c])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|U\.S|Inc|Ltd|Corp|No|v|[A-Z])\.)$")
_LEANING = re.compile(
    r"(?:it|this|these|those|they|such|for (?:example|instance)|however|additionally|also|furthermore|in addition|he|she|"
    r"another|other|the latter|similarly|in this|as such|thus|therefore|note|see)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z0-9]+")


def sentences(text: str) -> list[str]:
    """Return the sentences of a cleaned description; a line break ends one, an abbreviation does not."""
    found: list[str] = []
    for line in text.split("\n"):
        held = ""
        for piece in _SENTENCE_END.split(line):
            held = f"{held} {piece}" if held else piece
            if not _ABBREVIATION.search(held):
                found.append(held.strip())
                held = ""
        if held:
            found.append(held.strip())
    return [sentence for sentence in found if sentence]


def mentions(text: str, name: str) -> bool:
    """Say whether `text` has the words of `name` in a row, whatever their case and what stands between them."""
    words = _WORD.findall(name.casefold())
    return bool(words) and f" {' '.join(words)}" in f" {' '.join(_WORD.findall(text.casefold()))}"


def telling_sentence(text: str, names: Iterable[str], *, shortest: int = 50, longest: int = 300) -> str:
    """Return the first of the first three sentences that stands alone and gives away none of the `names`, or nothing.

    Args:
        shortest, longest: in characters.
    """
    banned = list(names)
    for sentence in sentences(text)[:3]:
        if not shortest <= len(sentence) <= longest or sentence[-1] not in ".!?" or _LEANING.match(sentence):
            continue
        if not any(mentions(sentence, name) for name in banned):
            return sentence
    return ""


def said_of_it(text: str, names: Iterable[str], pronoun: str, *, shortest: int = 50, longest: int = 300) -> str:
    """Return the first sentence with the object's names replaced by `pronoun` (``this group``), or nothing if too long."""
    first = next(iter(sentences(text)), "")
    for name in sorted(names, key=len, reverse=True):
        first = re.sub(rf"(?<!\w)(?:The )?{re.escape(name)}(?!\w)", pronoun, first, flags=re.IGNORECASE)
    first = first[:1].upper() + first[1:]
    if not shortest <= len(first) <= longest or first.lower().count(pronoun.lower()) > 2:
        return ""
    return "" if any(mentions(first, name) for name in names) else first


def summary(text: str, longest: int = 420) -> str:
    """Return whole sentences from the start of a description, `longest` characters at most, or nothing."""
    kept = ""
    for sentence in sentences(text):
        joined = f"{kept} {sentence}" if kept else sentence
        if len(joined) > longest or sentence.endswith(":"):
            break
        kept = joined
    return kept


def closed(text: str) -> str:
    """Return `text` with a full stop where it ends without punctuation."""
    return text if text.endswith((".", "!", "?", '"', ")")) else f"{text}."


def join_names(names: Iterable[str]) -> str:
    """Return ``a, b and c``."""
    listed = list(names)
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}" if listed else ""


def word_overlap(a: str, b: str) -> float:
    """Return the Jaccard similarity of the sets of words of two texts, 0 to 1."""
    first, second = set(_WORD.findall(a.casefold())), set(_WORD.findall(b.casefold()))
    return len(first & second) / len(first | second) if first or second else 1.0
