"""The nouns of MITRE CAPEC, texts cleaned of markup."""

from __future__ import annotations

from dataclasses import dataclass

from ctiforge.sources.relations import TypedRelation

__all__ = ["AttackPattern", "CapecContents", "PatternConsequence"]


@dataclass(frozen=True, slots=True)
class PatternConsequence:
    """What a successful attack leads to: `impact` for each of the `scopes` (``Confidentiality``); `note` may be empty."""

    scopes: tuple[str, ...]
    impact: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackPattern:
    """One entry of CAPEC; texts are cleaned, one line a paragraph.

    Attributes:
        id: ``CAPEC-66``.
        abstraction: ``Meta``, ``Standard`` or ``Detailed``.
        status: MITRE's; deprecated and obsolete entries are not in a catalogue.
        likelihood, severity: of an attack, ``Very Low`` to ``Very High``, empty where MITRE states none.
        skills: level and what for.
        execution_flow: the steps, one line each, where MITRE wrote them.
        cwe_ids, attack_ids: what it exploits, and the techniques it corresponds to.
        created, modified: ISO 8601 days.
        source, sha256: the file, and the digest of the entry as read.
    """

    id: str
    name: str
    description: str
    extended_description: str = ""
    abstraction: str = ""
    status: str = ""
    domains: tuple[str, ...] = ()
    likelihood: str = ""
    severity: str = ""
    prerequisites: tuple[str, ...] = ()
    skills: tuple[tuple[str, str], ...] = ()
    resources: tuple[str, ...] = ()
    consequences: tuple[PatternConsequence, ...] = ()
    mitigations: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    execution_flow: str = ""
    alternate_terms: tuple[str, ...] = ()
    cwe_ids: tuple[str, ...] = ()
    attack_ids: tuple[str, ...] = ()
    created: str = ""
    modified: str = ""
    source: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class CapecContents:
    """What a reader of one format found: live patterns, relations as identifiers, and what the file says of itself."""

    version: str
    date: str
    sha256: str
    patterns: list[AttackPattern]
    relations: list[TypedRelation]
    withdrawn: int
