"""Typed relations between the objects of a catalogue, looked up by identifier from either end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ctiforge.core.errors import SettingError, did_you_mean

__all__ = ["RelationGraph", "TypedRelation"]


@dataclass(frozen=True, slots=True)
class TypedRelation:
    """`source` stands in relation `kind` to `target`; `description` is what the catalogue says about it, cleaned."""

    source: str
    kind: str
    target: str
    description: str = ""


class RelationGraph:
    """The relations of one catalogue; immutable, in the order given, each (source, kind, target) once.

    Args:
        relations: as read; of two with the same ends and kind, the first that has a description is kept.
        inverses: each kind to its name seen from the target, e.g. ``uses`` to ``used-by``. A kind that is its own inverse
            (``peer-of``) is symmetric.
    """

    def __init__(self, relations: Iterable[TypedRelation], inverses: Mapping[str, str]) -> None:
        kept: dict[tuple[str, str, str], TypedRelation] = {}
        for relation in relations:
            key = (relation.source, relation.kind, relation.target)
            if key not in kept or (relation.description and not kept[key].description):
                kept[key] = relation
        self._relations = kept
        self._names = dict.fromkeys([*inverses, *inverses.values()])
        self._neighbours: dict[tuple[str, str], dict[str, None]] = {}
        for source, kind, target in kept:
            self._neighbours.setdefault((source, kind), {})[target] = None
            self._neighbours.setdefault((target, inverses[kind]), {})[source] = None
        self._kinds = {inverse: kind for kind, inverse in inverses.items()}

    def __len__(self) -> int:
        return len(self._relations)

    def __iter__(self) -> Iterator[TypedRelation]:
        return iter(self._relations.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Every relation name that `neighbours` takes, from either end."""
        return tuple(self._names)

    def neighbours(self, object_id: str, relation: str) -> tuple[str, ...]:
        """Return the identifiers that `object_id` stands in `relation` to, in the catalogue's order; none is an empty tuple.

        Raises:
            SettingError: no relation of this catalogue has that name.
        """
        if relation not in self._names:
            raise SettingError(
                f"{relation!r} is not a relation of this catalogue",
                fix=did_you_mean(relation, self._names) or f"use one of {', '.join(self._names)}",
            )
        return tuple(self._neighbours.get((object_id, relation), ()))

    def get(self, object_id: str, relation: str, other: str) -> TypedRelation | None:
        """Return the relation between two objects with its description, seen from either end, or None."""
        found = self._relations.get((object_id, relation, other))
        return found or self._relations.get((other, self._kinds.get(relation, ""), object_id))
