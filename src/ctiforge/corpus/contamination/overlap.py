"""How much each of many texts shares with one: Jaccard index of word sets, plain and with rare words counting more, exact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Overlaps", "WordOverlapIndex"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Similarities of one text with every indexed one, each an array of shape (texts,).

    Attributes:
        jaccard: shared words over all words of the two (Jaccard 1912).
        weighted: the same with each word counted by its weight (Ruzicka similarity of two weighted sets).
        shared: number of words shared.
    """

    jaccard: Floats
    weighted: Floats
    shared: npt.NDArray[np.int64]


class WordOverlapIndex:
    """Inverted lists of word numbers; a query adds up the lists of its words (ScanCount, Li, Lu & Lu, ICDE 2008).

    Against the prefix filter of `ctiforge.core.near_duplicates.JaccardIndex`, every similarity is known, at no threshold, which
    is what a sweep over thresholds needs; the cost of a query does not depend on how alike the texts are.

    Args:
        texts: normalised texts, words between spaces, none empty.
        weigh: the weight of a word, above 0.
    """

    def __init__(self, texts: Sequence[str], weigh: Callable[[str], float]) -> None:
        sets = [frozenset(text.split()) for text in texts]
        lists: defaultdict[str, list[int]] = defaultdict(list)
        for place, words in enumerate(sets):
            for word in words:
                lists[word].append(place)
        self._n = len(sets)
        self._weigh = weigh
        self._lists = {word: np.asarray(places, np.intp) for word, places in lists.items()}
        self._weights = {word: weigh(word) for word in lists}
        self._list_weights = {word: np.full(len(places), self._weights[word]) for word, places in lists.items()}
        self._sizes = np.asarray([len(words) for words in sets], np.int64)
        self._totals = np.asarray([sum(self._weights[word] for word in sorted(words)) for words in sets], np.float64)

    def compare(self, normalized: str) -> Overlaps:
        """Return the similarities of a normalised text with every indexed one; 0 where it has no words."""
        words = dict.fromkeys(normalized.split())  # in order, so that sums are the same in every process
        known = [word for word in words if word in self._lists]
        if not known:
            nothing = np.zeros(self._n)
            return Overlaps(nothing, nothing, np.zeros(self._n, np.int64))
        lists = [self._lists[word] for word in known]
        places = np.concatenate(lists)
        weights = np.concatenate([self._list_weights[word] for word in known])
        shared = np.bincount(places, minlength=self._n)
        weight = np.bincount(places, weights, minlength=self._n)
        total = sum(self._weights.get(word) or self._weigh(word) for word in words)
        jaccard = shared / (len(words) + self._sizes - shared)
        weighted = weight / (total + self._totals - weight)
        return Overlaps(jaccard, np.minimum(weighted, 1.0), shared)
