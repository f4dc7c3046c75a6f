"""The order of the queue: a sum of terms that anyone can look at, and the clock of the service level.

All terms but age are fixed when a fact or the rules change, and stored as ``base_priority``; age grows by itself and is
added when the queue is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Float, case, cast, literal

from ctiforge.core.advisory import CvssScore
from ctiforge.triage.rules import TriageRules
from ctiforge.triage.schema import items
from ctiforge.triage.ssvc import DecisionPoints, decide
from ctiforge.triage.store import utc_text
from ctiforge.triage.values import PriorityPart

__all__ = ["RankingFacts", "age_points", "best_cvss", "facts_of_row", "order_columns", "priority_column", "priority_parts"]


@dataclass(frozen=True, slots=True)
class RankingFacts:
    """What the order depends on besides age.

    Attributes:
        uncertainty: 0 to 1.
    """

    kev_date: str
    points: DecisionPoints
    epss: float | None
    cvss: float | None
    uncertainty: float


def best_cvss(scores: tuple[CvssScore, ...]) -> float | None:
    """Return the base score of the newest CVSS version that has one; of several parties' scores the highest."""
    given = [(score.version, score.base_score) for score in scores if score.base_score is not None]
    return max(given)[1] if given else None


def facts_of_row(row: Mapping[str, Any]) -> RankingFacts:
    """Return the facts of a row of `items`, or of the values for one."""
    return RankingFacts(
        kev_date=row["kev_date"],
        points=DecisionPoints(row["exploitation"], row["automatable"], row["technical_impact"]),
        epss=row["epss"],
        cvss=row["cvss"],
        uncertainty=1.0 if row["abstain_reason"] else 1.0 - row["probability"],
    )


def priority_parts(facts: RankingFacts, rules: TriageRules) -> tuple[PriorityPart, ...]:
    """Return all terms but age, in the order of the rules."""
    decision = decide(facts.points, rules.mission_impact) or ""
    weights = rules.weights
    known = (
        ("kev", weights.kev, float(bool(facts.kev_date)), _kev_text(facts.kev_date)),
        ("ssvc", weights.ssvc, rules.ssvc_values.of(decision), _ssvc_text(facts.points, decision, rules.mission_impact)),
        ("epss", weights.epss, facts.epss or 0.0, "not known" if facts.epss is None else f"{facts.epss:.3f} in 30 days"),
        ("cvss", weights.cvss, (facts.cvss or 0.0) / 10, "not known" if facts.cvss is None else f"base score {facts.cvss:.1f}"),
        ("uncertainty", weights.uncertainty, facts.uncertainty, "1 - probability of the first suggestion; 1 if abstained"),
    )
    return tuple(PriorityPart(name, weight, value, weight * value, why) for name, weight, value, why in known)


def _kev_text(kev_date: str) -> str:
    return f"listed on {kev_date}" if kev_date else "not listed"


def _ssvc_text(points: DecisionPoints, decision: str, impact: str) -> str:
    if not decision:
        return "inputs not known"
    return (
        f"{decision}: exploitation {points.exploitation}, automatable {points.automatable}, "
        f"technical impact {points.technical_impact}, mission impact {impact}"
    )


def order_columns(facts: RankingFacts, rules: TriageRules, opened: datetime) -> dict[str, Any]:
    """Return the columns of `items` that follow from the facts and the rules."""
    decision = decide(facts.points, rules.mission_impact) or ""
    due = opened + timedelta(days=rules.sla_days.of(decision, in_kev=bool(facts.kev_date)))
    return {
        "ssvc": decision,
        "base_priority": sum(part.points for part in priority_parts(facts, rules)),
        "due_at": utc_text(due),
    }


def age_points(rules: TriageRules, opened_day: int, now: datetime) -> PriorityPart:
    """Return the term that grows while an item waits."""
    days = max(0, now.astimezone(UTC).toordinal() - opened_day)
    value = min(1.0, days / rules.age_full_days)
    weight = rules.weights.age
    return PriorityPart("age", weight, value, weight * value, f"{days} day{'s' * (days != 1)} of {rules.age_full_days}")


def priority_column(rules: TriageRules, now: datetime) -> ColumnElement[float]:
    """Return the whole priority as an expression over `items`; `age_points` computes the same."""
    days = cast(literal(now.astimezone(UTC).toordinal()) - items.c.opened_day, Float)
    value = case((days >= rules.age_full_days, 1.0), (days <= 0, 0.0), else_=days / rules.age_full_days)
    return items.c.base_priority + rules.weights.age * value
