"""The full texts of MITRE's CWE catalogue, which the table in `ctiforge.sources.cwe` leaves out, and all its relations.

The schema is ``cwe_schema_v7.x.xsd`` (https://cwe.mitre.org/data/xsd/). Demonstrative examples (code) are not read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, tostring

from ctiforge.core.errors import CatalogueError, InputError, did_you_mean
from ctiforge.core.files import sha256
from ctiforge.sources.cwe import find_cwe2_xml
from ctiforge.sources.markup import element_paragraphs
from ctiforge.sources.relations import RelationGraph, TypedRelation
from ctiforge.sources.walk import printable_path
from ctiforge.sources.xml_entries import CatalogueKind, children, clean_attribute, element_text, read_xml_entries

__all__ = [
    "CWE_LICENCE",
    "CWE_RELATIONS",
    "CweTexts",
    "WeaknessConsequence",
    "WeaknessDetection",
    "WeaknessExample",
    "WeaknessMitigation",
    "WeaknessText",
    "load_cwe_texts",
]

CWE_LICENCE: Final = "MITRE CWE Terms of Use"
"""https://cwe.mitre.org/about/termsofuse.html: use for any purpose with MITRE's copyright notice."""

CWE_RELATIONS: Final[Mapping[str, str]] = {
    "child-of": "parent-of",
    "can-precede": "can-follow",
    "peer-of": "peer-of",
    "can-also-be": "can-also-be",
    "requires": "required-by",
    "starts-with": "starts-chain",
    "exploited-by": "exploits",
    "observed-in": "example-of",
}
"""Each relation to its name from the other end. Those between weaknesses are View-1000's (but for ``starts-with``, of named
chains); ``exploited-by`` goes to CAPEC, ``observed-in`` to the CVE IDs of observed examples."""

_RESEARCH_CONCEPTS: Final = "1000"
_NATURES: Final = {
    "ChildOf": "child-of",
    "CanPrecede": "can-precede",
    "PeerOf": "peer-of",
    "CanAlsoBe": "can-also-be",
    "Requires": "requires",
    "StartsWith": "starts-with",
}
_FIX: Final = "download the XML from https://cwe.mitre.org/data/downloads.html and give its path (.xml, .xml.zip or .xml.gz)"
_KIND: Final = CatalogueKind(
    "CWE catalogue", "Weakness_Catalog", {"Weaknesses": "weakness"}, _FIX, InputError, 512 * 1024 * 1024
)
_CVE = re.compile(r"CVE-\d{4}-\d{4,}")


@dataclass(frozen=True, slots=True)
class WeaknessConsequence:
    """What may come of the weakness: technical `impacts` for each of the `scopes`; `likelihood` and `note` may be empty."""

    scopes: tuple[str, ...]
    impacts: tuple[str, ...]
    likelihood: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class WeaknessMitigation:
    """What helps against it, in which phases; `strategy` and `effectiveness` may be empty."""

    phases: tuple[str, ...]
    strategy: str
    description: str
    effectiveness: str = ""


@dataclass(frozen=True, slots=True)
class WeaknessDetection:
    """How it can be found; `method` is one of MITRE's, e.g. ``Fuzzing``."""

    method: str
    description: str
    effectiveness: str = ""


@dataclass(frozen=True, slots=True)
class WeaknessExample:
    """A CVE that MITRE gives as an observed example, with what MITRE says about it."""

    cve_id: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeaknessText:
    """One weakness with its texts, one line a paragraph.

    Attributes:
        cwe_id: ``CWE-79``.
        abstraction: ``Pillar``, ``Class``, ``Base``, ``Variant`` or ``Compound``.
        usage, rationale: MITRE's mapping notes (empty before CWE 4.12).
        terms: alternate terms with what MITRE says about them.
        likelihood: of exploit, may be empty.
        phases: when it is introduced.
        platforms: kind (``Language``, ``Technology``, ``Operating_System``, ``Architecture``) and name; classes such as
            'Not Language-Specific' included.
        created, modified: ISO 8601 days.
        source, sha256: the file, and the digest of the entry as read.
    """

    cwe_id: str
    name: str
    abstraction: str
    status: str
    description: str
    extended_description: str = ""
    usage: str = ""
    rationale: str = ""
    terms: tuple[tuple[str, str], ...] = ()
    likelihood: str = ""
    phases: tuple[str, ...] = ()
    platforms: tuple[tuple[str, str], ...] = ()
    consequences: tuple[WeaknessConsequence, ...] = ()
    mitigations: tuple[WeaknessMitigation, ...] = ()
    detections: tuple[WeaknessDetection, ...] = ()
    examples: tuple[WeaknessExample, ...] = ()
    capec_ids: tuple[str, ...] = ()
    created: str = ""
    modified: str = ""
    source: str = ""
    sha256: str = ""


