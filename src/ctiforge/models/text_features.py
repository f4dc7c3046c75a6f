"""Text in, word n-gram features with their places out; the same code trains and serves.

The features are unigrams up to `max_n`-grams over the stems of lower-cased words (Snowball's English stemmer: ``overflows`` and
``overflowed`` are one feature). Web addresses, CVE identifiers and numbers become placeholder tokens, so that the model learns
that a number is there and not which one.
"""

from __future__ import annotations

import re
import threading
from itertools import accumulate

import Stemmer

__all__ = ["PLACEHOLDERS", "gram_place", "lower_same_length", "ngrams", "split_tokens", "tokenize"]

PLACEHOLDERS = ("_url", "_cve", "_num")
# The first branch takes most words, and takes them fast; those that start like an address or an identifier are for the others.
_TOKEN = re.compile(r"([a-bd-gi-z_][a-z0-9_]*(?!\w)|https?://\S+|cve-\d{4}-\d+|\d[\w.\-]*|\w+)")
_MAY_STAND_FOR_SOMETHING = frozenset("0123456789hc")
_CVE = re.compile(r"cve-\d{4}-\d+")
_of_thread = threading.local()
_MOST_WORDS = 100_000


def lower_same_length(text: str) -> str:
    """Lower-case `text` without changing its length, so that offsets stay true (``İ`` alone would grow)."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


def tokenize(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Split `text` into feature tokens and their character ranges.

    Returns:
        Two lists of equal length: stems or placeholders, and ``(start, end)`` offsets into `text`.
    """
    tokens, ends = split_tokens(text)
    return tokens, list(zip(ends[:-1:2], ends[1::2], strict=True))


def split_tokens(text: str) -> tuple[list[str], list[int]]:
    """Split `text` into m feature tokens, and say where each is in less time than `tokenize`.

    Returns:
        The tokens, and 2m + 1 offsets into `text`: token i is from ``ends[2 * i]`` to before ``ends[2 * i + 1]``.
    """
    parts = _TOKEN.split(lower_same_length(text))  # what is between tokens, a token, what is between, and so on
    return list(map(_known_words().__getitem__, parts[1::2])), list(accumulate(map(len, parts)))


class _Words(dict[str, str]):
    """The feature token of every word met so far: most words of a feed come again and again."""

    def __init__(self) -> None:
        self._stem = Stemmer.Stemmer("english").stemWord

    def __missing__(self, word: str) -> str:
        if len(self) >= _MOST_WORDS:
            self.clear()
        token: str = _placeholder(word) if word[0] in _MAY_STAND_FOR_SOMETHING else word
        token = self[word] = self._stem(token)
        return token


def _known_words() -> _Words:
    # One a thread: a stemmer keeps state while it works.
    try:
        words: _Words = _of_thread.words
    except AttributeError:
        words = _of_thread.words = _Words()
    return words


def _placeholder(word: str) -> str:
    if word[0].isdigit():
        return "_num"
    if word.startswith(("http://", "https://")):
        return "_url"
    return "_cve" if _CVE.fullmatch(word) else word


def ngrams(words: list[str], max_n: int) -> list[str]:
    """Return every 1-gram to `max_n`-gram, shortest first and in order of the text, tokens joined by one space.

    With m words, the first m entries are the words, the next m - 1 the 2-grams, and so on; `gram_place` is the way back.
    """
    found = list(words)
    for n in range(2, max_n + 1):
        found += map(" ".join, zip(*(words[i:] for i in range(n)), strict=False))
    return found


def gram_place(position: int, words: int) -> tuple[int, int]:
    """Return the first and last token of the n-gram at `position` of what `ngrams` returned for so many `words`."""
    n, size = 1, words
    while position >= size:
        position -= size
        n, size = n + 1, size - 1
    return position, position + n - 1
