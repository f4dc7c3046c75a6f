"""The names of relations from either end, and one graph over all sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ctiforge.ask.objects import Relation
from ctiforge.core.errors import SettingError, did_you_mean
from ctiforge.sources.attack import ATTACK_RELATIONS
from ctiforge.sources.capec import CAPEC_RELATIONS
from ctiforge.sources.cwe_texts import CWE_RELATIONS

__all__ = ["RELATIONS", "Link", "check_relation", "relations_from_both_ends"]

CVE_RELATIONS: Final[Mapping[str, str]] = {"has-weakness": "weakness-of"}
"""From a CVE to the CWE entries that its publishers assigned."""


def _both_ways(*tables: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for table in tables:
        for kind, inverse in table.items():
            found.setdefault(kind, inverse)
            found.setdefault(inverse, kind)
    return found


RELATIONS: Final[Mapping[str, str]] = MappingProxyType(
    _both_ways(ATTACK_RELATIONS, CAPEC_RELATIONS, CWE_RELATIONS, CVE_RELATIONS)
)
"""Every relation name to its name from the other end, e.g. ``mitigates`` to ``mitigated-by`` and back."""


@dataclass(frozen=True, slots=True)
class Link:
    """`start` stands in relation `kind` to `end`, as the source `source` (a key) says."""

    start: str
    kind: str
    end: str
    description: str = ""
    source: str = ""


def check_relation(kind: str) -> str:
    """Return `kind` if it names a relation.

    Raises:
        SettingError: it does not; near misses are named.
    """
    if kind not in RELATIONS:
        guess = did_you_mean(kind, RELATIONS) or f"use one of {', '.join(sorted(RELATIONS))}"
        raise SettingError(f"{kind!r} is not a relation of the knowledge base", fix=guess)
    return kind


def relations_from_both_ends(links: Iterable[Link], names: Mapping[str, str]) -> dict[str, list[Relation]]:
    """Return each held object's relations, grouped by kind in the order in which kinds were met.

    Two sources may state the same relation (CAPEC and CWE each name the other): it is kept once, with the first description.

    Args:
        names: identifier of each held object to its full name; ends that are not held get no list of their own.
    """
    found: dict[str, dict[str, dict[str, Relation]]] = {}
    for link in links:
        for own, kind, other in ((link.start, link.kind, link.end), (link.end, RELATIONS[link.kind], link.start)):
            if own not in names:
                continue
            known = found.setdefault(own, {}).setdefault(kind, {})
            if other not in known or (link.description and not known[other].description):
                known[other] = Relation(kind, other, names.get(other, ""), link.description, link.source)
    return {own: [each for group in kinds.values() for each in group.values()] for own, kinds in found.items()}
