"""How the work goes: what people decided day by day, and whether the model's probabilities keep their word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Final

from sqlalchemy import Connection, and_, case, func, literal, select

from ctiforge.core.errors import SettingError
from ctiforge.core.metrics import Interval, wilson_interval
from ctiforge.triage.schema import items, reviews
from ctiforge.triage.store import TriageStore, utc_text

__all__ = ["BINS", "CalibrationBin", "DayOfWork", "Performance", "measure_performance"]

BINS: Final = 10
"""Bins of equal width over probabilities from 0 to 1."""
_LONGEST: Final = 366


@dataclass(frozen=True, slots=True)
class DayOfWork:
    """One day in UTC.

    Attributes:
        came_in: items seen for the first time.
        accepted, corrected, rejected: verdicts given, those that were taken back later included.
        in_bulk: of the accepted ones, those that nobody looked at one by one.
        undone: verdicts taken back.
    """

    day: str
    came_in: int
    accepted: int
    corrected: int
    rejected: int
    in_bulk: int
    undone: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Decisions on items whose first suggestion had a probability from `low` to `high`.

    Attributes:
        n: decisions that people made one by one, with this suggestion in view, and that stand.
        expected: mean probability.
        agreed: of the decisions, those whose entries have the suggestion among them.
        interval: of the share agreed / n, 95 % (Wilson).
    """

    low: float
    high: float
    n: int
    expected: float
    agreed: int
    interval: Interval


@dataclass(frozen=True, slots=True)
class Performance:
    """Days, oldest first and without gaps; bins that have a decision, lowest first."""

    days: tuple[DayOfWork, ...]
    bins: tuple[CalibrationBin, ...]

    @property
    def decisions(self) -> int:
        """Decisions that the bins count."""
        return sum(each.n for each in self.bins)


def measure_performance(store: TriageStore, *, days: int = 30) -> Performance:
    """Count what was done in the last `days` days, today included, and compare all decisions with the model's probabilities.

    Raises:
        SettingError: `days` is not from 1 to 366.
    """
    if not 1 <= days <= _LONGEST:
        raise SettingError(f"{days} days is not from 1 to {_LONGEST}", fix="give a number of days such as 30")
    today = store.now().astimezone(UTC)
    wanted = [utc_text(today - timedelta(days=back))[:10] for back in reversed(range(days))]
    with store.reading() as connection:
        return Performance(tuple(_days(connection, wanted)), tuple(_bins(connection)))


def _days(connection: Connection, wanted: list[str]) -> list[DayOfWork]:
    day = func.substr(reviews.c.at, 1, 10)
    query = select(day, reviews.c.act, reviews.c.bulk_id.is_not(None), func.count()).where(reviews.c.at >= wanted[0])
    acts: Counter[tuple[str, str]] = Counter()
    for on, act, in_bulk, n in connection.execute(query.group_by(day, reviews.c.act, reviews.c.bulk_id.is_not(None))):
        acts[on, act] += n
        acts[on, f"bulk-{act}"] += n if in_bulk else 0
    seen = func.substr(items.c.first_seen, 1, 10)
    query_seen = select(seen, func.count()).where(items.c.first_seen >= wanted[0]).group_by(seen)
    came_in: dict[str, int] = {row[0]: row[1] for row in connection.execute(query_seen)}
    return [
        DayOfWork(
            day=each,
            came_in=came_in.get(each, 0),
            accepted=acts[each, "accept"],
            corrected=acts[each, "correct"],
            rejected=acts[each, "reject"],
            in_bulk=acts[each, "bulk-accept"],
            undone=acts[each, "undo"],
        )
        for each in wanted
    ]


def _bins(connection: Connection) -> list[CalibrationBin]:
    # Counted by comparison: of the two databases one has no floor in every build, and they cast to integers differently.
    bin_ = sum((case((items.c.probability >= edge / BINS, 1), else_=0) for edge in range(1, BINS)), literal(0)).label("bin")
    holds = items.c.cwe_ids.contains(literal('"') + items.c.top_cwe + '"')
    agreed = func.sum(case((holds, 1), else_=0))
    query: Any = (
        select(bin_, func.count(), func.avg(items.c.probability), agreed)
        .join(reviews, and_(reviews.c.review_id == items.c.review_id, reviews.c.suggestion_id == items.c.suggestion_id))
        .where(items.c.state.in_(("accepted", "corrected")), items.c.abstain_reason == "", reviews.c.bulk_id.is_(None))
        .group_by(bin_)
        .order_by(bin_)
    )
    return [
        CalibrationBin(number / BINS, (number + 1) / BINS, n, float(mean), int(right), wilson_interval(int(right), n))
        for number, n, mean, right in connection.execute(query)
    ]
