"""MITRE CAPEC: attack patterns with their texts, and relations to each other, to CWE and to ATT&CK.

Read from the STIX bundle (https://github.com/mitre/cti/tree/master/capec) or from the XML (https://capec.mitre.org/data/).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from ctiforge.core.errors import CatalogueError, InputError, did_you_mean
from ctiforge.sources.capec_objects import AttackPattern, CapecContents
from ctiforge.sources.capec_stix import FIX, read_capec_bundle
from ctiforge.sources.capec_xml import read_capec_xml
from ctiforge.sources.relations import RelationGraph, TypedRelation
from ctiforge.sources.walk import printable_path
from ctiforge.sources.whole_file import first_byte

__all__ = [
    "CAPEC_LICENCE",
    "CAPEC_RELATIONS",
    "AttackPattern",
    "CapecCatalogue",
    "load_capec",
]

CAPEC_LICENCE: Final = "MITRE CAPEC Terms of Use"
"""https://capec.mitre.org/about/termsofuse.html: use for any purpose with MITRE's copyright notice."""

CAPEC_RELATIONS: Final[Mapping[str, str]] = {
    "child-of": "parent-of",
    "can-precede": "can-follow",
    "peer-of": "peer-of",
    "can-also-be": "can-also-be",
    "exploits": "exploited-by",
    "same-as-technique": "same-as-pattern",
}
"""Each relation to its name from the other end: ``exploits`` goes to a CWE, ``same-as-technique`` to an ATT&CK technique that
CAPEC's taxonomy mapping names."""


class CapecCatalogue:
    """The live attack patterns of one release; immutable, iterated in the file's order.

    Attributes:
        version, date: the release, e.g. ``3.9``, and its ISO 8601 day.
        path, sha256: the file, and the digest of its unpacked bytes.
        withdrawn: deprecated and obsolete entries that were left out.
        graph: the relations, see `CAPEC_RELATIONS`.
        licence: of the texts.
    """

    licence: Final = CAPEC_LICENCE

    def __init__(self, contents: CapecContents, path: str) -> None:
        self._patterns = {pattern.id: pattern for pattern in contents.patterns}
        self.version, self.date, self.sha256, self.path = contents.version, contents.date, contents.sha256, path
        self.withdrawn = contents.withdrawn
        self.graph = RelationGraph((*self._live(contents.relations), *self._outward()), CAPEC_RELATIONS)

    def _live(self, relations: Iterable[TypedRelation]) -> Iterator[TypedRelation]:
        return (each for each in relations if each.source in self._patterns and each.target in self._patterns)

    def _outward(self) -> Iterator[TypedRelation]:
        for pattern in self._patterns.values():
            yield from (TypedRelation(pattern.id, "exploits", cwe_id) for cwe_id in pattern.cwe_ids)
            yield from (TypedRelation(pattern.id, "same-as-technique", technique) for technique in pattern.attack_ids)

    def __len__(self) -> int:
        return len(self._patterns)

    def __iter__(self) -> Iterator[AttackPattern]:
        return iter(self._patterns.values())

    def __contains__(self, capec_id: object) -> bool:
        return capec_id in self._patterns

    def __getitem__(self, capec_id: str) -> AttackPattern:
        """Return the pattern ``CAPEC-66``.

        Raises:
            CatalogueError: there is no live pattern with that identifier.
        """
        if (found := self._patterns.get(capec_id)) is None:
            guess = did_you_mean(capec_id, self._patterns)
            raise CatalogueError(f"CAPEC {self.version} has no live entry {capec_id!r}", fix=guess or "check the identifier")
        return found

    def neighbours(self, object_id: str, relation: str) -> tuple[str, ...]:
        """Return identifiers that `object_id` (CAPEC, CWE or technique) stands in `relation` to; see `CAPEC_RELATIONS`."""
        return self.graph.neighbours(object_id, relation)


def load_capec(path: str | os.PathLike[str]) -> CapecCatalogue:
    """Read CAPEC from MITRE's STIX bundle or XML, plain or compressed; which one it is shows in its first byte.

    Raises:
        InputError: the file is missing, damaged, cut off, neither of the two, or holds no attack patterns.
    """
    shown = printable_path(os.fspath(path))
    contents = read_capec_xml(Path(path)) if first_byte(path, "CAPEC", FIX) == b"<" else read_capec_bundle(path)
    if not contents.patterns:
        raise InputError(f"{shown}: holds no CAPEC attack patterns", fix=FIX)
    return CapecCatalogue(contents, shown)
