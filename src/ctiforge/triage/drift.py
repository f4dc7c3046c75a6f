"""Drift: is the feed, and is the model on it, still what it was in the reference period?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any, Literal, get_args

from sqlalchemy import select

from ctiforge.core.errors import InputError, SettingError
from ctiforge.triage.drift_measures import Measure, bin_confidences, bin_labels, psi_measure, share_change
from ctiforge.triage.drift_texts import TextShifts
from ctiforge.triage.rules import DriftThresholds, rules_in_force
from ctiforge.triage.schema import items
from ctiforge.triage.store import TriageStore

__all__ = ["EVERY", "DriftReport", "Every", "PeriodDrift", "drift"]

Every = Literal["week", "month", "quarter", "year"]
EVERY: tuple[Every, ...] = get_args(Every)
"""Lengths of periods; a week is ISO 8601's, from Monday."""


@dataclass(frozen=True, slots=True)
class PeriodDrift:
    """One period against the reference.

    Attributes:
        measures: empty where the period has too few items to be judged.
    """

    period: str
    items: int
    reviewed: int
    measures: tuple[Measure, ...]

    @property
    def alarms(self) -> tuple[str, ...]:
        """Names of the measures that are beyond their threshold."""
        return tuple(each.name for each in self.measures if each.alarms)


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All periods after the reference, oldest first."""

    reference: str
    reference_items: int
    periods: tuple[PeriodDrift, ...]

    @property
    def newest_judged(self) -> PeriodDrift | None:
        """The newest period with enough items to be judged; None if there is none."""
        return next((each for each in reversed(self.periods) if each.measures), None)

    @property
    def drifted(self) -> bool:
        """Whether any measure of the newest period that could be judged alarms; earlier ones are history."""
        newest = self.newest_judged
        return newest is not None and bool(newest.alarms)


@dataclass(frozen=True, slots=True)
class _Sample:
    rows: list[dict[str, Any]]

    @property
    def labels(self) -> list[str]:
        return [row["top_cwe"] for row in self.rows if not row["abstain_reason"]]

    @property
    def confidences(self) -> list[float]:
        return [row["probability"] for row in self.rows]

    @property
    def abstained(self) -> tuple[int, int]:
        return sum(bool(row["abstain_reason"]) for row in self.rows), len(self.rows)

    @property
    def overridden(self) -> tuple[int, int]:
        states = [row["state"] for row in self.rows]
        overridden = states.count("corrected") + states.count("rejected")
        return overridden, overridden + states.count("accepted")


def drift(
    store: TriageStore,
    *,
    every: str = "month",
    by: str = "published",
    reference: str | None = None,
    model: str | None = "fast",
    texts: TextShifts | None = None,
) -> DriftReport:
    """Compare each period with the reference.

    Args:
        every: ``week``, ``month``, ``quarter`` or ``year``.
        by: ``published``: when a record was published; ``first_seen``: when it was imported.
        reference: ``FIRST..LAST`` periods, such as ``2024-01..2024-03``, ``2024-W01`` or ``2024-Q1``; the first period with
            enough items if None.
        model: whose text vectors measure the shift: embeddings of a model with an encoder, hashed n-grams of a linear one;
            None leaves the texts out.
        texts: used instead of `model`; what it has measured before it does not measure again.

    Raises:
        InputError: there are not enough items for a reference.
        SettingError: a setting is out of range.
    """
    if every not in EVERY:
        raise SettingError(f"no periods of a {every!r}", fix=f"one of {', '.join(EVERY)}")
    if by not in ("published", "first_seen"):
        raise SettingError(f"items cannot be put in periods by {by!r}", fix="published or first_seen")
    samples, thresholds = _samples(store, every, by)
    first, last = _reference_bounds(samples, reference, thresholds)
    base = _Sample([row for period, sample in samples.items() if first <= period <= last for row in sample.rows])
    if len(base.rows) < thresholds.min_items:
        raise InputError(
            f"the reference {first}..{last} has {len(base.rows):,} items, fewer than {thresholds.min_items}",
            fix="name a longer reference, FIRST..LAST, or choose longer periods",
            about="reference",
        )
    texts = texts or (TextShifts(model) if model else None)
    periods = tuple(
        PeriodDrift(period, len(sample.rows), sample.overridden[1], tuple(_measures(store, base, sample, thresholds, texts)))
        for period, sample in samples.items()
        if period > last
    )
    return DriftReport(first if first == last else f"{first}..{last}", len(base.rows), periods)


def _samples(store: TriageStore, every: str, by: str) -> tuple[dict[str, _Sample], DriftThresholds]:
    names = ("item_id", "text_digest", "state", "top_cwe", "probability", "abstain_reason", by)
    query = select(*(items.c[name] for name in names)).execution_options(yield_per=1000)
    found: dict[str, list[dict[str, Any]]] = {}
    with store.reading() as connection:
        thresholds = rules_in_force(connection).drift
        with connection.execute(query) as rows:
            for row in rows:
                values = row._asdict()
                if period := _period(values[by], every):
                    found.setdefault(period, []).append(values)
    # Sorted here: told to sort, SQLite goes by the key and reads every whole row.
    return {period: _Sample(sorted(found[period], key=itemgetter("item_id"))) for period in sorted(found)}, thresholds


def _period(moment: str, every: str) -> str:
    """Return ``2026-W48``, ``2026-11``, ``2026-Q4`` or ``2026``; empty for a record without a date."""
    try:
        day = date.fromisoformat(moment[:10])
    except ValueError:
        return ""
    if every == "week":
        year, week, _ = day.isocalendar()
        return f"{year:04}-W{week:02}"
    if every == "quarter":
        return f"{day.year:04}-Q{(day.month + 2) // 3}"
    return day.isoformat()[: 4 if every == "year" else 7]


def _reference_bounds(samples: Mapping[str, _Sample], given: str | None, thresholds: DriftThresholds) -> tuple[str, str]:
    if given is not None:
        first, dots, last = given.partition("..")
        return first.strip(), (last if dots else first).strip()
    enough = next((period for period, sample in samples.items() if len(sample.rows) >= thresholds.min_items), None)
    if enough is None:
        raise InputError(
            f"no period has {thresholds.min_items} items, so there is nothing to compare with",
            fix="import more, or choose longer periods",
            about="every",
        )
    return enough, enough


def _measures(
    store: TriageStore, base: _Sample, sample: _Sample, thresholds: DriftThresholds, texts: TextShifts | None
) -> Iterator[Measure]:
    if len(sample.rows) < thresholds.min_items:
        return
    if base.labels and sample.labels:
        before, now = bin_labels(base.labels, sample.labels)
        yield psi_measure("label_psi", before, now, thresholds.label_psi)
    before, now = bin_confidences(base.confidences, sample.confidences)
    yield psi_measure("confidence_psi", before, now, thresholds.confidence_psi)
    if texts:
        yield texts.measure(store, base.rows, sample.rows, thresholds.text_shift)
    shares = (
        share_change("abstention", base.abstained, sample.abstained, thresholds.abstention),
        share_change("override", base.overridden, sample.overridden, thresholds.override),
    )
    yield from (each for each in shares if each is not None)
