"""The objects of a knowledge base as questions see them: by kind, with what stands near to them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.objects import KnowledgeObject, ObjectKind, Passage

__all__ = ["ASKED_KINDS", "Catalogue"]

ASKED_KINDS: Final[tuple[ObjectKind, ...]] = (
    "technique", "mitigation", "group", "software", "campaign", "tactic", "data-component", "attack-pattern", "weakness",
)  # fmt: skip
_UP: Final = ("subtechnique-of", "child-of")
_DOWN: Final = ("has-subtechnique", "parent-of")
_PASSED_OVER: Final = ("CVE-", "DOC:", "AN", "DET")
"""Beginnings of identifiers of the many objects that nothing is asked about; reading them takes time."""
_GENERIC: Final = ("do not mitigate", "mitigation limited or not effective", "pre-compromise")


class Catalogue:
    """A knowledge base without its CVEs and documents."""

    def __init__(self, base: KnowledgeBase) -> None:
        self.base = base
        found = (base[each] for each in base.ids if not each.startswith(_PASSED_OVER))
        self.objects = {each.id: each for each in found if each.kind in ASKED_KINDS and each.name.casefold() not in _GENERIC}
        self.by_kind: dict[str, list[KnowledgeObject]] = {}
        for each in self.objects.values():
            self.by_kind.setdefault(each.kind, []).append(each)
        self.near = lru_cache(maxsize=None)(self._near)
        self.passages = lru_cache(maxsize=1024)(self._passages)

    def _passages(self, object_id: str) -> tuple[Passage, ...]:
        return self.base.passages_of(object_id)

    def others(self, subject: KnowledgeObject, relation: str) -> list[str]:
        """Return the identifiers that stand in `relation` to an object and are asked about."""
        return [each.other for each in subject.relations if each.kind == relation and each.other in self.objects]

    def kin(self, subject: KnowledgeObject) -> set[str]:
        """Return parents and children, which are too near to be called wrong."""
        return {each.other for each in subject.relations if each.kind in (*_UP, *_DOWN)}

    def _near(self, object_id: str) -> tuple[tuple[str, ...], ...]:
        """Return objects of the same kind in groups, nearest first: siblings, those of the same tactics, all of the matrix."""
        subject = self.objects[object_id]
        siblings = [
            sibling
            for parent in self._along(subject, _UP)
            for sibling in self._along(self.objects[parent], _DOWN)
            if sibling != object_id
        ]
        same = [each for each in self.by_kind[subject.kind] if each.id != object_id and _comparable(each, subject)]
        tactics = set(subject.tactics)
        likely = [each.id for each in same if tactics & set(each.tactics)] if tactics else []
        return tuple(dict.fromkeys(siblings)), tuple(likely), tuple(each.id for each in same)

    def _along(self, subject: KnowledgeObject, relations: Iterable[str]) -> list[str]:
        wanted = set(relations)
        return [each.other for each in subject.relations if each.kind in wanted and each.other in self.objects]


def _comparable(one: KnowledgeObject, other: KnowledgeObject) -> bool:
    """Say whether two objects stand in the same matrix, or in none."""
    return bool(set(one.domains) & set(other.domains)) if other.domains else True
