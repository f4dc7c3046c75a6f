"""MITRE ATT&CK from its STIX 2.1 bundles: typed objects, and relations that can be asked from either end.

Bundles: https://github.com/mitre-attack/attack-stix-data (one a domain and release). Read by ctiforge in the form of v18, in
which detection strategies and analytics took the place of data sources; earlier releases are read too.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from ctiforge.core.errors import CatalogueError, InputError, did_you_mean
from ctiforge.sources.attack_build import ATTACK_TYPES, DOMAIN_OF_KILL_CHAIN, attack_id, build_object
from ctiforge.sources.attack_objects import AttackObject, Domain, Tactic, Technique
from ctiforge.sources.markup import clean_markup
from ctiforge.sources.relations import RelationGraph, TypedRelation
from ctiforge.sources.stix import StixBundle, is_withdrawn, load_bundle

__all__ = ["ATTACK_LICENCE", "ATTACK_RELATIONS", "AttackBundle", "AttackCatalogue", "data_components", "load_attack"]

ATTACK_LICENCE: Final = "MITRE ATT&CK Terms of Use"
"""https://attack.mitre.org/resources/legal-and-branding/terms-of-use/: use for any purpose with MITRE's copyright notice."""

ATTACK_RELATIONS: Final[Mapping[str, str]] = {
    "uses": "used-by",
    "mitigates": "mitigated-by",
    "detects": "detected-by",
    "subtechnique-of": "has-subtechnique",
    "attributed-to": "has-campaign",
    "targets": "targeted-by",
    "in-tactic": "has-technique",
    "has-analytic": "analytic-of",
    "reads": "read-by",
    "component-of": "has-component",
}
"""Each relation to its name from the other end. The first six are STIX relationships; the others stand in properties:
technique to tactic, detection strategy to analytic, analytic to data component, data component to data source."""

_STIX_KINDS: Final = ("uses", "mitigates", "detects", "subtechnique-of", "attributed-to", "targets")
_FIX: Final = (
    "give MITRE's bundles, such as enterprise-attack.json, from https://github.com/mitre-attack/attack-stix-data "
    "(.json, .json.xz, .json.gz or .zip)"
)
_T = TypeVar("_T", bound=AttackObject)


@dataclass(frozen=True, slots=True)
class AttackBundle:
    """What one file was.

    Attributes:
        path, sha256: the file, and the digest of its unpacked bytes.
        domains: which ATT&CK matrices it covers.
        version: release, e.g. ``18.1``; empty where the bundle has no ``x-mitre-collection`` and the caller stated none.
        modified: ISO 8601 day of the latest change in it.
        withdrawn: revoked or deprecated objects that were left out, by STIX type.
    """

    path: str
    sha256: str
    domains: tuple[Domain, ...]
    version: str
    modified: str
    withdrawn: Mapping[str, int]


