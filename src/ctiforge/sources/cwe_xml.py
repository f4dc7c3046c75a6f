"""MITRE's CWE catalogue in XML, read entry by entry.

The schema is MITRE's ``cwe_schema_v7.x.xsd`` (https://cwe.mitre.org/data/xsd/). Elements are known by their local names, so a
new namespace or new elements do no harm; memory stays small because every entry is forgotten once it is read.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser
from xml.parsers import expat

from ctiforge.core.errors import CatalogueError

__all__ = ["CweEntry", "CweXml", "Relation", "ViewMember", "read_cwe_xml"]

MAX_XML_BYTES = 512 * 1024 * 1024
"""Refuse to unpack more: CWE 4.14 is 15 MB, so a file this large is a decompression bomb or something else entirely."""

_BLOCK = 1 << 18
_MAX_DEPTH = 200
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
    reader = _Reader(path)
    try:
        with _open(path) as stream:
            return reader.read(stream)
    except CatalogueError:
        raise
    except (ParseError, expat.ExpatError) as error:
        raise CatalogueError(f"{path}: not well-formed XML, perhaps cut off: {error}", fix=_FIX) from error
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError) as error:
        raise CatalogueError(f"{path}: the compressed file is damaged or cut off: {error}", fix=_FIX) from error
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read: {error.strerror or error}", fix=_FIX) from error
    except (LookupError, RuntimeError, ValueError) as error:  # an unknown encoding, an encrypted archive, a bad attribute
        raise CatalogueError(f"{path}: not a CWE catalogue that can be read: {error}", fix=_FIX) from error


class _Reader:
    """The state of one pass over the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.digest = hashlib.sha256()
        self.size = 0
        self.entries: dict[int, CweEntry] = {}
        self.root: Element | None = None
        self.stack: list[Element] = []

    def read(self, stream: IO[bytes]) -> CweXml:
        prolog = _PrologGuard(self.path)
        parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
        while block := stream.read(_BLOCK):
            self.size += len(block)
            if self.size > MAX_XML_BYTES:
                raise CatalogueError(f"{self.path}: unpacks to more than {MAX_XML_BYTES >> 20} MB", fix=_FIX)
            self.digest.update(block)
            prolog.feed(block)
            parser.feed(block)
            self._take(parser)
        parser.close()
        self._take(parser)
        if self.root is None:
            raise CatalogueError(f"{self.path}: the file is empty", fix=_FIX)
        version, date = self.root.get("Version", "").strip(), self.root.get("Date", "").strip()
        if not version:
            raise CatalogueError(f"{self.path}: the root element states no Version", fix=_FIX)
        if not any(entry.kind == "weakness" for entry in self.entries.values()):
            raise CatalogueError(f"{self.path}: holds no weaknesses", fix=_FIX)
        return CweXml(version, date, self.digest.hexdigest(), list(self.entries.values()))

    def _take(self, parser: XMLPullParser[Element]) -> None:
        for event, element in cast(Iterator[tuple[str, Element]], parser.read_events()):
            if event == "start":
                self._start(element)
            else:
                self._end(element)

    def _start(self, element: Element) -> None:
        if self.root is None:
            self.root = element
            if _local(element) != "Weakness_Catalog":
                raise CatalogueError(
                    f"{self.path}: not a CWE catalogue: the root element is {_local(element)!r}, not 'Weakness_Catalog'",
                    fix=_FIX,
                )
        self.stack.append(element)
        if len(self.stack) > _MAX_DEPTH:
            raise CatalogueError(f"{self.path}: elements nested more than {_MAX_DEPTH} deep", fix=_FIX)

    def _end(self, element: Element) -> None:
        self.stack.pop()
        if len(self.stack) == 2 and (kind := _SECTIONS.get(_local(self.stack[1]))):
            entry = _entry(kind, element)
            if entry.number in self.entries:
                raise CatalogueError(f"{self.path}: CWE-{entry.number} occurs twice", fix=_FIX)
            self.entries[entry.number] = entry
        if len(self.stack) <= 2:
            for parent in self.stack[1:]:
                parent.clear()


class _PrologGuard:
    """Refuses a document type declaration; it can only stand before the root element, so only that part is watched."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done = False
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._element

    def feed(self, block: bytes) -> None:
        if not self._done:
            self._parser.Parse(block, False)

    def _doctype(self, name: str, *_: object) -> None:
        raise CatalogueError(
            f"{self._path}: declares a document type ({name!r}); MITRE's files have none, so it is refused", fix=_FIX
        )

    def _element(self, *_: object) -> None:
        self._done = True


def _entry(kind: str, element: Element) -> CweEntry:
    number = int(element.get("ID", ""))
    name = _clean(element.get("Name"))
    if number <= 0 or not name:
        raise ValueError(f"an entry with ID {element.get('ID')!r} and name {name!r}")
    entry = CweEntry(
        kind=kind,
        number=number,
        name=name,
        status=_clean(element.get("Status")),
        abstraction=_clean(element.get("Abstraction")),
        view_type=_clean(element.get("Type")) if kind == "view" else "",
    )
    for child in element:
        if read := _CHILDREN.get(_local(child)):
            read(entry, child)
    return entry


def _read_mapping_notes(entry: CweEntry, notes: Element) -> None:
    for child in notes:
        match _local(child):
            case "Usage":
                entry.usage = _text(child)
            case "Rationale":
                entry.rationale = _text(child)
            case "Comments":
                entry.comments = _text(child)
            case "Suggestions":
                entry.suggestions = [(int(s.get("CWE_ID", "")), _clean(s.get("Comment"))) for s in child]


def _read_relations(entry: CweEntry, relations: Element) -> None:
    for child in relations:
        if _local(child) == "Related_Weakness":
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
        if _local(child) == "Has_Member":
            entry.members.append(ViewMember(int(child.get("CWE_ID", "")), int(child.get("View_ID") or 0)))


def _read_terms(entry: CweEntry, terms: Element) -> None:
    entry.terms = [_text(child) for term in terms for child in term if _local(child) == "Term" and _text(child)]


def _read_examples(entry: CweEntry, examples: Element) -> None:
    references = [_text(child) for example in examples for child in example if _local(child) == "Reference"]
    entry.examples = [reference for reference in references if _CVE.fullmatch(reference)]


def _read_history(entry: CweEntry, history: Element) -> None:
    entry.former_names = [_text(child) for child in history if _local(child) == "Previous_Entry_Name" and _text(child)]


def _read_description(entry: CweEntry, description: Element) -> None:
    entry.description = _text(description)


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


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _clean(text: str | None) -> str:
    return " ".join((text or "").split())


def _text(element: Element) -> str:
    return _clean("".join(element.itertext()))


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    with open(path, "rb") as raw:
        magic = raw.read(6)
        raw.seek(0)
        if magic.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(raw) as archive:
                names = [name for name in archive.namelist() if name.lower().endswith(".xml")]
                if len(names) != 1:
                    raise CatalogueError(f"{path}: holds {len(names)} XML files, expected exactly one", fix=_FIX)
                with archive.open(names[0]) as stream:
                    yield stream
        elif magic.startswith(b"\x1f\x8b"):
            with gzip.open(raw) as stream:
                yield cast(IO[bytes], stream)
        elif magic.startswith(b"\xfd7zXZ\x00"):
            with lzma.open(raw) as stream:
                yield stream
        elif magic.startswith(b"BZh"):
            with bz2.open(raw) as stream:
                yield stream
        else:
            yield raw
