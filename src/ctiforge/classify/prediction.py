"""What a classification says: a `Prediction` with ranked `Suggestion`s, or an abstention with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ctiforge.core.advisory import Advisory, Party
from ctiforge.core.weakness import MappingUsage

__all__ = [
    "AbstainReason",
    "Decision",
    "EvidenceSpan",
    "Move",
    "Policy",
    "Prediction",
    "RareCandidate",
    "SimilarCve",
    "Suggestion",
]

Policy = Literal["mitre", "nvd"]
"""``mitre``: suggest only entries that MITRE allows for mapping. ``nvd``: every weakness, ranked by the
habits of NVD's analysts."""

AbstainReason = Literal["no_description", "not_english", "low_information", "only_discouraged", "low_probability"]
"""Why no suggestion is offered; the texts for people are `ctiforge.classify.outputs.ABSTAIN_SENTENCES`."""


@dataclass(frozen=True, slots=True)
class EvidenceSpan:
    """A part of the classified text that moved the decision towards a suggestion.

    Attributes:
        start, end: character offsets into `Prediction.text` (end exclusive).
        text: the characters themselves.
        weight: share of the positive evidence for this suggestion, 0 to 1.
    """

    start: int
    end: int
    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class Move:
    """From which entry an answer was moved, and `why` in words."""

    cwe_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One ranked CWE entry.

    Attributes:
        probability: calibrated probability, 0 to 1, that the entry is the one the CVE's own parties would assign.
        usage: MITRE's mapping usage of the entry in the catalogue version of the prediction.
        prefer: for a Discouraged entry, the allowed entries to use instead (MITRE's suggestions, else the nearest ones).
        moved_from: the entry that the text points to, where MITRE's rules or the view ask for this one instead.
    """

    cwe_id: str
    name: str
    probability: float
    usage: MappingUsage
    evidence: tuple[EvidenceSpan, ...] = ()
    prefer: tuple[str, ...] = ()
    moved_from: Move | None = None


@dataclass(frozen=True, slots=True)
class SimilarCve:
    """A past CVE from the user's own index (`ctiforge.classify.similar`).

    Attributes:
        similarity: cosine of the two texts' vectors, at most 1.
        assigned: what its parties assigned: pairs of party and CWE ID, in the record's order.
        published: ISO 8601 day, or empty.
        excerpt: the start of its text, on one line.
    """

    id: str
    similarity: float
    assigned: tuple[tuple[Party, str], ...]
    published: str = ""
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class RareCandidate:
    """A weakness that the model has no label for, found by the words of MITRE's definition (`ctiforge.models.rare`).

    Attributes:
        similarity: of the text and the definition, 0 to 1; no probability.
    """

    cwe_id: str
    name: str
    similarity: float
    usage: MappingUsage


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided (`ctiforge.triage`); no names, since it may be published.

    Attributes:
        cwe_ids: what was assigned, root cause first; empty for ``reject``.
        at: ISO 8601, UTC.
        in_bulk: nobody looked at this record by itself.
    """

    verdict: Literal["accept", "correct", "reject"]
    cwe_ids: tuple[str, ...]
    at: str
    in_bulk: bool = False


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one advisory.

    Attributes:
        id: the advisory's ID.
        text: the text that was classified (evidence offsets point into it).
        abstained: True when no suggestion is good enough to offer; `reason` then says why. `suggestions` still lists the
            candidates, if there were any, so that a person can see what was weighed.
        suggestions: best first. Under policy ``mitre`` only Allowed and Allowed-with-Review entries.
        discouraged: entries that the text points to but MITRE discourages, each with what to prefer (policy ``mitre``).
        chain: two of the suggestions of which the first can lead to the second, root cause first; empty where there are none.
        view: the view that the suggestions were held to, such as ``CWE-1003``; None for all weaknesses.
        model, model_digest, cwe_version, policy: what made this answer.
        advisory: the record itself, with the CWEs its own parties assigned; None for bare text.
        similar: past CVEs, the most similar first; None where no index was given.
        rare_candidates: where nothing is suggested: entries beyond the model's labels that the text may mean, nearest first.
        decision: what a person made of it, None if nobody has; `suggestions` then begins with the entries decided on.
    """

    id: str
    text: str
    abstained: bool
    reason: AbstainReason | None
    suggestions: tuple[Suggestion, ...]
    discouraged: tuple[Suggestion, ...]
    model: str
    model_digest: str
    cwe_version: str
    policy: Policy
    advisory: Advisory | None = None
    chain: tuple[str, ...] = ()
    view: str | None = None
    similar: tuple[SimilarCve, ...] | None = None
    rare_candidates: tuple[RareCandidate, ...] = ()
    decision: Decision | None = None
