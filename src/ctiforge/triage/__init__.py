"""Triage: the model suggests, a person decides. A queue, reviews, an audit trail, exports and drift over one database.

Everything is a function of an open store, which threads may share. Nothing here decides by itself, and nothing is overwritten.
"""

from __future__ import annotations

from ctiforge.triage.audit_trail import BrokenLink, VerifyReport, history, verify
from ctiforge.triage.bulk import bulk_accept, bulk_acts, bulk_undo
from ctiforge.triage.drift import DriftReport, drift
from ctiforge.triage.errors import BulkChangedError, ConflictError, StoreError, UnknownItemError
from ctiforge.triage.exploitation import RankReport, rank
from ctiforge.triage.exporting import ExportSummary, export
from ctiforge.triage.feed_import import import_advisories
from ctiforge.triage.listing import QueueFilter, queue, show
from ctiforge.triage.performance import CalibrationBin, DayOfWork, Performance, measure_performance
from ctiforge.triage.reviewing import confirm, review, undo
from ctiforge.triage.rules import TriageRules, load_rules
from ctiforge.triage.store import TriageStore, open_store
from ctiforge.triage.values import (
    AuditEntry,
    BulkAct,
    BulkResult,
    ImportReport,
    ItemView,
    PriorityPart,
    QueueItem,
    QueuePage,
    Review,
    StoredSuggestion,
)

__all__ = [
    "AuditEntry",
    "BrokenLink",
    "BulkAct",
    "BulkChangedError",
    "BulkResult",
    "CalibrationBin",
    "ConflictError",
    "DayOfWork",
    "DriftReport",
    "ExportSummary",
    "ImportReport",
    "ItemView",
    "Performance",
    "PriorityPart",
    "QueueFilter",
    "QueueItem",
    "QueuePage",
    "RankReport",
    "Review",
    "StoreError",
    "StoredSuggestion",
    "TriageRules",
    "TriageStore",
    "UnknownItemError",
    "VerifyReport",
    "bulk_accept",
    "bulk_acts",
    "bulk_undo",
    "confirm",
    "drift",
    "export",
    "history",
    "import_advisories",
    "load_rules",
    "measure_performance",
    "open_store",
    "queue",
    "rank",
    "review",
    "show",
    "undo",
    "verify",
]
