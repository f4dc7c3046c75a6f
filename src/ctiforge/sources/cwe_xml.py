"""MITRE's CWE catalogue in XML, read entry by entry.

The schema is MITRE's ``cwe_schema_v7.x.xsd`` (https://cwe.mitre.org/data/xsd/); see `ctiforge.sources.xml_entries`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from ctiforge.core.errors import CatalogueError
from ctiforge.sources.xml_entries import CatalogueKind, clean_attribute, element_text, local_name, read_xml_entries

__all__ = ["CweEntry", "CweXml", "Relation", "ViewMember", "read_cwe_xml"]

MAX_XML_BYTES = 512 * 1024 * 1024
"""Refuse to unpack more: CWE 4.14 is 15 MB, so a file this large is a decompression bomb or something else entirely."""

_SECTIONS = {"Weaknesses": "weakness", "Categories": "category", "Views": "view"}
_FIX = "download the XML again from https://cwe.mitre.org/data/downloads.html and give its path (.xml, .xml.zip or .xml.gz)"


@dataclass(frozen=True, slots=True)
class Relation:
    """One ``Related_Weakness``: `nature` as MITRE writes it (``ChildOf``), `view` and `chain` 0 where the XML gives none."""

    nature: str
    target: int
    view: int
    primary: bool
    chain: int = 0


@dataclass(frozen=True, slots=True)
class ViewMember:
    """One ``Has_Member`` of a category or view; `view` 0 where the XML gives none."""

    target: int
    view: int


@dataclass(slots=True)
class CweEntry:
    """One weakness, category or view as the XML has it; white space in texts is collapsed."""

    kind: str
    number: int
    name: str
    status: str
    abstraction: str = ""
    view_type: str = ""
    usage: str = ""
    rationale: str = ""
    comments: str = ""
    description: str = ""
    suggestions: list[tuple[int, str]] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    members: list[ViewMember] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    former_names: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class CweXml:
    """A whole catalogue: `version` and `date` as MITRE states them, and the SHA-256 of the unpacked XML."""

    version: str
    date: str
    sha256: str
    entries: list[CweEntry]


def read_cwe_xml(path: Path) -> CweXml:
    """Read MITRE's XML, plain or inside .zip, .gz, .xz or .bz2 (told apart by content, not by name).

    Raises:
        CatalogueError: the file is missing, truncated, not a CWE catalogue, too large when unpacked, or declares a document
            type (a DOCTYPE is how entity expansion attacks start, and MITRE's files have none).
    """
    entries: dict[int, CweEntry] = {}

    def take(kind: str, element: Element) -> None:
        entry = _entry(kind, element)
        if entry.number in entries:
            raise CatalogueError(f"{path}: CWE-{entry.number} occurs twice", fix=_FIX)
        entries[entry.number] = entry

    expected = CatalogueKind("CWE catalogue", "Weakness_Catalog", _SECTIONS, _FIX, CatalogueError, MAX_XML_BYTES)
    head = read_xml_entries(path, expected, take)
    if not any(entry.kind == "weakness" for entry in entries.values()):
        raise CatalogueError(f"{path}: holds no weaknesses", fix=_FIX)
    return CweXml(head.version, head.date, head.sha256, list(entries.values()))


def _entry(kind: str, element: Element) -> CweEntry:
    number = int(element.get("ID", ""))
    name = clean_attribute(element.get("Name"))
    if number <= 0 or not name:
        raise ValueError(f"an entry with ID {element.get('ID')!r} and name {name!r}")
    entry = CweEntry(
        kind=kind,
        number=number,
        name=name,
        status=clean_attribute(element.get("Status")),
        abstraction=clean_attribute(element.get("Abstraction")),
        view_type=clean_attribute(element.get("Type")) if kind == "view" else "",
    )
    for child in element:
        if read := _CHILDREN.get(local_name(child)):
            read(entry, child)
    return entry


def _read_mapping_notes(entry: CweEntry, notes: Element) -> None:
    for child in notes:
        match local_name(child):
            case "Usage":
                entry.usage = element_text(child)
            case "Rationale":
                entry.rationale = element_text(child)
            case "Comments":
                entry.comments = element_text(child)
            case "Suggestions":
                entry.suggestions = [(int(s.get("CWE_ID", "")), clean_attribute(s.get("Comment"))) for s in child]


def _read_relations(entry: CweEntry, relations: Element) -> None:
    for child in relations:
        if local_name(child) == "Related_Weakness":
            relation = Relation(
                nature=child.get("Nature", ""),
                target=int(child.get("CWE_ID", "")),
                view=int(child.get("View_ID") or 0),
                primary=child.get("Ordinal") == "Primary",
                chain=int(child.get("Chain_ID") or 0),
            )
            entry.relations.append(relation)


def _read_members(entry: CweEntry, members: Element) -> None:
    for child in members:
        if local_name(child) == "Has_Member":
            entry.members.append(ViewMember(int(child.get("CWE_ID", "")), int(child.get("View_ID") or 0)))


def _read_terms(entry: CweEntry, terms: Element) -> None:
    entry.terms = [
        element_text(child) for term in terms for child in term if local_name(child) == "Term" and element_text(child)
    ]


def _read_examples(entry: CweEntry, examples: Element) -> None:
    references = [element_text(child) for example in examples for child in example if local_name(child) == "Reference"]
    entry.examples = [reference for reference in references if _CVE.fullmatch(reference)]


def _read_history(entry: CweEntry, history: Element) -> None:
    entry.former_names = [
        element_text(child) for child in history if local_name(child) == "Previous_Entry_Name" and element_text(child)
    ]


def _read_description(entry: CweEntry, description: Element) -> None:
    entry.description = element_text(description)


_CVE = re.compile(r"CVE-\d{4}-\d{4,}")
_CHILDREN: dict[str, Callable[[CweEntry, Element], None]] = {
    "Description": _read_description,
    "Mapping_Notes": _read_mapping_notes,
    "Related_Weaknesses": _read_relations,
    "Relationships": _read_members,
    "Members": _read_members,
    "Alternate_Terms": _read_terms,
    "Observed_Examples": _read_examples,
    "Content_History": _read_history,
}
