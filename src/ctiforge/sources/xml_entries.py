"""MITRE's XML catalogues (CWE, CAPEC), read entry by entry, with hostile and damaged files refused.

Elements are known by their local names, so a new namespace or new elements do no harm; memory stays small because every entry
is forgotten once it is read.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser
from xml.parsers import expat

from ctiforge.core.errors import CtiforgeError

__all__ = ["CatalogueKind", "XmlHead", "children", "clean_attribute", "element_text", "local_name", "read_xml_entries"]

_BLOCK = 1 << 18
_MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class CatalogueKind:
    """What file is expected.

    Attributes:
        name: for messages, e.g. ``CWE catalogue``.
        root: local name of the root element.
        sections: local names of the root's children that hold entries, to the kind their entries have.
        fix: what to do with a wrong file.
        error: the class of errors raised.
        max_bytes: refuse to unpack more.
    """

    name: str
    root: str
    sections: Mapping[str, str]
    fix: str
    error: type[CtiforgeError]
    max_bytes: int


@dataclass(frozen=True, slots=True)
class XmlHead:
    """What a file says of itself: `version` and `date` as MITRE states them, and the SHA-256 of the unpacked XML."""

    version: str
    date: str
    sha256: str


def read_xml_entries(path: Path, kind: CatalogueKind, take: Callable[[str, Element], None]) -> XmlHead:
    """Read a catalogue, plain or inside .zip, .gz, .xz or .bz2 (told apart by content, not by name).

    Args:
        take: called with the kind and the whole element of each entry; a `ValueError` it raises is the file's fault.

    Raises:
        CtiforgeError: of the class ``kind.error``: the file is missing, truncated, of another kind, too large when unpacked,
            or declares a document type (a DOCTYPE is how entity expansion attacks start, and MITRE's files have none).
    """
    error, fix = kind.error, kind.fix
    try:
        with _open(path, kind) as stream:
            return _Pass(path, kind, take).read(stream)
    except CtiforgeError:
        raise
    except (ParseError, expat.ExpatError) as cause:
        raise error(f"{path}: not well-formed XML, perhaps cut off: {cause}", fix=fix) from cause
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError) as cause:
        raise error(f"{path}: the compressed file is damaged or cut off: {cause}", fix=fix) from cause
    except OSError as cause:
        raise error(f"{path}: cannot be read: {cause.strerror or cause}", fix=fix) from cause
    except (LookupError, RuntimeError, ValueError) as cause:  # an unknown encoding, an encrypted archive, a bad attribute
        raise error(f"{path}: not a {kind.name} that can be read: {cause}", fix=fix) from cause


def local_name(element: Element) -> str:
    """Return the element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """Yield the child elements with the local name `name`."""
    return (child for child in element if local_name(child) == name)


def clean_attribute(text: str | None) -> str:
    """Return an attribute's text with white space collapsed; None is empty."""
    return " ".join((text or "").split())


def element_text(element: Element | None) -> str:
    """Return all text inside an element with white space collapsed; None is empty."""
    return "" if element is None else clean_attribute("".join(element.itertext()))


class _Pass:
    """The state of one pass over the file."""

    def __init__(self, path: Path, kind: CatalogueKind, take: Callable[[str, Element], None]) -> None:
        self.path = path
        self.kind = kind
        self.take = take
        self.digest = hashlib.sha256()
        self.size = 0
        self.root: Element | None = None
        self.stack: list[Element] = []

    def fault(self, message: str) -> CtiforgeError:
        return self.kind.error(f"{self.path}: {message}", fix=self.kind.fix)

    def read(self, stream: IO[bytes]) -> XmlHead:
        prolog = _PrologGuard(self.fault)
        parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
        while block := stream.read(_BLOCK):
            self.size += len(block)
            if self.size > self.kind.max_bytes:
                raise self.fault(f"unpacks to more than {self.kind.max_bytes >> 20} MB")
            self.digest.update(block)
            prolog.feed(block)
            parser.feed(block)
            self._take(parser)
        parser.close()
        self._take(parser)
        if self.root is None:
            raise self.fault("the file is empty")
        version, date = self.root.get("Version", "").strip(), self.root.get("Date", "").strip()
        if not version:
            raise self.fault("the root element states no Version")
        return XmlHead(version, date, self.digest.hexdigest())

    def _take(self, parser: XMLPullParser[Element]) -> None:
        for event, element in cast(Iterator[tuple[str, Element]], parser.read_events()):
            if event == "start":
                self._start(element)
            else:
                self._end(element)

    def _start(self, element: Element) -> None:
        if self.root is None:
            self.root = element
            if local_name(element) != self.kind.root:
                raise self.fault(f"not a {self.kind.name}: the root element is {local_name(element)!r}, not {self.kind.root!r}")
        self.stack.append(element)
        if len(self.stack) > _MAX_DEPTH:
            raise self.fault(f"elements nested more than {_MAX_DEPTH} deep")

    def _end(self, element: Element) -> None:
        self.stack.pop()
        if len(self.stack) == 2 and (kind := self.kind.sections.get(local_name(self.stack[1]))):
            self.take(kind, element)
        if len(self.stack) <= 2:
            for parent in self.stack[1:]:
                parent.clear()


class _PrologGuard:
    """Refuses a document type declaration; it can only stand before the root element, so only that part is watched."""

    def __init__(self, fault: Callable[[str], CtiforgeError]) -> None:
        self._fault = fault
        self._done = False
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._element

    def feed(self, block: bytes) -> None:
        if not self._done:
            self._parser.Parse(block, False)

    def _doctype(self, name: str, *_: object) -> None:
        raise self._fault(f"declares a document type ({name!r}); MITRE's files have none, so it is refused")

    def _element(self, *_: object) -> None:
        self._done = True


@contextmanager
def _open(path: Path, kind: CatalogueKind) -> Iterator[IO[bytes]]:
    with open(path, "rb") as raw:
        magic = raw.read(6)
        raw.seek(0)
        if magic.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(raw) as archive:
                names = [name for name in archive.namelist() if name.lower().endswith(".xml")]
                if len(names) != 1:
                    raise kind.error(f"{path}: holds {len(names)} XML files, expected exactly one", fix=kind.fix)
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
