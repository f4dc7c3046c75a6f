"""What a question says without naming it: a tactic or platform that narrows an answer, and the object that it describes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ctiforge.ask.answers import Scope
from ctiforge.ask.aspects import Aspect, find_aspect
from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.objects import KnowledgeObject, ObjectKind
from ctiforge.ask.support import content_terms, coverage
from ctiforge.ask.terms import search_terms

__all__ = ["implied_scope", "likely_subject"]

_LIKELY: Final[tuple[ObjectKind, ...]] = ("technique", "weakness")
_ASKED_OF_LIKELY: Final = frozenset(
    ("data components", "analytics", "detection strategies", "mitigations", "tactics", "detection methods", "attack patterns")
)
_FITS: Final = 0.8
"""Share of the weight of the describing words that one passage of the object must hold."""
_FEWEST: Final = 2


def implied_scope(base: KnowledgeBase, aspect: Aspect, rest: str, scope: Scope) -> tuple[Scope, tuple[str, ...]]:
    """Return the scope narrowed by a tactic or platform in the words of a question, with a note on each.

    Only what lists techniques is narrowed by a tactic, and only what has platforms (techniques, analytics, software) by one.
    """
    words = f" {' '.join(rest.casefold().replace('-', ' ').replace('?', ' ').replace(',', ' ').split())} "
    notes = []
    if scope.tactic is None and aspect.name == "techniques" and (tactic := _longest(base.tactics, words)):
        scope = replace(scope, tactic=tactic)
        notes.append(f"limited to the tactic {tactic}")
    if scope.platform is None and aspect.paths and aspect.name != "mitigations":
        platform = _longest(base.platforms, words)
        if platform:
            scope = replace(scope, platform=platform)
            notes.append(f"limited to the platform {platform}")
    return scope, tuple(notes)


def _longest(names: Iterable[str], words: str) -> str | None:
    return max((name for name in names if f" {name} " in words), key=len, default=None)


def likely_subject(base: KnowledgeBase, rest: str, scope: Scope) -> tuple[KnowledgeObject, Aspect] | None:
    """Return the object that a question describes and what it asks of it, if one fits; None for any other question."""
    kinds = [kind for kind in _LIKELY if _asks(kind, rest) is not None and (not scope.kinds or kind in scope.kinds)]
    for kind in kinds:
        aspect = _asks(kind, rest)
        if aspect is None:
            continue
        described = aspect.words.sub(" ", rest)
        terms = base.term_weights(content_terms(described))
        if len(terms) < _FEWEST:
            continue
        hits = base.search(described, 5, kinds=[kind], platform=scope.platform, tactic=scope.tactic, before=scope.before)
        for hit in hits[:2]:
            if coverage(terms, search_terms(hit.passage.indexed)) >= _FITS:
                return base[hit.passage.object_id], aspect
    return None


def _asks(kind: ObjectKind, text: str) -> Aspect | None:
    aspect = find_aspect(kind, text)
    return aspect if aspect is not None and aspect.name in _ASKED_OF_LIKELY else None