class CweTexts:
    """The live weaknesses of one release with their texts; immutable, iterated in the file's order.

    Attributes:
        version, date: the release, e.g. ``4.14``, and its ISO 8601 day.
        path, sha256: the file, and the digest of the unpacked XML.
        withdrawn: deprecated and obsolete weaknesses that were left out.
        graph: the relations, see `CWE_RELATIONS`.
        licence: of the texts.
    """

    licence: Final = CWE_LICENCE

    def __init__(
        self,
        weaknesses: Mapping[str, WeaknessText],
        relations: list[TypedRelation],
        *,
        version: str,
        date: str,
        sha256: str,
        path: str,
        withdrawn: int = 0,
    ) -> None:
        self._weaknesses = dict(weaknesses)
        self.version, self.date, self.sha256, self.path, self.withdrawn = version, date, sha256, path, withdrawn
        kept = (each for each in relations if not each.target.startswith("CWE-") or each.target in self._weaknesses)
        self.graph = RelationGraph((each for each in kept if each.source in self._weaknesses), CWE_RELATIONS)

    def __len__(self) -> int:
        return len(self._weaknesses)

    def __iter__(self) -> Iterator[WeaknessText]:
        return iter(self._weaknesses.values())

    def __contains__(self, cwe_id: object) -> bool:
        return cwe_id in self._weaknesses

    def __getitem__(self, cwe_id: str) -> WeaknessText:
        """Return the weakness ``CWE-79``.

        Raises:
            CatalogueError: there is no live weakness with that identifier.
        """
        if (found := self._weaknesses.get(cwe_id)) is None:
            guess = did_you_mean(cwe_id, self._weaknesses)
            raise CatalogueError(f"CWE {self.version} has no live weakness {cwe_id!r}", fix=guess or "check the identifier")
        return found

    def neighbours(self, object_id: str, relation: str) -> tuple[str, ...]:
        """Return identifiers that `object_id` (CWE, CAPEC or CVE) stands in `relation` to; see `CWE_RELATIONS`."""
        return self.graph.neighbours(object_id, relation)

    def closure(self, cwe_id: str, relation: str) -> frozenset[str]:
        """Return everything reached by following `relation` from `cwe_id` any number of times, itself not included."""
        found: dict[str, None] = {}
        level = [cwe_id]
        while level:
            level = [other for each in level for other in self.neighbours(each, relation) if other not in found]
            found.update(dict.fromkeys(level))
        return frozenset(found) - {cwe_id}


def load_cwe_texts(path: str | os.PathLike[str] | None = None) -> CweTexts:
    """Read MITRE's CWE XML, plain or inside .zip, .gz, .xz or .bz2; without a path the one in the package ``cwe2`` (4.14).

    Raises:
        InputError: the file is missing, truncated, not CWE's XML, or holds no weaknesses.
        MissingExtraError: no path is given and ``cwe2`` is not installed.
    """
    file = Path(path) if path is not None else find_cwe2_xml()
    shown = printable_path(str(file))
    weaknesses: dict[str, WeaknessText] = {}
    relations: list[TypedRelation] = []
    withdrawn: list[str] = []

    def take(_: str, element: Element) -> None:
        cwe_id = f"CWE-{int(element.get('ID', ''))}"
        if element.get("Status", "").lower() in ("deprecated", "obsolete"):
            withdrawn.append(cwe_id)
            return
        weaknesses[cwe_id] = weakness = _weakness(element, cwe_id, shown)
        relations.extend(_relations(element, weakness))

    head = read_xml_entries(file, _KIND, take)
    if not weaknesses:
        raise InputError(f"{shown}: holds no weaknesses", fix=_FIX)
    return CweTexts(
        weaknesses,
        relations,
        version=head.version,
        date=head.date,
        sha256=head.sha256,
        path=shown,
        withdrawn=len(withdrawn),
    )


