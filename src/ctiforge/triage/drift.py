"""Drift: is the feed, and is the model on it, still what it was in the reference period?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from ctiforge.classify.classifier import load_model
from ctiforge.core.errors import InputError, SettingError
from ctiforge.models.cwe_model import CweModel
from ctiforge.models.linear import LinearModel
from ctiforge.models.text_vectors import text_embeddings, text_ngrams, vector_model
from ctiforge.triage.drift_measures import Measure, bin_confidences, bin_labels, psi_measure, share_change, text_shift
from ctiforge.triage.join_records import advisory_text
from ctiforge.triage.record_json import advisory_from_json
from ctiforge.triage.rules import DriftThresholds, rules_in_force
from ctiforge.triage.schema import items
from ctiforge.triage.store import TriageStore

__all__ = ["DriftReport", "Every", "PeriodDrift", "drift"]

Every = Literal["month", "quarter", "year"]
_LENGTHS: Final[Mapping[str, int]] = {"year": 4, "month": 7}
_TEXTS: Final = 300
_SIZE: Final = 512
"""Dimensions that n-grams are hashed to."""


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
    def drifted(self) -> bool:
        """Whether any measure of the newest period that could be judged alarms; earlier ones are history."""
        judged = [each for each in self.periods if each.measures]
        return bool(judged and judged[-1].alarms)


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
) -> DriftReport:
    """Compare each period with the reference.

    Args:
        every: ``month``, ``quarter`` or ``year``.
        by: ``published``: when a record was published; ``first_seen``: when it was imported.
        reference: ``FIRST..LAST`` periods, such as ``2024-01..2024-03``; the first period with enough items if None.
        model: whose text vectors measure the shift: embeddings of a model with an encoder, hashed n-grams of a linear one;
        None leaves
            the texts out.

    Raises:
        InputError: there are not enough items for a reference.
        SettingError: a setting is out of range.
    """
    if every not in ("month", "quarter", "year"):
        raise SettingError(f"no periods of a {every!r}", fix="month, quarter or year")
    if by not in ("published", "first_seen"):
        raise SettingError(f"items cannot be put in periods by {by!r}", fix="published or first_seen")
    samples, thresholds = _samples(store, every, by)
    first, last = _reference_bounds(samples, reference, thresholds)
    base = _Sample([row for period, sample in samples.items() if first <= period <= last for row in sample.rows])
    if len(base.rows) < thresholds.min_items:
        raise InputError(
            f"the reference {first}..{last} has {len(base.rows):,} items, fewer than {thresholds.min_items}",
            fix="name a longer one with --reference FIRST..LAST, or larger periods with --every",
        )
    texts = _Texts(store, load_model(model)) if model else None
    periods = tuple(
        PeriodDrift(period, len(sample.rows), sample.overridden[1], tuple(_measures(base, sample, thresholds, texts)))
        for period, sample in samples.items()
        if period > last
    )
    return DriftReport(first if first == last else f"{first}..{last}", len(base.rows), periods)


def _samples(store: TriageStore, every: str, by: str) -> tuple[dict[str, _Sample], DriftThresholds]:
    names = ("item_id", "state", "top_cwe", "probability", "abstain_reason", by)
    query = select(*(items.c[name] for name in names)).order_by(items.c.item_id).execution_options(yield_per=1000)
    found: dict[str, list[dict[str, Any]]] = {}
    with store.reading() as connection:
        thresholds = rules_in_force(connection).drift
        with connection.execute(query) as rows:
            for row in rows:
                values = row._asdict()
                if period := _period(values[by], every):
                    found.setdefault(period, []).append(values)
    return {period: _Sample(found[period]) for period in sorted(found)}, thresholds


def _period(moment: str, every: str) -> str:
    """Return ``2026-11``, ``2026-Q4`` or ``2026``; empty for a record without a date."""
    try:
        day = date.fromisoformat(moment[:10])
    except ValueError:
        return ""
    return f"{day.year}-Q{(day.month + 2) // 3}" if every == "quarter" else day.isoformat()[: _LENGTHS[every]]


def _reference_bounds(samples: Mapping[str, _Sample], given: str | None, thresholds: DriftThresholds) -> tuple[str, str]:
    if given is not None:
        first, dots, last = given.partition("..")
        return first.strip(), (last if dots else first).strip()
    enough = next((period for period, sample in samples.items() if len(sample.rows) >= thresholds.min_items), None)
    if enough is None:
        raise InputError(
            f"no period has {thresholds.min_items} items, so there is nothing to compare with",
            fix="import more, or choose larger periods: --every year",
        )
    return enough, enough


def _measures(base: _Sample, sample: _Sample, thresholds: DriftThresholds, texts: _Texts | None) -> Iterator[Measure]:
    if len(sample.rows) < thresholds.min_items:
        return
    if base.labels and sample.labels:
        before, now = bin_labels(base.labels, sample.labels)
        yield psi_measure("label_psi", before, now, thresholds.label_psi)
    before, now = bin_confidences(base.confidences, sample.confidences)
    yield psi_measure("confidence_psi", before, now, thresholds.confidence_psi)
    if texts:
        yield text_shift(texts.vectors(base.rows), texts.vectors(sample.rows), thresholds.text_shift)
    shares = (
        share_change("abstention", base.abstained, sample.abstained, thresholds.abstention),
        share_change("override", base.overridden, sample.overridden, thresholds.override),
    )
    yield from (each for each in shares if each is not None)


class _Texts:
    """Vectors of a sample of texts, the same every time."""

    def __init__(self, store: TriageStore, model: CweModel) -> None:
        self._store = store
        self._model = vector_model(model)

    def vectors(self, rows: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float64]:
        chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:_TEXTS])
        ids = [rows[number]["item_id"] for number in chosen]
        with self._store.reading() as connection:
            found = connection.execute(select(items.c.advisory).where(items.c.item_id.in_(ids)).order_by(items.c.item_id))
            texts = [advisory_text(advisory_from_json(each)) for each in found.scalars()]
        if not isinstance(self._model, LinearModel):
            return text_embeddings(self._model, texts).astype(np.float64)
        features = text_ngrams(self._model, texts)
        hashed = np.zeros((len(texts), _SIZE))
        signs = np.where(features.ids * 2654435761 % 8191 % 2, 1.0, -1.0)
        rows_of = np.repeat(np.arange(len(texts)), np.diff(features.bounds))
        np.add.at(hashed, (rows_of, features.ids % _SIZE), features.values * signs)
        lengths = np.linalg.norm(hashed, axis=1, keepdims=True)
        unit: npt.NDArray[np.float64] = hashed / np.maximum(lengths, 1e-12)
        return unit
