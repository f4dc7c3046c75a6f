"""SSVC: CISA's coordinator decision from the decision points that its ADP container publishes.

The container gives Exploitation, Automatable and Technical Impact; what a loss would mean for the organisation (Mission and
Well-Being) is the reader's own, and so a setting. The table is CERT/CC's, version 2.0.3 (https://certcc.github.io/SSVC/).
Why it is here and not a library's: docs/decisions/0011-triage-store.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from ctiforge.core.advisory import Ssvc

__all__ = ["DECISIONS", "IMPACTS", "DecisionPoints", "SsvcDecision", "decide", "decision_points"]

SsvcDecision = Literal["track", "track*", "attend", "act"]
DECISIONS: Final[tuple[SsvcDecision, ...]] = ("track", "track*", "attend", "act")
"""Least urgent first."""
IMPACTS: Final = ("low", "medium", "high")
"""Mission and Well-Being Impact."""

_TABLE: Final[dict[tuple[str, str, str], tuple[SsvcDecision, SsvcDecision, SsvcDecision]]] = {
    # exploitation, automatable, technical impact: the decision for an impact that is low, medium, high
    ("none", "no", "partial"): ("track", "track", "track"),
    ("none", "no", "total"): ("track", "track", "track*"),
    ("none", "yes", "partial"): ("track", "track", "attend"),
    ("none", "yes", "total"): ("track", "track", "attend"),
    ("poc", "no", "partial"): ("track", "track", "track*"),
    ("poc", "no", "total"): ("track", "track*", "attend"),
    ("poc", "yes", "partial"): ("track", "track", "attend"),
    ("poc", "yes", "total"): ("track", "track*", "attend"),
    ("active", "no", "partial"): ("track", "track", "attend"),
    ("active", "no", "total"): ("track", "attend", "act"),
    ("active", "yes", "partial"): ("attend", "attend", "act"),
    ("active", "yes", "total"): ("attend", "act", "act"),
}


@dataclass(frozen=True, slots=True)
class DecisionPoints:
    """The three that are published, in lower case; empty where a record has none.

    Attributes:
        exploitation: ``none``, ``poc``, ``active``. automatable: ``no``, ``yes``. technical_impact: ``partial``, ``total``.
    """

    exploitation: str = ""
    automatable: str = ""
    technical_impact: str = ""


def decision_points(published: Ssvc | None) -> DecisionPoints:
    """Return the decision points of an advisory; ``public poc`` is ``poc``."""
    given = {name.strip().lower(): value.strip().lower() for name, value in published.options} if published else {}
    exploitation = given.get("exploitation", "")
    return DecisionPoints(
        "poc" if exploitation == "public poc" else exploitation, given.get("automatable", ""), given.get("technical impact", "")
    )


def decide(points: DecisionPoints, impact: str) -> SsvcDecision | None:
    """Return the decision for an organisation's `impact` (one of `IMPACTS`); None where a decision point is missing."""
    row = _TABLE.get((points.exploitation, points.automatable, points.technical_impact))
    return row[IMPACTS.index(impact)] if row else None
