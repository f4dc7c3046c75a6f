"""The compact table of CWE facts: built from MITRE's XML, shipped with the package, read in a few milliseconds.

The table is JSON, one entry a line, so that it cannot execute code, two builds of one XML give equal bytes, and a new CWE
release is a readable diff. It holds facts only: names, levels, usage, relations, membership; no descriptions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from ctiforge.core.errors import CatalogueError, MissingExtraError
from ctiforge.sources.cwe_views import view_membership
from ctiforge.sources.cwe_xml import CweEntry, CweXml, read_cwe_xml

__all__ = ["FORMAT", "RESEARCH_CONCEPTS", "USAGES", "build_table", "find_cwe2_xml", "table_from_xml"]

FORMAT: Final = "ctiforge-cwe-1"
"""First value of a table; a reader refuses any other."""

RESEARCH_CONCEPTS: Final = 1000
"""View-1000, the one that holds every live weakness: https://cwe.mitre.org/data/definitions/1000.html."""

USAGES: Final = ("Allowed", "Allowed-with-Review", "Discouraged", "Prohibited")

_NOTICE = (
    "Facts from the Common Weakness Enumeration. Copyright (c) 2006-{year}, The MITRE Corporation. CWE is a trademark of The "
    "MITRE Corporation. Used under the CWE terms of use, https://cwe.mitre.org/about/termsofuse.html (see LICENSE-CWE.txt)."
)

_T = TypeVar("_T")
_ABSTRACTIONS = {"pillar": "Pillar", "class": "Class", "base": "Base", "variant": "Variant", "compound": "Compound"}
_CWE_MENTION = re.compile(r"CWE-(\d+)")
# How the description of a deprecated entry names its replacement. 'Overlaps CWE-470' and the like are not replacements.
_REPLACEMENT = re.compile(
    r"(?:transferred to|found at|integrated into|refer to|duplicate of|equivalent is|described in|\bsee)\s+"
    r"((?:CWE-\d+(?:\s*(?:,|and)\s*)*)+)",
    re.IGNORECASE,
)


def find_cwe2_xml() -> Path:
    """Return the path of the XML inside the installed package ``cwe2`` (CWE 4.14), without importing it.

    Raises:
        MissingExtraError: `cwe2` is not installed.
        CatalogueError: it is installed but carries no XML.
    """
    spec = find_spec("cwe2")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("cwe2", "train")
    found = sorted(xml for folder in spec.submodule_search_locations for xml in Path(folder).glob("database*/cwec_v*.xml"))
    if not found:
        raise CatalogueError(
            "the installed package 'cwe2' holds no CWE XML",
            fix="pip install 'cwe2>=3.0', or download the XML from https://cwe.mitre.org/data/downloads.html",
        )
    return found[-1]


def build_table(xml_path: str | Path) -> bytes:
    """Return the table for MITRE's XML at `xml_path`; equal input gives equal bytes.

    Raises:
        CatalogueError: see `ctiforge.sources.cwe_xml.read_cwe_xml`; also where ChildOf in View-1000 runs in a circle.
    """
    path = Path(xml_path)
    return table_from_xml(read_cwe_xml(path), str(path))


def table_from_xml(xml: CweXml, place: str) -> bytes:
    """Return the table for an XML that was read already; `place` is named in errors."""
    entries = sorted(xml.entries, key=lambda entry: entry.number)
    weaknesses = [entry for entry in entries if entry.kind == "weakness"]
    known = {entry.number for entry in entries}
    live = {entry.number for entry in weaknesses}
    _refuse_cycles(weaknesses, live, place)
    views = view_membership(entries)
    rationales = sorted({entry.rationale for entry in entries if entry.rationale})
    reason = {text: index for index, text in enumerate(rationales)}
    follows, peers = _inverse(weaknesses, "CanPrecede"), _inverse(weaknesses, "PeerOf")
    rows = []
    for entry in weaknesses:
        row = _common(entry, reason)
        row |= {
            "abstraction": _ABSTRACTIONS.get(entry.abstraction.lower(), "Class"),
            "parents": _targets(entry, "ChildOf"),
            "can_precede": _targets(entry, "CanPrecede"),
            "can_follow": _unique([*_targets(entry, "CanFollow"), *follows.get(entry.number, ())]),
            "peers": _unique([*_targets(entry, "PeerOf"), *peers.get(entry.number, ())]),
            "requires": _targets(entry, "Requires"),
            "chain": _chain(entry, weaknesses),
            "views": sorted(views.get(entry.number, ())),
            "terms": _unique(entry.terms),
            "former": _unique(name for name in entry.former_names if name != entry.name),
            "examples": _unique(example.removeprefix("CVE-") for example in entry.examples),
        }
        for key in ("parents", "can_precede", "can_follow", "peers", "requires", "chain"):
            row[key] = [target for target in row[key] if target in live and target != entry.number]
        rows.append(row)
    groups = {"category": [], "view": []}  # type: dict[str, list[dict[str, Any]]]
    for entry in entries:
        if entry.kind in groups:
            row = _common(entry, reason)
            row["members"] = _unique(member.target for member in entry.members if member.target in known)
            row["former"] = _unique(name for name in entry.former_names if name != entry.name)
            groups[entry.kind].append(row)
    head = {
        "format": FORMAT,
        "version": xml.version,
        "date": xml.date,
        "xml_sha256": xml.sha256,
        "notice": _NOTICE.format(year=xml.date[:4] or "2024"),
        "rationales": rationales,
    }
    return _render(head, {"weaknesses": rows, "categories": groups["category"], "views": groups["view"]})