class AttackCatalogue:
    """The live objects of one or more bundles; immutable.

    Args:
        objects: by ATT&CK identifier; an object of several domains once.
        relations: between them.
        successors: identifiers of revoked objects to what MITRE replaced them by.
        bundles: where all that came from.

    Attributes:
        graph: the relations, see `ATTACK_RELATIONS` for their names.
        licence: of the texts.
    """

    licence: Final = ATTACK_LICENCE

    def __init__(
        self,
        objects: Mapping[str, AttackObject],
        relations: Iterable[TypedRelation],
        successors: Mapping[str, str],
        bundles: Sequence[AttackBundle],
    ) -> None:
        self._objects = dict(objects)
        self.graph = RelationGraph(relations, ATTACK_RELATIONS)
        self._successors = dict(successors)
        self.bundles = tuple(bundles)

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[AttackObject]:
        return iter(self._objects.values())

    def __contains__(self, object_id: object) -> bool:
        return object_id in self._objects

    def __getitem__(self, object_id: str) -> AttackObject:
        """Return the object with ATT&CK's identifier `object_id`, e.g. ``T1055.011``.

        Raises:
            CatalogueError: there is no live object with it; a successor or near misses are named.
        """
        if (found := self._objects.get(object_id)) is None:
            after = self._successors.get(object_id)
            guess = f"it was revoked; use {after}" if after else did_you_mean(object_id, self._objects)
            raise CatalogueError(f"ATT&CK has no object {object_id!r} in the bundles read", fix=guess or "check the identifier")
        return found

    @property
    def successors(self) -> Mapping[str, str]:
        """Identifiers of revoked objects to those of their live successors."""
        return dict(self._successors)

    @property
    def version(self) -> str:
        """The release where all bundles are of one, else empty."""
        versions = {bundle.version for bundle in self.bundles}
        return versions.pop() if len(versions) == 1 else ""

    def of_type(self, kind: type[_T]) -> tuple[_T, ...]:
        """Return all objects of a class, e.g. `Technique`, in the order of the bundles."""
        return tuple(each for each in self._objects.values() if isinstance(each, kind))

    def resolve(self, object_id: str) -> str | None:
        """Return `object_id` if it is live, what replaced it if it was revoked, None if it is unknown or was deprecated."""
        return object_id if object_id in self._objects else self._successors.get(object_id)

    def neighbours(self, object_id: str, relation: str) -> tuple[str, ...]:
        """Return identifiers that `object_id` stands in `relation` to, see `ATTACK_RELATIONS`; unknown names are refused."""
        return self.graph.neighbours(object_id, relation)

    def full_name(self, object_id: str) -> str:
        """Return the name as ATT&CK's pages have it: for a sub-technique the parent's name, a colon, and its own.

        Names of sub-techniques alone are not unique (there are several 'Spearphishing Link').
        """
        parents = self.graph.neighbours(object_id, "subtechnique-of")
        name = self[object_id].name
        return f"{self[parents[0]].name}: {name}" if parents else name


def load_attack(paths: Iterable[str | os.PathLike[str]], *, version: str = "") -> AttackCatalogue:
    """Read ATT&CK bundles of any domains into one catalogue.

    Revoked and deprecated objects are left out. A relation to a revoked object goes to its successor, except for
    ``subtechnique-of``, which is about the old place; one to a deprecated or missing object is left out. An object that
    is in several bundles is taken from the one that changed it last, with the domains of all.

    Args:
        version: the release, for bundles that do not state it.

    Raises:
        InputError: no path is given, or a file is not a bundle of ATT&CK; see `load_bundle` for damaged ones.
    """
    reading = _Reading()
    for path in paths:
        reading.take(load_bundle(path, "an ATT&CK bundle", _FIX), version)
    if not reading.bundles:
        raise InputError("no ATT&CK bundle was given", fix=_FIX)
    return AttackCatalogue(reading.objects, reading.relations(), reading.successors(), reading.bundles)


