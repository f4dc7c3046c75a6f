"""STIX 2.x bundles read whole, and the fields that MITRE's objects share.

STIX 2.1: https://docs.oasis-open.org/cti/stix/v2.1/stix-v2.1.html, sections 3.2 (common properties) and 8 (bundle).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from ctiforge.core.errors import InputError
from ctiforge.core.files import sha256
from ctiforge.sources.walk import printable_path
from ctiforge.sources.whole_file import read_whole_file

__all__ = ["StixBundle", "external_references", "is_withdrawn", "load_bundle", "object_sha256", "strings"]


@dataclass(frozen=True, slots=True)
class StixBundle:
    """One bundle: `objects` by STIX identifier, the newest of each; `sha256` of the unpacked file."""

    path: str
    sha256: str
    objects: dict[str, dict[str, Any]]

    def of_type(self, *types: str) -> Iterator[dict[str, Any]]:
        """Yield the objects of these STIX types, in the file's order."""
        return (each for each in self.objects.values() if each["type"] in types)


def load_bundle(path: str | os.PathLike[str], what: str, fix: str) -> StixBundle:
    """Read a STIX bundle, plain or compressed.

    Args:
        what: what the file should hold, for messages, e.g. ``an ATT&CK bundle``.

    Raises:
        InputError: the file cannot be read, is not JSON (with the place), or is not a bundle of STIX objects.
    """
    data = read_whole_file(path, what, fix, lambda name: name.lower().endswith(".json"))
    shown = printable_path(os.fspath(path))
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        cut = ", where the file ends: it is cut off" if error.pos >= len(data.rstrip()) - 1 else ""
        raise InputError(f"{shown}: {what} is expected, but this is not JSON: {error.msg} at {place}{cut}", fix=fix) from error
    if not isinstance(document, dict) or document.get("type") != "bundle":
        kind = f"an object of type {document.get('type')!r}" if isinstance(document, dict) else f"a {type(document).__name__}"
        raise InputError(f"{shown}: {what} is expected, but the file holds {kind}, not a STIX bundle", fix=fix)
    listed = document.get("objects")
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{shown}: the STIX bundle holds no objects", fix=fix)
    objects: dict[str, dict[str, Any]] = {}
    for number, each in enumerate(listed, start=1):
        if not isinstance(each, dict) or not isinstance(each.get("id"), str) or not isinstance(each.get("type"), str):
            raise InputError(f"{shown}: object {number:,} of the bundle has no type or no id", fix=fix)
        earlier = objects.get(each["id"])
        if earlier is None or str(each.get("modified", "")) > str(earlier.get("modified", "")):
            objects[each["id"]] = each
    return StixBundle(shown, sha256(data), objects)


def is_withdrawn(each: dict[str, Any]) -> bool:
    """Say whether MITRE has revoked or deprecated the object."""
    return bool(each.get("revoked") or each.get("x_mitre_deprecated"))


def external_references(each: dict[str, Any], *sources: str) -> tuple[str, ...]:
    """Return the external identifiers that the object has at these sources, in order and once each."""
    references = each.get("external_references")
    found = [
        str(reference["external_id"])
        for reference in (references if isinstance(references, list) else ())
        if isinstance(reference, dict) and reference.get("source_name") in sources and reference.get("external_id")
    ]
    return tuple(dict.fromkeys(found))


def strings(value: Any) -> tuple[str, ...]:
    """Return the texts in a list that should hold texts; anything else is left out."""
    return tuple(item for item in value if isinstance(item, str) and item) if isinstance(value, list) else ()


def object_sha256(each: dict[str, Any]) -> str:
    """Return the SHA-256 of an object as JSON with sorted keys, so that it does not hang on the order in the file."""
    return sha256(orjson.dumps(each, option=orjson.OPT_SORT_KEYS))
