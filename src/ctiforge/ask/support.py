"""Whether what is cited says so: words weighted by how much they tell, identifiers, numbers, and negation.

A lexical check, not an understanding: a sentence is supported if the cited text has its telling words, every identifier and
number, and no negation of the one without the other. It lets pass a sentence that puts the right words into a wrong relation,
and drops a true one that says it in other words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.passages import split_sentences
from ctiforge.ask.terms import find_ids, search_terms

__all__ = ["SUPPORT", "cited_text", "content_terms", "coverage", "is_supported"]

SUPPORT: Final = 0.75
"""Share of a sentence's weight that the cited text must hold."""

_TIE: Final = 0.05

_FILLER: Final = frozenset(
    search_terms(
        "describe explain tell give name list show mean happen call say know me us please main common typical way "
        "thing kind type "
        "example did happen work about between would could should some many much most more main often usually "
        "typically generally "
        "i my our your one two first general question answer information help get make take need want go see look like used"
    )
)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)*(?![\w.]*\w)")
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|cannot|without|neither|nor|n't|unaffected|incorrect|false|fails?)\b|n't\b", re.IGNORECASE
)


def content_terms(text: str) -> list[str]:
    """Return the search terms of a question or sentence that tell something, once each and in order."""
    return [term for term in dict.fromkeys(search_terms(text)) if term not in _FILLER]


def coverage(wanted: Mapping[str, float], held: Iterable[str]) -> float:
    """Return the share of the weight of `wanted` (term to weight) that is among the terms `held`, 0 to 1."""
    total = sum(wanted.values())
    return sum(wanted[term] for term in wanted.keys() & set(held)) / total if total else 0.0


def cited_text(base: KnowledgeBase, cite: str) -> str:
    """Return what an identifier of a passage or an object stands for as text: heading and words, or the whole record."""
    if (passage := base.passage(cite)) is not None:
        return passage.indexed
    each = base.get(cite)
    if each is None:
        return ""
    facts = [f"{label}: {value}" for label, value in each.facts]
    relations = [f"{one.kind} {one.other} {one.name} {one.description}" for one in each.relations]
    names = [each.kind, each.id, each.name, *each.aliases, *each.platforms, *each.tactics, *each.domains, each.created]
    return "\n".join([" ".join(names), each.text, *facts, *relations])


def is_supported(sentence: str, cited: str, weigh: Callable[[Iterable[str]], Mapping[str, float]]) -> bool:
    """Say whether the cited text supports a sentence.

    Args:
        cited: heading and words of what is cited, joined where it is several passages.
        weigh: terms to weights, see `KnowledgeBase.term_weights`.
    """
    wanted = weigh(content_terms(sentence))
    held = set(search_terms(cited))
    if coverage(wanted, held) < SUPPORT:
        return False
    if not set(find_ids(sentence)) <= set(find_ids(cited)) or not set(_NUMBER.findall(sentence)) <= set(_NUMBER.findall(cited)):
        return False
    negated = bool(_NEGATION.search(sentence))
    return all(bool(_NEGATION.search(each)) == negated for each in _nearest(wanted, cited))


def _nearest(wanted: Mapping[str, float], cited: str) -> list[str]:
    """Return the sentences of the cited text that have most of the wanted words; several where they have about as many."""
    sentences = [each for line in cited.split("\n") for each in split_sentences(line)]
    shares = [coverage(wanted, search_terms(each)) for each in sentences]
    return [each for each, share in zip(sentences, shares, strict=True) if share >= max(shares) - _TIE]
