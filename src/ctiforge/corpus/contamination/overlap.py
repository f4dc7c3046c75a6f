"""The texts that share much with one: Jaccard index of word sets, plain and with rare words counting more, exact."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Overlap", "WordOverlapIndex"]

_COMMON_SHARE = 0.08
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much a text shares with an indexed one.

    Attributes:
        place: of the indexed text.
        jaccard: shared words over all words of the two (Jaccard 1912).
        weighted: the same with each word counted by its weight (Ruzicka similarity of two weighted sets).
        shared: number of words shared.
    """

    place: int
    jaccard: float
    weighted: float
    shared: int


class WordOverlapIndex:
    """Inverted lists of the words that few texts have; a query adds up those of its words (ScanCount, Li et al., ICDE 2008).

    A pair at the threshold t shares t / (1 + t) of its words, counted in both. Words that many texts have are not looked up but
    supposed to be shared; pairs that might reach a threshold then are compared in full, so none is missed. Against the prefix
    filter of `ctiforge.core.near_duplicates.JaccardIndex`, all pairs are found and a low threshold costs little.

    Args:
        texts: normalised texts, words between spaces, none empty.
        weigh: the weight of a word, above 0.
    """

    def __init__(self, texts: Sequence[str], weigh: Callable[[str], float]) -> None:
        self._sets = [frozenset(text.split()) for text in texts]
        lists: defaultdict[str, list[int]] = defaultdict(list)
        for place, words in enumerate(self._sets):
            for word in words:
                lists[word].append(place)
        self._weigh = weigh
        self._weights = {word: weigh(word) for word in lists}
        most = max(1, _COMMON_SHARE * len(texts))
        self._lists = {word: np.asarray(places, np.intp) for word, places in lists.items() if len(places) <= most}
        self._list_weights = {word: np.full(len(places), self._weights[word]) for word, places in self._lists.items()}
        self._common_sizes = np.asarray([sum(word not in self._lists for word in words) for words in self._sets], np.int64)
        self._sizes = np.asarray([len(words) for words in self._sets], np.int64)
        self._totals = np.asarray([math.fsum(self._weights[word] for word in words) for words in self._sets], np.float64)

    def find(self, normalized: str, jaccard_from: float, weighted_from: float) -> list[Overlap]:
        """Return every indexed text that reaches one of the two thresholds, in order of their places.

        Args:
            jaccard_from, weighted_from: above 0, at most 1.
        """
        words = frozenset(normalized.split())
        places = self._candidates(words, jaccard_from, weighted_from)
        if not len(places):
            return []
        total = math.fsum(map(self._weight, words))
        found = []
        for place in places.tolist():
            both = words & self._sets[place]
            weight = math.fsum(self._weights[word] for word in both)
            jaccard = len(both) / (len(words) + len(self._sets[place]) - len(both))
            weighted = min(1.0, weight / (total + float(self._totals[place]) - weight))
            if jaccard >= jaccard_from - _SLACK or weighted >= weighted_from - _SLACK:
                found.append(Overlap(place, jaccard, weighted, len(both)))
        return found

    def _weight(self, word: str) -> float:
        return self._weights.get(word) or self._weigh(word)

    def _candidates(self, words: frozenset[str], jaccard_from: float, weighted_from: float) -> npt.NDArray[np.intp]:
        listed = [word for word in words if word in self._lists]
        supposed = [word for word in words if word in self._weights and word not in self._lists]
        n = len(self._sets)
        common = np.minimum(self._common_sizes, len(supposed))
        if listed:
            places = np.concatenate([self._lists[word] for word in listed])
            weights = np.concatenate([self._list_weights[word] for word in listed])
            shared = np.bincount(places, minlength=n) + common
            weight = np.bincount(places, weights, minlength=n) + sum(self._weights[word] for word in supposed)
        elif supposed:
            shared = common
            weight = np.full(n, sum(self._weights[word] for word in supposed))
        else:
            return np.zeros(0, np.intp)
        total = sum(map(self._weight, words))
        enough = shared >= jaccard_from / (1 + jaccard_from) * (len(words) + self._sizes) - _SLACK
        enough |= weight >= weighted_from / (1 + weighted_from) * (total + self._totals) * (1 - _SLACK)
        return np.flatnonzero(enough)