class _Reading:
    """What the bundles read so far hold."""

    def __init__(self) -> None:
        self.objects: dict[str, AttackObject] = {}
        self.bundles: list[AttackBundle] = []
        self._id_of: dict[str, str] = {}  # STIX identifiers of live objects
        self._revoked: dict[str, tuple[str, str]] = {}  # STIX ID of a revoked object: its own ID, its successor's STIX ID
        self._links: list[tuple[str, str, str, str]] = []
        self._phases: list[tuple[str, Domain, str]] = []
        self._tactics: dict[tuple[Domain, str], str] = {}

    def take(self, bundle: StixBundle, version: str) -> None:
        live: list[AttackObject] = []
        withdrawn: Counter[str] = Counter()
        for each in bundle.of_type(*ATTACK_TYPES):
            if is_withdrawn(each):
                withdrawn[each["type"]] += 1
            elif (made := build_object(each, bundle.path)) is not None:
                live.append(made)
                self._take_object(made)
                self._take_properties(each, made.id)
        if not any(isinstance(made, Technique) for made in live):
            raise InputError(f"{bundle.path}: a STIX bundle, but without a single ATT&CK technique", fix=_FIX)
        for made in live:
            if isinstance(made, Tactic):
                self._tactics.update({(domain, made.shortname): made.id for domain in made.domains})
        for each in bundle.of_type("relationship"):
            self._take_relationship(each, bundle)
        domains = tuple(dict.fromkeys(domain for made in live if isinstance(made, Tactic) for domain in made.domains))
        stated = next((str(each.get("x_mitre_version", "")) for each in bundle.of_type("x-mitre-collection")), version)
        modified = max((str(each.get("modified", "")) for each in bundle.objects.values()), default="")[:10]
        self.bundles.append(AttackBundle(bundle.path, bundle.sha256, domains, stated, modified, dict(withdrawn)))

    def _take_object(self, made: AttackObject) -> None:
        earlier = self.objects.get(made.id)
        if earlier is not None and earlier.stix_id != made.stix_id and earlier.modified >= made.modified:
            return  # two live objects with one identifier: MITRE's slip; the newer one stands
        newest = made if earlier is None or earlier.modified < made.modified else earlier
        domains = dict.fromkeys([*(earlier.domains if earlier else ()), *made.domains])
        self.objects[made.id] = replace(newest, domains=tuple(domains))
        self._id_of[made.stix_id] = made.id

    def _take_properties(self, each: dict[str, Any], own: str) -> None:
        for phase in each.get("kill_chain_phases") or ():
            if domain := DOMAIN_OF_KILL_CHAIN.get(str(phase.get("kill_chain_name"))):
                self._phases.append((own, domain, str(phase.get("phase_name"))))
        for reference in each.get("x_mitre_analytic_refs") or ():
            self._links.append((each["id"], "has-analytic", str(reference), ""))
        for entry in each.get("x_mitre_log_source_references") or ():
            self._links.append((each["id"], "reads", str(entry.get("x_mitre_data_component_ref")), ""))
        if reference := each.get("x_mitre_data_source_ref"):
            self._links.append((each["id"], "component-of", str(reference), ""))

    def _take_relationship(self, each: dict[str, Any], bundle: StixBundle) -> None:
        source, target, kind = (str(each.get(key)) for key in ("source_ref", "target_ref", "relationship_type"))
        if is_withdrawn(each):
            return
        if kind == "revoked-by":
            self._revoked[source] = (attack_id(bundle.objects.get(source, {})), target)
        elif kind in _STIX_KINDS:
            self._links.append((source, kind, target, clean_markup(str(each.get("description") or ""))))

    def _live(self, stix_id: str) -> str | None:
        """Follow successors to a live object; a chain of them may be long, and a circle ends it."""
        seen: set[str] = set()
        while stix_id not in self._id_of and stix_id in self._revoked and stix_id not in seen:
            seen.add(stix_id)
            stix_id = self._revoked[stix_id][1]
        return self._id_of.get(stix_id)

    def successors(self) -> dict[str, str]:
        """Return identifiers of revoked objects to those of their live successors."""
        found = {own: self._live(stix_id) for stix_id, (own, _) in self._revoked.items() if own}
        return {own: after for own, after in found.items() if after and own not in self.objects}

    def relations(self) -> Iterator[TypedRelation]:
        """Yield the relations between live objects."""
        for own, domain, shortname in self._phases:
            if tactic := self._tactics.get((domain, shortname)):
                yield TypedRelation(own, "in-tactic", tactic)
        for source_ref, kind, target_ref, description in self._links:
            find = self._id_of.get if kind == "subtechnique-of" else self._live
            source, target = find(source_ref), find(target_ref)
            if source and target and source != target:
                yield TypedRelation(source, kind, target, description)


def data_components(catalogue: AttackCatalogue, technique_id: str) -> tuple[str, ...]:
    """Return the data components that the analytics of a technique's detection strategies read."""
    strategies = catalogue.neighbours(technique_id, "detected-by")
    analytics = [each for strategy in strategies for each in catalogue.neighbours(strategy, "has-analytic")]
    return tuple(dict.fromkeys(each for analytic in analytics for each in catalogue.neighbours(analytic, "reads")))
