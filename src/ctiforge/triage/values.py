"""The values of triage: what a caller gets back, all frozen, none tied to a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from ctiforge.classify.prediction import Prediction
from ctiforge.core.advisory import Advisory, Party

__all__ = [
    "ACTS",
    "DECIDED",
    "STATES",
    "VERDICTS",
    "WAITING",
    "Act",
    "AuditEntry",
    "BulkAct",
    "BulkResult",
    "ImportReport",
    "ItemView",
    "Prior",
    "PriorityPart",
    "QueueItem",
    "QueuePage",
    "Review",
    "State",
    "StoredSuggestion",
    "Verdict",
]

State = Literal["open", "reopened", "awaiting_second", "accepted", "corrected", "rejected"]
"""``open``: nobody decided. ``reopened``: somebody had, and then the text or what a party assigned changed.
``awaiting_second``: one reviewer decided, and the store asks for two."""
STATES: Final[tuple[State, ...]] = get_args(State)
DECIDED: Final[tuple[State, ...]] = ("accepted", "corrected", "rejected")
WAITING: Final[tuple[State, ...]] = ("open", "reopened", "awaiting_second")

Verdict = Literal["accept", "correct", "reject"]
"""``accept``: the first suggestion stands. ``correct``: other entries. ``reject``: no entry can be assigned."""
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)

Act = Literal["accept", "correct", "reject", "confirm", "undo"]
"""What a person did: a verdict, the second reviewer's consent, or taking the newest one back."""
ACTS: Final[tuple[Act, ...]] = get_args(Act)


@dataclass(frozen=True, slots=True)
class Prior:
    """What an item was before a review."""

    state: State
    cwe_ids: tuple[str, ...]
    review_id: int | None


@dataclass(frozen=True, slots=True)
class Review:
    """One act of a person on an item; rows of reviews are only ever added.

    Attributes:
        state, cwe_ids: what the item is after it.
        version: the item's version after it; a version is given once.
        suggestion_id: the suggestion that was in view.
        bulk_id: the bulk acceptance that it belongs to, or None.
    """

    review_id: int
    item_id: str
    act: Act
    state: State
    cwe_ids: tuple[str, ...]
    reviewer: str
    reason: str
    at: str
    prior: Prior
    version: int
    suggestion_id: int
    bulk_id: int | None = None


@dataclass(frozen=True, slots=True)
class StoredSuggestion:
    """What a model said of an item, with all that identifies the answer.

    Attributes:
        threshold: the probability below which the classifier abstained.
        prediction: ranked suggestions with probabilities and evidence, as `ctiforge.classify` gave them.
    """

    suggestion_id: int
    made_at: str
    model: str
    model_digest: str
    cwe_version: str
    policy: str
    threshold: float
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One line of the queue.

    Attributes:
        version: give it back with a review; a review of an older version is refused.
        priority: points of the formula in force, 0 to the sum of its weights.
        ssvc: the decision ``act``, ``attend``, ``track*`` or ``track``; empty where the inputs are not known.
        kev_date: day on which CISA listed it as exploited, or empty.
        epss: probability of exploitation in the next 30 days; None if not known.
        cvss: base score of the newest CVSS version that any party gave; None if none did.
        top_cwe, probability: the model's first suggestion, or its first candidate where it abstained.
        abstain_reason: empty where the model suggests something.
        assigned: CWE IDs by party, in the record's order.
        parties_differ: two parties' entries have none in common.
        model_differs: parties named entries, and the first suggestion is none of them.
        discouraged: a party assigned an entry that MITRE discourages or prohibits.
        opened_at, due_at: when the clock of the service level started, and when it ends; ISO 8601, UTC.
    """

    id: str
    version: int
    state: State
    title: str
    priority: float
    ssvc: str
    kev_date: str
    epss: float | None
    cvss: float | None
    top_cwe: str
    probability: float
    abstain_reason: str
    assigned: Mapping[Party, tuple[str, ...]]
    parties_differ: bool
    model_differs: bool
    discouraged: bool
    published: str
    opened_at: str
    due_at: str
    overdue: bool
    cwe_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Some items in order, and how many there are in all."""

    items: tuple[QueueItem, ...]
    total: int


@dataclass(frozen=True, slots=True)
class PriorityPart:
    """One term of the formula: `points` = `weight` times `value` (0 to 1); `why` in words."""

    name: str
    weight: float
    value: float
    points: float
    why: str


@dataclass(frozen=True, slots=True)
class ItemView:
    """Everything about one item.

    Attributes:
        advisory: the record, joined from all feeds that have it; what each party assigned stays apart.
        feeds: the kinds of feeds that it came from.
        priority: the formula's terms; they add up to ``item.priority``.
        reviews: oldest first.
    """

    item: QueueItem
    advisory: Advisory
    feeds: tuple[str, ...]
    suggestion: StoredSuggestion
    priority: tuple[PriorityPart, ...]
    reviews: tuple[Review, ...]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One link of the audit trail; `hash` covers all other fields, `previous` is the hash of the link before."""

    seq: int
    at: str
    actor: str
    action: str
    item_id: str
    details: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of the records of an import: every one is counted once.

    Attributes:
        added: new items. changed: of known items, something changed.
        reopened: of the changed ones, those that a person had decided.
        unchanged: already there. outdated: older than what is there. rejected: by reason.
    """

    added: int
    changed: int
    reopened: int
    unchanged: int
    outdated: int
    rejected: Mapping[str, int]

    @property
    def records(self) -> int:
        """All records read."""
        return self.added + self.changed + self.unchanged + self.outdated + sum(self.rejected.values())


@dataclass(frozen=True, slots=True)
class BulkResult:
    """A bulk acceptance, or its undoing.

    Attributes:
        bulk_id: 0 for a dry run.
        item_ids: what it concerns.
        expected_wrong: sum of 1 - probability: so many of the accepted ones a calibrated model would get wrong.
        left: items that it does not touch any more, since somebody has reviewed them again.
        digest: of the items with their versions and entries; given back, the act is refused if it would be another set.
    """

    bulk_id: int
    item_ids: tuple[str, ...]
    expected_wrong: float = 0.0
    left: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class BulkAct:
    """A bulk acceptance as the store keeps it.

    Attributes:
        items: how many it accepted.
        standing: of those, how many are still what it made of them.
    """

    bulk_id: int
    at: str
    reviewer: str
    reason: str
    min_probability: float
    items: int
    standing: int
