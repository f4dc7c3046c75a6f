"""Passages as sets of search terms: whole, heading, sentence by sentence, and pairs of neighbouring terms."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.objects import Passage
from ctiforge.ask.passages import split_sentences
from ctiforge.ask.terms import search_terms

__all__ = ["PassageReader", "PassageTerms", "coverage", "pairs_of"]

_Term = TypeVar("_Term")


@dataclass(frozen=True, slots=True)
class PassageTerms:
    """The terms of one passage."""

    passage: Passage
    heading: frozenset[str]
    sentences: tuple[frozenset[str], ...]
    whole: frozenset[str]
    pairs: frozenset[tuple[str, str]]


def pairs_of(terms: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Return pairs of terms that stand side by side."""
    return frozenset(pairwise(terms))


def coverage(wanted: Mapping[_Term, float], held: Collection[_Term]) -> float:
    """Return which share of the weights of `wanted` is held, 0 to 1; 0 where nothing is wanted."""
    total = sum(wanted.values())
    return sum(weight for term, weight in wanted.items() if term in held) / total if total else 0.0


class PassageReader:
    """Reads passages of a knowledge base by row and remembers the last few thousand."""

    def __init__(self, base: KnowledgeBase, remembered: int = 8192) -> None:
        self._base = base
        self.read = lru_cache(maxsize=remembered)(self._read)

    def _read(self, row: int) -> PassageTerms:
        passage = self._base.passage_at(row)
        heading = search_terms(passage.heading)
        lines = [search_terms(sentence) for line in passage.text.split("\n") for sentence in split_sentences(line)]
        return PassageTerms(
            passage,
            frozenset(heading),
            tuple(map(frozenset, lines)),
            frozenset(heading).union(*lines),
            pairs_of(heading).union(*map(pairs_of, lines)),
        )
