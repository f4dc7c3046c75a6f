"""How much of a text's wording stands in another text: the share of its word n-grams that both have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

__all__ = ["PHRASE_WORDS", "PhraseIndex"]

PHRASE_WORDS = 8
"""Words of a phrase: eight in a row are seldom the same by chance, but in a vendor's boilerplate they are."""


class PhraseIndex:
    """The phrases (word 8-grams) of texts to compare with.

    Args:
        texts: texts whose words stand between spaces (normalised by the caller).
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._places: defaultdict[str, set[int]] = defaultdict(set)
        for place, text in enumerate(texts):
            for phrase in _phrases(text):
                self._places[phrase].add(place)

    def largest_share(self, text: str) -> float:
        """Return the share of `text`'s phrases that stand in the one indexed text that has most of them; 0 for a text of
        fewer than eight words."""
        phrases = _phrases(text)
        shared = Counter(place for phrase in phrases for place in self._places.get(phrase, ()))
        return max(shared.values(), default=0) / len(phrases) if phrases else 0.0


def _phrases(text: str) -> set[str]:
    words = text.split()
    return {" ".join(words[i : i + PHRASE_WORDS]) for i in range(len(words) - PHRASE_WORDS + 1)}
