"""All pairs of nearly equal texts in a collection, by the Jaccard index of their sets of word shingles, without misses."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ctiforge.core.normalized_text import normalize_text

__all__ = ["NearPair", "near_pairs", "shingles"]


class NearPair(NamedTuple):
    """Two places in the collection, `first` before `second`, and their Jaccard index."""

    first: int
    second: int
    similarity: float


def shingles(text: str, size: int) -> frozenset[str]:
    """Return the runs of `size` words of the normalised text; the whole text where it has fewer."""
    words = normalize_text(text).split()
    if len(words) <= size:
        return frozenset([" ".join(words)] if words else [])
    return frozenset(" ".join(words[i : i + size]) for i in range(len(words) - size + 1))


def near_pairs(
    sets: Sequence[frozenset[str]], threshold: float, progress: Callable[[int], None] = lambda done: None
) -> Iterator[NearPair]:
    """Yield every pair of sets with a Jaccard index of `threshold` or more; empty sets are near to nothing.

    Exact, by prefix and length filtering (Bayardo et al., WWW 2007, Algorithm 2; Xiao et al., TODS 2011): of two such sets of n
    and m members, each has one of the other's n - ceil(t n) + 1 rarest among its own rarest, and m is at least t n. Equal sets
    are compared once, so that thousands of copies of one text cost no more than one.

    Args:
        threshold: above 0, at most 1.
        progress: called with the number of sets done.
    """
    frequency = Counter(member for members in sets for member in members)
    number = {member: i for i, member in enumerate(sorted(frequency, key=lambda each: (frequency[each], each)))}
    groups: defaultdict[frozenset[int], list[int]] = defaultdict(list)
    for place, members in enumerate(sets):
        if members:
            groups[frozenset(number[member] for member in members)].append(place)
    ordered = sorted(groups.items(), key=lambda item: (len(item[0]), item[1]))
    index: defaultdict[int, list[int]] = defaultdict(list)
    for current, (numbers, places) in enumerate(ordered):
        yield from (NearPair(a, b, 1.0) for i, a in enumerate(places) for b in places[i + 1 :])
        size = len(numbers)
        prefix = sorted(numbers)[: size - math.ceil(threshold * size - 1e-9) + 1]
        shortest = threshold * size - 1e-9
        candidates: set[int] = set()
        for each in prefix:
            candidates.update(index[each])
            index[each].append(current)
        for other in sorted(candidates):
            others, other_places = ordered[other]
            if len(others) < shortest:
                continue
            shared = len(numbers & others)
            similarity = shared / (size + len(others) - shared)
            if similarity >= threshold:
                yield from (NearPair(min(a, b), max(a, b), similarity) for a in other_places for b in places)
        if current % 1000 == 0:
            progress(current)
