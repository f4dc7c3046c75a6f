"""The n-grams of a vocabulary, found in batches of texts by the numbers of their words, without joining words to n-grams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import numpy.typing as npt

__all__ = ["FoundNgrams", "NgramIndex"]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FoundNgrams:
    """Every occurrence of a known n-gram in a batch of texts: three int64 arrays of shape (N,).

    Attributes:
        texts: the text that it is in.
        places: its place in the list that `ctiforge.models.text_features.ngrams` gives for that text.
        ids: its line in the vocabulary.

    The occurrences of one n-gram in one text are in the order of the text.
    """

    texts: Integers
    places: Integers
    ids: Integers


class NgramIndex:
    """Finds the n-grams of a vocabulary.

    An n-gram is found from the one that it starts with and its last word, so that the work for each n is one search in a sorted
    array for all texts at once.

    Args:
        vocabulary: distinct n-grams, their words separated by one space.
        max_n: words of the longest one at most.
    """

    def __init__(self, vocabulary: Sequence[str], max_n: int) -> None:
        self.size = len(vocabulary)
        words = " ".join(vocabulary).split(" ") if vocabulary else []
        self._words = {word: number for number, word in enumerate(dict.fromkeys(words))}
        numbers = np.fromiter(map(self._words.__getitem__, words), dtype=np.int64, count=len(words))
        lengths = np.fromiter((gram.count(" ") for gram in vocabulary), dtype=np.int64, count=len(vocabulary)) + 1
        starts = np.cumsum(lengths) - lengths
        # The first level: a word's node is its number.
        self._ids = [np.full(len(self._words), -1, dtype=np.int64)]
        alone = np.flatnonzero(lengths == 1)
        self._ids[0][numbers[starts[alone]]] = alone
        self._keys: list[Integers] = []
        longer = np.flatnonzero(lengths > 1)
        nodes = numbers[starts[longer]]
        for n in range(2, min(max_n, int(lengths.max(initial=1))) + 1):
            keys = nodes * len(self._words) + numbers[starts[longer] + n - 1]
            level, nodes = np.unique(keys, return_inverse=True)
            ids = np.full(len(level), -1, dtype=np.int64)
            complete = lengths[longer] == n
            ids[nodes[complete]] = longer[complete]
            self._keys.append(level)
            self._ids.append(ids)
            longer, nodes = longer[~complete], nodes[~complete]

    def find(self, words: Iterable[str], lengths: Integers) -> FoundNgrams:
        """Find all known n-grams.

        Args:
            words: the words of B texts, one text after the other.
            lengths: number of words of each text, shape (B,).
        """
        total = int(lengths.sum())
        numbers = np.fromiter(map(self._words.get, words, repeat(-1)), dtype=np.int64, count=total)
        texts = np.repeat(np.arange(len(lengths)), lengths)
        after = np.repeat(np.cumsum(lengths), lengths)  # where the text of each word ends
        at = np.flatnonzero(numbers >= 0)
        nodes = numbers[at]
        found = [self._known(0, nodes, at)]
        shift = [np.zeros(len(found[0][0]), dtype=np.int64)]
        for n, keys in enumerate(self._keys, 2):
            more = at + n - 1 < after[at]
            at, nodes = at[more], nodes[more]
            following = numbers[at + n - 1]
            wanted = nodes * len(self._words) + following
            place = np.searchsorted(keys, wanted)
            place[place == len(keys)] = 0
            right = (keys[place] == wanted) & (following >= 0)
            at, nodes = at[right], place[right]
            found.append(self._known(n - 1, nodes, at))
            # The n-grams of a text come after its shorter ones: m words, m - 1 pairs, and so on.
            own = lengths[texts[found[-1][0]]]
            shift.append((n - 1) * own - (n - 1) * (n - 2) // 2)
        where = np.concatenate([places for places, _ in found])
        own_texts = texts[where]
        places = where - (np.cumsum(lengths) - lengths)[own_texts] + np.concatenate(shift)
        return FoundNgrams(own_texts, places, np.concatenate([ids for _, ids in found]))

    def _known(self, level: int, nodes: Integers, at: Integers) -> tuple[Integers, Integers]:
        ids = self._ids[level][nodes]
        kept = ids >= 0
        return at[kept], ids[kept]