def _common(entry: CweEntry, reason: dict[str, int]) -> dict[str, Any]:
    row: dict[str, Any] = {"id": entry.number, "name": entry.name, "status": entry.status, "usage": _usage(entry)}
    if entry.rationale:
        row["rationale"] = reason[entry.rationale]
    row["suggestions"] = _suggestions(entry)
    return row


def _usage(entry: CweEntry) -> str:
    """Return MITRE's usage; where the XML has none (before CWE 4.12) or a new word, the cautious one for the level.

    Deprecated entries, categories and views are Prohibited whatever the XML says.
    """
    if entry.kind != "weakness" or entry.status.lower() in ("deprecated", "obsolete"):
        return "Prohibited"
    for usage in USAGES:
        if entry.usage.lower().replace(" ", "-") == usage.lower():
            return usage
    if entry.usage or entry.abstraction.lower() == "pillar":
        return "Discouraged"
    return "Allowed" if entry.abstraction.lower() in ("base", "variant") else "Allowed-with-Review"


def _suggestions(entry: CweEntry) -> list[list[Any]]:
    """Return ``[number, comment, source]`` for each entry that MITRE names instead, its formal suggestions first."""
    found = {number: [number, comment, "suggestion"] for number, comment in entry.suggestions}
    if _usage(entry) in ("Discouraged", "Prohibited"):
        for number in map(int, _CWE_MENTION.findall(entry.comments)):
            found.setdefault(number, [number, "", "comment"])
    if entry.status.lower() == "deprecated":
        for mention in _REPLACEMENT.findall(entry.description):
            for number in map(int, _CWE_MENTION.findall(mention)):
                found.setdefault(number, [number, "", "description"])
    found.pop(entry.number, None)
    return list(found.values())


def _targets(entry: CweEntry, nature: str) -> list[int]:
    """Return targets of `nature` in View-1000, primary first, each once."""
    chosen = [r for r in entry.relations if r.nature == nature and r.view in (0, RESEARCH_CONCEPTS)]
    return _unique(relation.target for relation in sorted(chosen, key=lambda relation: not relation.primary))


def _chain(entry: CweEntry, weaknesses: list[CweEntry]) -> list[int]:
    """Return the links of a named chain: what it starts with, then what each link precedes in this very chain."""
    links = _unique(relation.target for relation in entry.relations if relation.nature == "StartsWith")
    steps = {
        other.number: relation.target
        for other in weaknesses
        if links
        for relation in other.relations
        if relation.nature == "CanPrecede" and relation.chain == entry.number
    }
    while links and (following := steps.pop(links[-1], None)) is not None:
        links.append(following)
    return _unique(links)


def _inverse(weaknesses: list[CweEntry], nature: str) -> dict[int, list[int]]:
    sources: dict[int, list[int]] = {}
    for entry in weaknesses:
        for target in _targets(entry, nature):
            sources.setdefault(target, []).append(entry.number)
    return sources


def _refuse_cycles(weaknesses: list[CweEntry], live: set[int], place: str) -> None:
    """Remove entries without parents again and again; what is left stands on a circle or above one."""
    parents = {entry.number: {p for p in _targets(entry, "ChildOf") if p in live} for entry in weaknesses}
    while roots := {number for number, targets in parents.items() if not targets}:
        parents = {number: targets - roots for number, targets in parents.items() if number not in roots}
    if parents:
        names = ", ".join(f"CWE-{number}" for number in sorted(parents)[:5])
        raise CatalogueError(
            f"{place}: ChildOf in View-1000 runs in a circle around {names}",
            fix="download the XML again from https://cwe.mitre.org/data/downloads.html",
        )


def _unique(values: Iterable[_T]) -> list[_T]:
    return list(dict.fromkeys(values))


def _render(head: dict[str, Any], sections: dict[str, list[dict[str, Any]]]) -> bytes:
    lines = [b"{"]
    lines += [orjson.dumps(key) + b":" + orjson.dumps(value) + b"," for key, value in head.items()]
    for number, (key, rows) in enumerate(sections.items()):
        body = b",\n".join(orjson.dumps({k: v for k, v in row.items() if v not in ("", [])}) for row in rows)
        lines.append(orjson.dumps(key) + b":[\n" + body + (b"\n]," if number + 1 < len(sections) else b"\n]"))
    return b"\n".join([*lines, b"}", b""])
