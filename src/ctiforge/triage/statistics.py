"""How much waits, how much is done, and how people and model agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, literal, select

from ctiforge.core.metrics import Interval, wilson_interval
from ctiforge.triage.schema import items, suggestions
from ctiforge.triage.store import TriageStore, utc_text
from ctiforge.triage.values import STATES, WAITING

__all__ = ["StoreStatistics", "store_statistics"]


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """Counts of items.

    Attributes:
        states: by state, all of them.
        waiting_by_ssvc: those that wait, by SSVC decision; empty text where it is not known.
        agreement: share of the items decided with an entry whose decision has the model's first suggestion; None without.
        models: items by the model of the suggestion in force.
    """

    states: Mapping[str, int]
    overdue: int
    kev_waiting: int
    conflicts: int
    abstained: int
    discouraged: int
    waiting_by_ssvc: Mapping[str, int]
    agreement: float | None
    agreement_interval: Interval
    models: Mapping[str, int]


def store_statistics(store: TriageStore) -> StoreStatistics:
    """Count everything in one look at the database."""
    waiting = items.c.state.in_(WAITING)
    with store.reading() as connection:

        def number(*where: object) -> int:
            query = select(func.count()).select_from(items).where(and_(*where))  # type: ignore[arg-type]
            return int(connection.execute(query).scalar_one())

        by_state = _counts(connection, select(items.c.state, func.count()).group_by(items.c.state))
        by_ssvc = _counts(connection, select(items.c.ssvc, func.count()).where(waiting).group_by(items.c.ssvc))
        decided = items.c.state.in_(("accepted", "corrected")), items.c.abstain_reason == ""
        n = number(*decided)
        agreed = number(*decided, items.c.cwe_ids.contains(literal('"') + items.c.top_cwe + '"'))
        of_items = select(suggestions.c.model, func.count()).join(items, items.c.suggestion_id == suggestions.c.suggestion_id)
        models = _counts(connection, of_items.group_by(suggestions.c.model))
        return StoreStatistics(
            states={state: by_state.get(state, 0) for state in STATES},
            overdue=number(waiting, items.c.due_at < utc_text(store.now())),
            kev_waiting=number(waiting, items.c.kev_date != ""),
            conflicts=number(waiting, items.c.parties_differ.is_(True)),
            abstained=number(waiting, items.c.abstain_reason != ""),
            discouraged=number(waiting, items.c.discouraged.is_(True)),
            waiting_by_ssvc=by_ssvc,
            agreement=agreed / n if n else None,
            agreement_interval=wilson_interval(agreed, n),
            models=models,
        )


def _counts(connection: Connection, query: Select[Any]) -> dict[str, int]:
    return {row[0]: int(row[1]) for row in connection.execute(query)}