def _weakness(element: Element, cwe_id: str, path: str) -> WeaknessText:
    notes = next(children(element, "Mapping_Notes"), None)
    history = next(children(element, "Content_History"), None)
    return WeaknessText(
        cwe_id=cwe_id,
        name=clean_attribute(element.get("Name")),
        abstraction=clean_attribute(element.get("Abstraction")),
        status=clean_attribute(element.get("Status")),
        description=_text(element, "Description"),
        extended_description=_text(element, "Extended_Description"),
        usage=_text(notes, "Usage"),
        rationale=_text(notes, "Rationale"),
        terms=tuple(
            (_text(each, "Term"), _text(each, "Description")) for each in _listed(element, "Alternate_Terms", "Alternate_Term")
        ),
        likelihood=_text(element, "Likelihood_Of_Exploit"),
        phases=_unique(_text(each, "Phase") for each in _listed(element, "Modes_Of_Introduction", "Introduction")),
        platforms=_platforms(element),
        consequences=tuple(map(_consequence, _listed(element, "Common_Consequences", "Consequence"))),
        mitigations=tuple(
            WeaknessMitigation(_values(each, "Phase"), _text(each, "Strategy"), text, _text(each, "Effectiveness"))
            for each in _listed(element, "Potential_Mitigations", "Mitigation")
            if (text := _text(each, "Description"))
        ),
        detections=tuple(
            WeaknessDetection(_text(each, "Method"), _text(each, "Description"), _text(each, "Effectiveness"))
            for each in _listed(element, "Detection_Methods", "Detection_Method")
        ),
        examples=tuple(
            WeaknessExample(reference, _text(each, "Description"))
            for each in _listed(element, "Observed_Examples", "Observed_Example")
            if _CVE.fullmatch(reference := _text(each, "Reference"))
        ),
        capec_ids=_unique(
            f"CAPEC-{int(each.get('CAPEC_ID', ''))}"
            for each in _listed(element, "Related_Attack_Patterns", "Related_Attack_Pattern")
        ),
        created=_day(history, "Submission"),
        modified=_day(history, "Modification"),
        source=path,
        sha256=sha256(tostring(element)),
    )


def _relations(element: Element, weakness: WeaknessText) -> Iterator[TypedRelation]:
    own = weakness.cwe_id
    for each in _listed(element, "Related_Weaknesses", "Related_Weakness"):
        kind = _NATURES.get(each.get("Nature", ""))
        if kind and (kind == "starts-with" or each.get("View_ID", _RESEARCH_CONCEPTS) == _RESEARCH_CONCEPTS):
            yield TypedRelation(own, kind, f"CWE-{int(each.get('CWE_ID', ''))}")
    yield from (TypedRelation(own, "exploited-by", capec_id) for capec_id in weakness.capec_ids)
    yield from (TypedRelation(own, "observed-in", each.cve_id, each.description) for each in weakness.examples)


def _consequence(element: Element) -> WeaknessConsequence:
    return WeaknessConsequence(
        _values(element, "Scope"), _values(element, "Impact"), _text(element, "Likelihood"), _text(element, "Note")
    )


def _platforms(element: Element) -> tuple[tuple[str, str], ...]:
    found = (
        (each.tag.rpartition("}")[2], clean_attribute(each.get("Name") or each.get("Class")))
        for group in children(element, "Applicable_Platforms")
        for each in group
    )
    return tuple(dict.fromkeys(platform for platform in found if platform[1]))


def _listed(element: Element, group: str, item: str) -> Iterator[Element]:
    return (each for found in children(element, group) for each in children(found, item))


def _text(element: Element | None, name: str) -> str:
    return "" if element is None else element_paragraphs(next(children(element, name), None))


def _values(element: Element, name: str) -> tuple[str, ...]:
    return _unique(element_text(each) for each in children(element, name))


def _day(history: Element | None, name: str) -> str:
    """Return the day of the first submission, or of the last modification; MITRE writes them in order of time."""
    dates = [_text(each, f"{name}_Date") for each in children(history, name)] if history is not None else []
    return (max(dates) if name == "Modification" else dates[0])[:10] if dates else ""


def _unique(values: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
