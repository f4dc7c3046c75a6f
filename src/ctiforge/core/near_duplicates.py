"""Near-duplicates by the Jaccard index of word sets, found exactly: no pair at or above the threshold is missed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Set
from dataclasses import dataclass

__all__ = ["JaccardIndex", "NearDuplicate"]


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """The nearest indexed text.

    Attributes:
        place: its position among the indexed texts.
        similarity: Jaccard index of the two word sets, 0 to 1.
    """

    place: int
    similarity: float


class JaccardIndex:
    """Word sets to compare with, by prefix filtering (Chaudhuri et al., ICDE 2006; Bayardo et al., WWW 2007).

    Two sets with a Jaccard index of `threshold` or more share one of the rarest words of each, if enough of the rarest are
    looked at; only texts that share one are compared in full.

    Args:
        texts: texts whose words stand between spaces (normalised by the caller); empty ones match nothing.
        threshold: above 0, at most 1.
    """

    def __init__(self, texts: Iterable[str], threshold: float) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold {threshold} is not above 0 and at most 1")
        self._threshold = threshold
        self._sets = [frozenset(text.split()) for text in texts]
        self._frequency = Counter(word for words in self._sets for word in words)
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        for place, words in enumerate(self._sets):
            for word in self._prefix(words):
                self._places[word].append(place)

    def nearest(self, text: str) -> NearDuplicate | None:
        """Return the indexed text nearest to `text` (the first of equals), or None if none reaches the threshold."""
        words = frozenset(text.split())
        candidates = {place for word in self._prefix(words) for place in self._places.get(word, ())}
        best: NearDuplicate | None = None
        for place in sorted(candidates):
            shared = len(words & self._sets[place])
            similarity = shared / (len(words) + len(self._sets[place]) - shared)
            if similarity >= self._threshold and (best is None or similarity > best.similarity):
                best = NearDuplicate(place, similarity)
        return best

    def _prefix(self, words: Set[str]) -> list[str]:
        # A set of n words must share ceil(threshold * n) of them with any near-duplicate, so one of the others' number + 1.
        # The subtraction keeps 0.8 * 5 = 4.000000000000001 from being rounded up: rather one word too many than one too few.
        length = len(words) - math.ceil(self._threshold * len(words) - 1e-9) + 1
        return sorted(words, key=lambda word: (self._frequency[word], word))[:length] if words else []
