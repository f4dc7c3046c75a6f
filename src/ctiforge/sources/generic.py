"""Tables and JSON objects of no standard: read with a field map, or by the names that people usually give such fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from ctiforge.core.advisory import Advisory, AssignedWeakness, Party, Reject, SourceRef
from ctiforge.core.errors import did_you_mean
from ctiforge.core.ids import find_cve_id
from ctiforge.sources.fields import LocalText, as_text, build_weaknesses, choose_english, dicts
from ctiforge.sources.options import FieldMap
from ctiforge.sources.rejects import build_reject

__all__ = ["build_generic", "choose_columns", "lookup", "missing_columns"]

_USUAL: dict[str, tuple[str, ...]] = {
    "id": ("cveid", "cve", "cvenumber", "ghsaid", "id", "vulnid", "vulnerabilityid", "advisoryid", "identifier", "url"),
    "description": (
        "description",
        "desc",
        "cvedescription",
        "text",
        "details",
        "summary",
        "shortdescription",
        "content",
        "body",
    ),
    "title": ("title", "name", "summary", "vulnerabilityname", "headline"),
    "cwe": ("cwe", "cwes", "cweid", "cweids", "weakness", "weaknesses", "problemtype", "problemtypes"),
    "published": ("published", "publishedat", "datepublished", "publisheddate", "pubdate", "date", "dateadded"),
    "modified": ("modified", "modifiedat", "lastmodified", "updated", "updatedat", "dateupdated", "lastmodifieddate"),
}
_NOT_ALNUM = re.compile(r"[^a-z0-9]")
_SEVERAL = re.compile(r"[,;|\n]")


def choose_columns(names: Iterable[str]) -> Mapping[str, str]:
    """Return our name to theirs for the fields that `names` usually mean; case, spaces and underscores do not matter."""
    return _choose_columns(tuple(names))


@lru_cache(maxsize=256)  # the records of one file share their names; a hostile file must not fill memory
def _choose_columns(names: tuple[str, ...]) -> Mapping[str, str]:
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(_NOT_ALNUM.sub("", name.lower()), name)
    chosen: dict[str, str] = {}
    for ours, usual in _USUAL.items():
        theirs = next((plain[name] for name in usual if name in plain), None)
        if theirs is not None and not (ours == "title" and theirs == chosen.get("description")):
            chosen[ours] = theirs
    return MappingProxyType(chosen)


def lookup(record: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path such as ``cve.descriptions.0.value``, or None; a key that has dots wins."""
    if path in record:
        return record[path]
    value: Any = record
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and len(step) < 10 and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def missing_columns(field_map: FieldMap, names: Iterable[str]) -> str:
    """Return what to tell a user whose mapped columns are not among `names`, or an empty string."""
    known = list(names)
    faults = []
    for ours, theirs in field_map.fields.items():
        if theirs not in known:
            guess = did_you_mean(theirs, known)
            faults.append(f"{ours}={theirs}: no such column" + (f"; {guess}" if guess else ""))
    return "; ".join(faults)


def build_generic(record: Mapping[str, Any], source: SourceRef, field_map: FieldMap | None = None) -> Advisory | Reject:
    """Build an advisory from a table row or any JSON object.

    Fields that no map names are found by their usual names. The ID is the CVE ID inside the mapped value where there is
    one (a URL will do), else the value, else ``path:line``. Weaknesses are the user's (party ``user``), except those under
    ``problem_types``, which are the CNA's.

    Returns:
        A `Reject` with ``missing_field`` where a map names a description that the record lacks, or ``unknown_format`` where
        no field looks like a text.
    """
    names = _mapped_names(record, field_map) if field_map else choose_columns(record)
    given = as_text(_scalar(lookup(record, names["id"]))) if "id" in names else ""
    native = find_cve_id(given) or given or str(source)
    described = lookup(record, names["description"]) if "description" in names else None
    if field_map is not None and "description" in names and described is None:
        known = ", ".join(map(str, record))[:120]
        return build_reject(source, "missing_field", f"no field {names['description']!r}; the record has: {known}", id=given)
    if "description" not in names and "title" not in names:
        known = ", ".join(map(str, record))[:120] or "no fields"
        return build_reject(
            source, "unknown_format", f"no known format has these fields: {known}; name them with --map", id=given
        )
    text = _text(described)
    title = as_text(_scalar(lookup(record, names["title"]))) if "title" in names else ""
    return Advisory(
        id=native,
        source=source,
        description=text.text or ("" if described is not None else title),
        title=title,
        weaknesses=tuple(_weaknesses(lookup(record, names["cwe"]), names["cwe"])) if "cwe" in names else (),
        published=as_text(lookup(record, names["published"])) if "published" in names else "",
        modified=as_text(lookup(record, names["modified"])) if "modified" in names else "",
        languages=text.languages,
    )


def _mapped_names(record: Mapping[str, Any], field_map: FieldMap) -> Mapping[str, str]:
    """Return the mapped names, and the usual ones for fields that the map leaves open."""
    taken = set(field_map.fields.values())
    return {**{ours: name for ours, name in choose_columns(record).items() if name not in taken}, **field_map.fields}


def _scalar(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _text(value: Any) -> LocalText:
    if isinstance(value, list):
        if any(isinstance(item, dict) for item in value):
            return choose_english((item.get("lang"), item.get("value", item.get("text"))) for item in dicts(value))
        return LocalText("\n".join(text for item in value if (text := as_text(item))), ())
    return LocalText(as_text(value), ())


def _weaknesses(value: Any, name: str) -> list[AssignedWeakness]:
    party: Party = "cna" if _NOT_ALNUM.sub("", name.lower()).startswith("problemtype") else "user"
    found: list[AssignedWeakness] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            number = next((item[key] for key in ("cwe_id", "cweId", "cweID", "id") if key in item), None)
            found += build_weaknesses(party, item.get("name", item.get("description")), cwe_id=number)
            continue
        label = str(item) if isinstance(item, int) and not isinstance(item, bool) else as_text(item)
        # "79, 89" and "CWE-79|CWE-89" are several; "Exposure of data, and more" is one.
        parts = [part for part in _SEVERAL.split(label) if part.strip()]
        several = len(parts) > 1 and all(part.strip().isdecimal() for part in parts)
        for part in parts if several else [label]:
            found += build_weaknesses(party, part)
    return found
