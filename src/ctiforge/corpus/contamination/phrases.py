"""Rare phrases that a text shares with indexed ones: word n-grams with names masked, common ones discounted.

A product's name is easily changed, the sentence around it is not; so words that hold a digit or that few texts have become one
mark. A phrase that many texts have is boilerplate and shows little, so it weighs little.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

__all__ = ["PhraseIndex", "SharedPhrases", "masked_words", "phrases_of"]

_MARK = "*"
_MIN_WEIGHT = 0.02


@dataclass(frozen=True, slots=True)
class SharedPhrases:
    """An indexed text: its place, and the weight of the phrases in common over that of the text which has less."""

    place: int
    share: float


def masked_words(normalized: str, plain: Set[str]) -> list[str]:
    """Return the words with each run of words that are not in `plain` as one mark."""
    words: list[str] = []
    for word in normalized.split():
        if word not in plain:
            if not words or words[-1] != _MARK:
                words.append(_MARK)
        else:
            words.append(word)
    return words


def phrases_of(words: Sequence[str], length: int) -> set[str]:
    """Return the different phrases of `length` words."""
    return {" ".join(words[place : place + length]) for place in range(len(words) - length + 1)}


class PhraseIndex:
    """Phrases of texts, each with the weight 1 if it is in two texts at most (a text and its copy), 1/n if in n + 1.

    Args:
        phrases: those of each text.
        count: how many texts have a phrase, the indexed ones among them.
    """

    def __init__(self, phrases: Sequence[set[str]], count: Callable[[str], int]) -> None:
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        self._weights = {phrase: 1 / max(1, count(phrase) - 1) for phrase in sorted(set().union(*phrases))}
        self._totals = [math.fsum(self._weights[phrase] for phrase in own) for own in phrases]
        for place, own in enumerate(phrases):
            for phrase in own:
                if self._weights[phrase] >= _MIN_WEIGHT:
                    self._places[phrase].append(place)

    def shared(self, phrases: set[str], at_least: float, min_weight: float) -> list[SharedPhrases]:
        """Return the texts with which the phrases in common weigh `min_weight`, and `at_least` that share of the lighter text.

        A phrase that no indexed text has weighs 1.
        """
        weights: defaultdict[int, float] = defaultdict(float)
        for phrase in sorted(phrases):
            if places := self._places.get(phrase):
                weight = self._weights[phrase]
                for place in places:
                    weights[place] += weight
        heavy = {place: weight for place, weight in weights.items() if weight >= min_weight}
        if not heavy:
            return []
        own = math.fsum(self._weights.get(phrase, 1.0) for phrase in phrases)
        shares = {place: weight / max(min(self._totals[place], own), min_weight) for place, weight in heavy.items()}
        return [SharedPhrases(place, min(share, 1.0)) for place, share in shares.items() if share >= at_least]
