"""CAPEC as MITRE's XML (schema ``ap_schema_v3.x.xsd``, https://capec.mitre.org/data/xsd/)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, tostring

from ctiforge.core.errors import InputError
from ctiforge.core.files import sha256
from ctiforge.sources.capec_objects import AttackPattern, CapecContents, PatternConsequence
from ctiforge.sources.capec_stix import FIX
from ctiforge.sources.markup import element_paragraphs
from ctiforge.sources.relations import TypedRelation
from ctiforge.sources.walk import printable_path
from ctiforge.sources.xml_entries import CatalogueKind, children, clean_attribute, element_text, read_xml_entries

__all__ = ["read_capec_xml"]

_KIND: Final = CatalogueKind(
    "CAPEC catalogue", "Attack_Pattern_Catalog", {"Attack_Patterns": "pattern"}, FIX, InputError, 256 * 1024 * 1024
)
_NATURES: Final = {
    "ChildOf": ("child-of", False),
    "ParentOf": ("child-of", True),
    "CanPrecede": ("can-precede", False),
    "CanFollow": ("can-precede", True),
    "PeerOf": ("peer-of", False),
    "CanAlsoBe": ("can-also-be", False),
}
_WITHDRAWN: Final = ("deprecated", "obsolete")


def read_capec_xml(path: Path) -> CapecContents:
    """Read the XML at `path`, plain or inside .zip, .gz, .xz or .bz2.

    Raises:
        InputError: see `ctiforge.sources.xml_entries.read_xml_entries`.
    """
    shown = printable_path(str(path))
    patterns: list[AttackPattern] = []
    relations: list[TypedRelation] = []
    withdrawn: list[str] = []

    def take(_: str, element: Element) -> None:
        capec_id = f"CAPEC-{int(element.get('ID', ''))}"
        if element.get("Status", "").lower() in _WITHDRAWN:
            withdrawn.append(capec_id)
            return
        patterns.append(_pattern(element, capec_id, shown))
        relations.extend(_relations(element, capec_id))

    head = read_xml_entries(path, _KIND, take)
    return CapecContents(head.version, head.date, head.sha256, patterns, relations, len(withdrawn))


def _pattern(element: Element, capec_id: str, path: str) -> AttackPattern:
    return AttackPattern(
        id=capec_id,
        name=clean_attribute(element.get("Name")),
        description=_text(element, "Description"),
        extended_description=_text(element, "Extended_Description"),
        abstraction=clean_attribute(element.get("Abstraction")),
        status=clean_attribute(element.get("Status")),
        likelihood=_text(element, "Likelihood_Of_Attack"),
        severity=_text(element, "Typical_Severity"),
        prerequisites=_texts(element, "Prerequisites", "Prerequisite"),
        skills=tuple(
            (each.get("Level", ""), element_paragraphs(each)) for each in _listed(element, "Skills_Required", "Skill")
        ),
        resources=_texts(element, "Resources_Required", "Resource"),
        consequences=_consequences(element),
        mitigations=_texts(element, "Mitigations", "Mitigation"),
        examples=_texts(element, "Example_Instances", "Example"),
        execution_flow=_execution_flow(element),
        alternate_terms=tuple(_text(each, "Term") for each in _listed(element, "Alternate_Terms", "Alternate_Term")),
        cwe_ids=_unique(
            f"CWE-{int(each.get('CWE_ID', ''))}" for each in _listed(element, "Related_Weaknesses", "Related_Weakness")
        ),
        attack_ids=_unique(_techniques(element)),
        created=next((_text(each, "Submission_Date") for each in _listed(element, "Content_History", "Submission")), ""),
        modified=max(
            (_text(each, "Modification_Date") for each in _listed(element, "Content_History", "Modification")), default=""
        ),
        source=path,
        sha256=sha256(tostring(element)),
    )


def _listed(element: Element, group: str, item: str) -> Iterator[Element]:
    return (each for found in children(element, group) for each in children(found, item))


def _text(element: Element, name: str) -> str:
    return element_paragraphs(next(children(element, name), None))


def _texts(element: Element, group: str, item: str) -> tuple[str, ...]:
    return _unique(text for each in _listed(element, group, item) if (text := element_paragraphs(each)))


def _unique(values: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _consequences(element: Element) -> tuple[PatternConsequence, ...]:
    return tuple(
        PatternConsequence(tuple(map(element_text, children(each, "Scope"))), element_text(impact), _text(each, "Note"))
        for each in _listed(element, "Consequences", "Consequence")
        for impact in children(each, "Impact")
    )


def _execution_flow(element: Element) -> str:
    steps = _listed(element, "Execution_Flow", "Attack_Step")
    return "\n".join(text for each in steps if (text := _text(each, "Description")))


def _techniques(element: Element) -> Iterator[str]:
    for each in _listed(element, "Taxonomy_Mappings", "Taxonomy_Mapping"):
        if each.get("Taxonomy_Name", "").upper() == "ATTACK" and (
            entry := element_text(next(children(each, "Entry_ID"), None))
        ):
            yield entry if entry.startswith("T") else f"T{entry}"


def _relations(element: Element, own: str) -> Iterator[TypedRelation]:
    for each in _listed(element, "Related_Attack_Patterns", "Related_Attack_Pattern"):
        if each.get("Nature", "") in _NATURES:
            kind, turned = _NATURES[each.get("Nature", "")]
            other = f"CAPEC-{int(each.get('CAPEC_ID', ''))}"
            yield TypedRelation(other, kind, own) if turned else TypedRelation(own, kind, other)
