"""Neighbourhoods in ATT&CK: what is near a technique, and what is too near to be called wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ctiforge.corpus.qa.question import Subject
from ctiforge.sources.attack import AttackCatalogue, data_components
from ctiforge.sources.attack_objects import Technique

__all__ = ["DOMAIN_NAMES", "TechniqueGraph"]

DOMAIN_NAMES = {"enterprise": "Enterprise", "mobile": "Mobile", "ics": "ICS"}


class TechniqueGraph:
    """Questions about neighbourhoods, answered from one catalogue and remembered."""

    def __init__(self, attack: AttackCatalogue) -> None:
        self.attack = attack
        self.techniques = attack.of_type(Technique)
        self._by_tactic: dict[str, list[str]] = {}
        for each in self.techniques:
            for tactic in attack.neighbours(each.id, "in-tactic"):
                self._by_tactic.setdefault(tactic, []).append(each.id)
        self._near: dict[str, list[list[str]]] = {}

    def subject(self, object_id: str) -> Subject:
        """Return an ATT&CK object as the subject of a question."""
        each = self.attack[object_id]
        return Subject(each.id, each.source, each.sha256, self.attack.licence, each.created)

    def technique(self, technique_id: str) -> Technique:
        """Return an object that is known to be a technique."""
        found = self.attack[technique_id]
        assert isinstance(found, Technique)
        return found

    def kin(self, technique_id: str) -> tuple[str, ...]:
        """Return parent and sub-techniques: what is true of one is often true of the other."""
        up = self.attack.neighbours(technique_id, "subtechnique-of")
        return (*up, *self.attack.neighbours(technique_id, "has-subtechnique"))

    def kin_of_all(self, technique_ids: Iterable[str]) -> set[str]:
        """Return the kin of several techniques together."""
        return {other for each in technique_ids for other in self.kin(each)}

    def siblings(self, technique_id: str) -> list[str]:
        """Return the other sub-techniques of the same parent."""
        parents = self.attack.neighbours(technique_id, "subtechnique-of")
        return [s for p in parents for s in self.attack.neighbours(p, "has-subtechnique") if s != technique_id]

    def near(self, technique_id: str) -> Sequence[Sequence[str]]:
        """Return other techniques of the same domain: siblings, same tactic and platform, same tactic, any."""
        if technique_id not in self._near:
            own = self.technique(technique_id)
            same = {t for tactic in self.attack.neighbours(technique_id, "in-tactic") for t in self._by_tactic[tactic]}
            ordered = [each for each in self.techniques if each.id in same and each.id != technique_id]
            platforms = set(own.platforms)
            rest = [t.id for t in self.techniques if set(t.domains) & set(own.domains) and t.id != technique_id]
            self._near[technique_id] = [
                self.siblings(technique_id),
                [each.id for each in ordered if platforms & set(each.platforms)],
                [each.id for each in ordered],
                rest,
            ]
        return self._near[technique_id]

    def near_values(self, technique_id: str, relation: str) -> Sequence[Sequence[str]]:
        """Return what near techniques stand in `relation` to, in the groups of `near`."""
        return [
            list(dict.fromkeys(value for each in group for value in self.attack.neighbours(each, relation)))
            for group in self.near(technique_id)
        ]

    def components(self, technique_id: str) -> tuple[str, ...]:
        """Return the data components that detect a technique."""
        return data_components(self.attack, technique_id)

    def analytics(self, technique_id: str) -> list[str]:
        """Return the analytics that detect a technique."""
        strategies = self.attack.neighbours(technique_id, "detected-by")
        return [each for strategy in strategies for each in self.attack.neighbours(strategy, "has-analytic")]

    def domain_name(self, object_id: str) -> str:
        """Return ``Enterprise``, ``Mobile`` or ``ICS``, the first where an object is in several."""
        domains = self.attack[object_id].domains
        return DOMAIN_NAMES[domains[0]] if domains else "Enterprise"
