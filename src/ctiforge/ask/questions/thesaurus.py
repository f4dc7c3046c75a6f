"""Words that stand for others, found by the sentence encoder among the words of a knowledge base: to reword questions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.terms import search_terms

__all__ = ["build_thesaurus"]

_WORD: Final = re.compile(r"(?<![\w.-])[a-z]{4,18}(?![\w.-])")
_MOST_WORDS: Final = 6000
_FEWEST_PASSAGES: Final = 4
_NEIGHBOURS: Final = 6
_CLOSE: Final = 0.45


def build_thesaurus(base: KnowledgeBase) -> Mapping[str, tuple[str, ...]]:
    """Return common words in small letters, each with words that are close in meaning and not of the same stem.

    Without embeddings there are none.
    """
    if not base.has_embeddings:
        return {}
    counts: Counter[str] = Counter()
    for row in range(len(base.owners)):
        counts.update(set(_WORD.findall(base.passage_at(row).text)))
    listed = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    words = [word for word, count in listed[:_MOST_WORDS] if count >= _FEWEST_PASSAGES]
    vectors = base.encode(words) if words else None
    if vectors is None:
        return {}
    stems = [tuple(search_terms(word)) for word in words]
    found: dict[str, tuple[str, ...]] = {}
    for place, word in enumerate(words):
        cosines = vectors @ vectors[place]
        near = np.argsort(-cosines, kind="stable")[: 4 * _NEIGHBOURS]
        others = [words[i] for i in near if stems[i] != stems[place] and cosines[i] >= _CLOSE]
        if others and stems[place]:
            found[word] = tuple(others[:_NEIGHBOURS])
    return found
