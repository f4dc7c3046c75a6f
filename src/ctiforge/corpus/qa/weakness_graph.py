"""Neighbourhoods in CWE's View-1000: what is near a weakness, and what is too near to be called wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from ctiforge.corpus.qa.question import Subject
from ctiforge.sources.cwe_texts import CweTexts

__all__ = ["WeaknessGraph"]


class WeaknessGraph:
    """Questions about neighbourhoods, answered from one catalogue and remembered."""

    def __init__(self, cwe: CweTexts) -> None:
        self.cwe = cwe
        self.kin = cache(self._kin)
        self.near = cache(self._near)

    def subject(self, cwe_id: str) -> Subject:
        """Return a weakness as the subject of a question."""
        each = self.cwe[cwe_id]
        return Subject(each.cwe_id, each.source, each.sha256, self.cwe.licence, each.created)

    def _kin(self, cwe_id: str) -> frozenset[str]:
        """Return all weaknesses above and below one, and its peers: what is said of one may hold for them."""
        peers = (*self.cwe.neighbours(cwe_id, "peer-of"), *self.cwe.neighbours(cwe_id, "can-also-be"))
        return frozenset({*self.cwe.closure(cwe_id, "child-of"), *self.cwe.closure(cwe_id, "parent-of"), *peers})

    def parents_and_children(self, cwe_id: str) -> tuple[str, ...]:
        """Return the weaknesses one step above and below."""
        return (*self.cwe.neighbours(cwe_id, "child-of"), *self.cwe.neighbours(cwe_id, "parent-of"))

    def kin_of_all(self, cwe_ids: Iterable[str]) -> set[str]:
        """Return the kin of several weaknesses together."""
        return {other for each in cwe_ids for other in self.kin(each)}

    def _near(self, cwe_id: str) -> Sequence[Sequence[str]]:
        """Return other weaknesses: siblings, cousins, all of the same abstraction, all."""
        up = self.cwe.neighbours(cwe_id, "child-of")
        siblings = [s for parent in up for s in self.cwe.neighbours(parent, "parent-of")]
        grand = [g for parent in up for g in self.cwe.neighbours(parent, "child-of")]
        uncles = [uncle for g in grand for uncle in self.cwe.neighbours(g, "parent-of")]
        cousins = [c for uncle in uncles for c in self.cwe.neighbours(uncle, "parent-of")]
        level = self.cwe[cwe_id].abstraction
        same = [each.cwe_id for each in self.cwe if each.abstraction == level]
        groups = [siblings, cousins, same, [each.cwe_id for each in self.cwe]]
        return [[each for each in dict.fromkeys(group) if each != cwe_id] for group in groups]
