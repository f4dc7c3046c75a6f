"""`Advisory`: any vulnerability record, whatever format it came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Advisory", "AssignedWeakness", "CvssScore", "Party", "Reject", "RejectReason", "SourceRef", "Ssvc"]

Party = Literal["cna", "adp", "nvd", "ghsa", "osv", "csaf", "kev", "user"]
"""Who assigned something: the CVE's numbering authority, an authorised data publisher (CISA), NVD, a database, or the
user's own file."""

RejectReason = Literal[
    "malformed_json",
    "malformed_row",
    "too_large",
    "too_deep",
    "bad_encoding",
    "unknown_format",
    "missing_field",
    "cve_rejected",
    "duplicate_id",
    "archive_limit",
    "corrupt_file",
    "unreadable_file",
    "symlink_loop",
]


@dataclass(frozen=True, slots=True)
class SourceRef:
    """Where a record was found.

    Attributes:
        path: file as the user named it; ``-`` for standard input; ``text`` for a command-line argument.
        member: name inside an archive, or empty.
        line: 1-based line on which the record starts (for JSON arrays too).
        format: detected format name, e.g. ``cve5``; see `ctiforge.sources.formats`.
    """

    path: str
    line: int = 1
    format: str = ""
    member: str = ""

    def __str__(self) -> str:
        inner = f"!{self.member}" if self.member else ""
        return f"{self.path}{inner}:{self.line}"


@dataclass(frozen=True, slots=True)
class AssignedWeakness:
    """One weakness as one party assigned it. `cwe_id` is None where the party wrote words without a CWE number."""

    party: Party
    cwe_id: str | None
    text: str = ""
    assigner: str = ""


@dataclass(frozen=True, slots=True)
class CvssScore:
    """One CVSS score: `version` 2.0 to 4.0, the vector as published, base score 0 to 10 (None if not given)."""

    party: Party
    version: str
    vector: str
    base_score: float | None = None


@dataclass(frozen=True, slots=True)
class Ssvc:
    """SSVC decision points as CISA publishes them, e.g. ``{"Exploitation": "poc"}``."""

    options: tuple[tuple[str, str], ...]
    role: str = ""
    timestamp: str = ""


@dataclass(frozen=True, slots=True)
class Advisory:
    """Any vulnerability record, normalised; immutable.

    Attributes:
        id: the CVE ID where there is one, else the record's native ID, else ``path:line``.
        source: file, line and format it came from.
        description: the English description (longest English one where several exist); empty if there is none.
        title: the record's own title or summary; may be empty.
        aliases: other identifiers (GHSA, OSV, vendor IDs).
        weaknesses: what each party assigned, in the record's order; never merged.
        cvss, ssvc, kev_date_added: severity and exploitation facts, by party.
        published, modified: ISO 8601 as given by the source, or empty.
        languages: languages of the descriptions found (to tell 'no text' from 'no English text').
        state: ``PUBLISHED`` unless the source says otherwise.
        notes: what the reader had to repair to read the record, in words for a person; empty for clean input.
    """

    id: str
    source: SourceRef
    description: str
    title: str = ""
    aliases: tuple[str, ...] = ()
    weaknesses: tuple[AssignedWeakness, ...] = ()
    cvss: tuple[CvssScore, ...] = ()
    ssvc: Ssvc | None = None
    kev_date_added: str = ""
    published: str = ""
    modified: str = ""
    languages: tuple[str, ...] = ()
    state: str = "PUBLISHED"
    notes: tuple[str, ...] = ()

    def cwe_ids(self, party: Party) -> tuple[str, ...]:
        """CWE IDs that `party` assigned, in order, without repeats."""
        return tuple(dict.fromkeys(w.cwe_id for w in self.weaknesses if w.party == party and w.cwe_id))


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was not turned into an advisory; it is written to the rejects file, never dropped.

    Attributes:
        reason: machine-readable reason code.
        detail: what exactly is wrong, for a person, with the place inside the record.
        id: the record's ID if it could still be read.
        excerpt: at most 200 characters of the offending input, to find it again.
    """

    source: SourceRef
    reason: RejectReason
    detail: str
    id: str = ""
    excerpt: str = field(default="", repr=False)
