"""The nouns of the knowledge base: objects with their relations, passages, and where they all come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

__all__ = [
    "DATED_KINDS",
    "OBJECT_KINDS",
    "PASSAGE_KINDS",
    "KnowledgeObject",
    "ObjectKind",
    "Passage",
    "PassageKind",
    "Relation",
    "ScoredPassage",
    "SourceVersion",
]

ObjectKind: TypeAlias = Literal[
    "technique",
    "tactic",
    "mitigation",
    "group",
    "software",
    "campaign",
    "asset",
    "data-source",
    "data-component",
    "detection-strategy",
    "analytic",
    "attack-pattern",
    "weakness",
    "vulnerability",
    "document",
]
"""What an object is: the first eleven are ATT&CK's, then CAPEC's, CWE's, CVE's, and a team's own documents."""

PassageKind: TypeAlias = Literal[
    "description", "facts", "procedure", "mitigation", "detection", "consequence", "example", "section"
]
"""What a passage says of its object: MITRE's prose, a line of facts rendered from the graph, how somebody used it, what helps
against it, how it is seen, what comes of it, an instance, or a section of a document."""

OBJECT_KINDS: Final[tuple[ObjectKind, ...]] = get_args(ObjectKind)
PASSAGE_KINDS: Final[tuple[PassageKind, ...]] = get_args(PassageKind)
DATED_KINDS: Final = frozenset(set(OBJECT_KINDS) - {"document"})
"""Kinds whose sources say when an object was created; a document's day is that of its file, so it is not known to be true."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation, seen from the object that holds it.

    Attributes:
        kind: its name from this end, e.g. ``mitigated-by``; see `ctiforge.ask.graph.RELATIONS`.
        other: identifier of the object at the other end; it may be one that the knowledge base does not hold.
        name: the other object's full name, empty where it is not held.
        description: what the source says about this relation, cleaned; often empty.
        source: key of the `SourceVersion` that states it.
    """

    kind: str
    other: str
    name: str = ""
    description: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeObject:
    """One object of a source.

    Attributes:
        kind, id: ``technique`` and ``T1055.011``, ``weakness`` and ``CWE-79``; documents are ``DOC:runbooks/phishing.md``.
        name: in full; a sub-technique's has its parent's before a colon.
        text: the source's description, cleaned, one line a paragraph; may be empty.
        aliases: other names: of groups and software, alternate terms.
        platforms: as the source writes them.
        tactics: names of ATT&CK tactics, e.g. ``Defense Evasion``.
        domains: ATT&CK matrices: ``enterprise``, ``mobile``, ``ics``.
        created, modified: ISO 8601 days, or empty; for a CVE the days of its publication and last change.
        facts: further properties as label and value, e.g. ``("mapping usage", "Allowed")``.
        source: key of its `SourceVersion`.
        url: its page at the source; empty for documents.
        sha256: of the entry as read.
        relations: from this end, in the source's order, grouped by kind.
    """

    kind: ObjectKind
    id: str
    name: str
    text: str = ""
    aliases: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    tactics: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    created: str = ""
    modified: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    source: str = ""
    url: str = ""
    sha256: str = ""
    relations: tuple[Relation, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that an answer can cite.

    Attributes:
        id: ``T1055.011#description.1``: the object, the kind, and a number from 0 on.
        object_id: the object whose page it stands on.
        kind: what it says of it.
        heading: the object's identifier and name, and what the passage is about.
        text: the words of the source, without the heading; for ``facts`` rendered from the graph.
        related: identifiers of other objects that it is about: the group in a procedure, the mitigation, the CVE of an example.
    """

    id: str
    object_id: str
    kind: PassageKind
    heading: str
    text: str
    related: tuple[str, ...] = ()

    @property
    def object_ids(self) -> tuple[str, ...]:
        """All objects that the passage is about, its own first."""
        return (self.object_id, *self.related)

    @property
    def indexed(self) -> str:
        """What is searched: heading and text."""
        return f"{self.heading}\n{self.text}"


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage that was found.

    Attributes:
        score: fused, to order by; comparable within one search only.
        bm25: BM25 score, 0 where no word of the query is in the passage.
        cosine: of the embeddings, -1 to 1; None where the knowledge base has none.
    """

    passage: Passage
    score: float
    bm25: float
    cosine: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceVersion:
    """One file (or folder of documents) that the knowledge base was built from.

    Attributes:
        key: short name that objects refer to: ``attack-enterprise``, ``capec``, ``cwe``, ``cve``, ``docs``.
        name: for people, e.g. ``MITRE ATT&CK Enterprise``.
        version: the release as the source states it; may be empty.
        date: ISO 8601 day of the release or the latest change; may be empty.
        path: file as it was named.
        sha256: of the unpacked file; of a feed or folder: of the files as they are, by name.
        licence: of the texts.
        withdrawn: revoked and deprecated objects that were left out.
        counts: objects and passages by kind.
    """

    key: str
    name: str
    version: str
    date: str
    path: str
    sha256: str
    licence: str = ""
    withdrawn: int = 0
    counts: Mapping[str, int]
