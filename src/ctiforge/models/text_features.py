"""Text in, word n-gram features with their places out; the same code trains and serves.

The features are word unigrams up to `max_n`-grams over lower-cased tokens. Web addresses, CVE identifiers and numbers become
placeholder tokens, so that the model learns that a number is there and not which one.
"""

from __future__ import annotations

import re

__all__ = ["PLACEHOLDERS", "lower_same_length", "ngrams", "tokenize"]

PLACEHOLDERS = ("_url", "_cve", "_num")
_TOKEN = re.compile(r"(?P<url>https?://\S+)|(?P<cve>cve-\d{4}-\d+)|(?P<num>\d[\w.\-]*)|(?P<word>\w+)")
_PLACEHOLDER_OF = {"url": "_url", "cve": "_cve", "num": "_num"}


def lower_same_length(text: str) -> str:
    """Lower-case `text` without changing its length, so that offsets stay true (``İ`` alone would grow)."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


def tokenize(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Split `text` into feature tokens and their character ranges.

    Returns:
        Two lists of equal length: tokens, and ``(start, end)`` offsets into `text`.
    """
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(lower_same_length(text)):
        kind = match.lastgroup
        words.append(match[0] if kind == "word" else _PLACEHOLDER_OF[kind])  # type: ignore[index]
        spans.append(match.span())
    return words, spans


def ngrams(words: list[str], max_n: int) -> list[tuple[str, int]]:
    """Return every n-gram, shortest first, with the position of its first token.

    Returns:
        ``(text, first)`` for each 1-gram to `max_n`-gram, its tokens joined by one space (so ``text.count(" ") + 1``
        tokens: no token holds a space).
    """
    found = [(word, i) for i, word in enumerate(words)]
    for n in range(2, max_n + 1):
        found.extend((" ".join(words[i : i + n]), i) for i in range(len(words) - n + 1))
    return found
