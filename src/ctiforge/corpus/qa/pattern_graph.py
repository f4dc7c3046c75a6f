"""Neighbourhoods in CAPEC: what is near an attack pattern, and what is too near to be called wrong."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from ctiforge.corpus.qa.question import Subject
from ctiforge.sources.capec import CapecCatalogue

__all__ = ["PatternGraph"]


class PatternGraph:
    """What is near an attack pattern, and what is too near to be called wrong."""

    def __init__(self, capec: CapecCatalogue) -> None:
        self.capec = capec
        self.kin = cache(self._kin)
        self.near = cache(self._near)

    def subject(self, capec_id: str) -> Subject:
        """Return a pattern as the subject of a question."""
        each = self.capec[capec_id]
        return Subject(each.id, each.source, each.sha256, self.capec.licence, each.created)

    def _kin(self, capec_id: str) -> frozenset[str]:
        """Return all patterns above and below one."""
        return self._closure(capec_id, "child-of") | self._closure(capec_id, "parent-of")

    def _closure(self, capec_id: str, relation: str) -> frozenset[str]:
        found: set[str] = set()
        level = [capec_id]
        while level:
            level = [other for each in level for other in self.capec.neighbours(each, relation) if other not in found]
            found.update(level)
        return frozenset(found - {capec_id})

    def kin_of_all(self, capec_ids: Sequence[str]) -> set[str]:
        """Return the kin of several patterns together."""
        return {other for each in capec_ids for other in self.kin(each)}

    def _near(self, capec_id: str) -> list[list[str]]:
        """Return other patterns: siblings, cousins, all of the same abstraction, all."""
        up = self.capec.neighbours(capec_id, "child-of")
        siblings = [s for parent in up for s in self.capec.neighbours(parent, "parent-of")]
        grand = [g for parent in up for g in self.capec.neighbours(parent, "child-of")]
        cousins = [
            c
            for g in grand
            for uncle in self.capec.neighbours(g, "parent-of")
            for c in self.capec.neighbours(uncle, "parent-of")
        ]
        level = self.capec[capec_id].abstraction
        same = [each.id for each in self.capec if each.abstraction == level]
        groups = [siblings, cousins, same, [each.id for each in self.capec]]
        return [[each for each in dict.fromkeys(group) if each != capec_id] for group in groups]
