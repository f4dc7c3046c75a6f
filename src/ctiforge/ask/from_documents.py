"""A folder of a team's own documents to objects and passages: one object a file, one passage or more a section."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ctiforge.ask.document_text import DOCUMENT_SUFFIXES, Section, read_document
from ctiforge.ask.gathered import Gathered, count_by_kind
from ctiforge.ask.objects import KnowledgeObject, Passage, SourceVersion
from ctiforge.ask.passages import PassageMaker
from ctiforge.ask.terms import find_ids
from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, sha256

__all__ = ["DOCUMENT_PREFIX", "DocumentReading", "find_documents", "gather_documents"]

DOCUMENT_PREFIX: Final = "DOC:"
_LEAD_CHARACTERS: Final = 600


@dataclass(slots=True)
class DocumentReading:
    """What the folder gave, and each file that was left out with the reason."""

    gathered: Gathered
    left_out: dict[str, str] = field(default_factory=dict)


def find_documents(folder: Path) -> list[Path]:
    """Return the documents below `folder` by name; hidden files and folders and other kinds of files are passed over.

    Raises:
        InputError: it is no folder, or holds no document.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", fix="name the folder of your documents with --docs")
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(path) / name for name in files if not name.startswith(".") and Path(name).suffix.lower() in DOCUMENT_SUFFIXES
        ]
    if not found:
        raise InputError(f"{folder}: holds no document", fix=f"documents end in {', '.join(sorted(DOCUMENT_SUFFIXES))}")
    return sorted(found)


def gather_documents(folder: Path) -> DocumentReading:
    """Read the documents below a folder; one that cannot be read is left out with the reason.

    Raises:
        InputError: see `find_documents`; or not one of them could be read.
        MissingExtraError: there are PDF files and the package pypdf is not installed.
    """
    reading = DocumentReading(Gathered())
    digests = []
    for path in find_documents(folder):
        name = path.relative_to(folder).as_posix()
        try:
            sections = read_document(path)
            if not any(section.text for section in sections):
                raise InputError(f"{path}: holds no text", fix="leave it out, or run character recognition on it first")
            digests.append(f"{name} {file_sha256(path)}")
            modified = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
        except InputError as error:
            reading.left_out[name] = error.message
            continue
        except OSError as error:
            reading.left_out[name] = f"{path}: {error.strerror or error}"
            continue
        title = next((section.heading[0] for section in sections if section.heading), path.stem)
        each = _object_of(name, title, sections, modified, digests[-1])
        reading.gathered.objects.append(each)
        reading.gathered.passages.extend(_passages_of(each, sections))
    if not reading.gathered.objects:
        reasons = "; ".join(list(reading.left_out.values())[:3])
        raise InputError(f"{folder}: not one document could be read: {reasons}", fix="mend the files, or leave out --docs")
    reading.gathered.sources.append(
        SourceVersion(
            key="docs",
            name="documents",
            version="",
            date=max(each.modified for each in reading.gathered.objects),
            path=str(folder),
            sha256=sha256("\n".join(digests).encode()),
            counts=count_by_kind(reading.gathered.objects, len(reading.gathered.passages)),
        )
    )
    return reading


def _object_of(name: str, title: str, sections: list[Section], modified: str, digest: str) -> KnowledgeObject:
    lead = "\n".join(section.text for section in sections if section.text)[:_LEAD_CHARACTERS]
    return KnowledgeObject(
        kind="document",
        id=f"{DOCUMENT_PREFIX}{name}",
        name=title,
        text=lead,
        created=modified,  # the day it has its present text, for a cut by date
        modified=modified,
        source="docs",
        sha256=digest.rpartition(" ")[2],
    )


def _passages_of(each: KnowledgeObject, sections: list[Section]) -> Iterator[Passage]:
    maker = PassageMaker(each.id, each.name)
    for section in sections:
        own = [title for title in section.heading if title != each.name]
        related = [found for found in find_ids(section.text) if found != each.id]
        yield from maker.make("section", " / ".join([*own, *([section.place] if section.place else [])]), section.text, related)
