"""Exports: decided items as predictions that carry a decision, rendered one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy import select

from ctiforge.classify.outputs import OutputOptions
from ctiforge.classify.prediction import Decision, Prediction, Suggestion
from ctiforge.core.errors import SettingError
from ctiforge.sources.cwe import CweCatalogue, load_catalogue
from ctiforge.triage.exports import find_export
from ctiforge.triage.listing import QueueFilter, conditions
from ctiforge.triage.record_json import advisory_from_json, prediction_from_json
from ctiforge.triage.schema import items, reviews, suggestions
from ctiforge.triage.store import TriageStore
from ctiforge.triage.values import DECIDED

__all__ = ["ExportSummary", "decided_predictions", "export"]

_VERDICTS = {"accepted": "accept", "corrected": "correct", "rejected": "reject"}


@dataclass(slots=True)
class ExportSummary:
    """What became of the decided items: ``written + sum(left_out)`` is their number."""

    written: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)


def export(
    store: TriageStore,
    form: str,
    options: OutputOptions,
    *,
    wanted: QueueFilter | None = None,
    summary: ExportSummary | None = None,
) -> Iterator[str]:
    """Yield the pieces of a document with what people decided.

    Args:
        form: a name of `ctiforge.triage.exports.EXPORTS`.
        options: as for the outputs of `ctiforge classify`; it is marked as reviewed here.
        wanted: which of the decided items; all of them if None.
        summary: brought up to date when the last piece was taken.

    Raises:
        SettingError: there is no such format, or the filter asks for items that are not decided.
    """
    wanted = wanted or QueueFilter(states=DECIDED)
    if not set(wanted.states) <= set(DECIDED):
        raise SettingError(
            "only decided items can be exported", fix=f"states from {', '.join(DECIDED)}; classify exports suggestions"
        )
    renderer = find_export(form).renderer(replace(options, reviewed=True))
    summary = summary if summary is not None else ExportSummary()
    yield renderer.begin()
    total = 0
    for prediction in decided_predictions(store, wanted):
        total += 1
        yield renderer.render(prediction)
    yield renderer.end()
    summary.left_out = renderer.left_out
    summary.written = total - sum(renderer.left_out.values())


def decided_predictions(store: TriageStore, wanted: QueueFilter, catalogue: CweCatalogue | None = None) -> Iterator[Prediction]:
    """Yield decided items in the order of their identifiers, each with its decision; the entries decided on come first."""
    catalogue = catalogue or load_catalogue()
    query = (
        select(
            items.c.item_id,
            items.c.advisory,
            items.c.state,
            items.c.cwe_ids,
            suggestions.c.prediction,
            reviews.c.at,
            reviews.c.bulk_id,
        )
        .join(suggestions, suggestions.c.suggestion_id == items.c.suggestion_id)
        .join(reviews, reviews.c.review_id == items.c.review_id)
        .where(conditions(wanted, store.now()))
        .order_by(items.c.item_id)
        .execution_options(yield_per=200)
    )
    with store.reading() as connection, connection.execute(query) as rows:
        for row in rows:
            yield _decided(row._asdict(), catalogue)


def _decided(row: dict[str, Any], catalogue: CweCatalogue) -> Prediction:
    prediction = prediction_from_json(row["prediction"], advisory_from_json(row["advisory"]))
    cwe_ids: tuple[str, ...] = tuple(orjson.loads(row["cwe_ids"]))
    verdict: Any = _VERDICTS[row["state"]]
    ranked = {each.cwe_id: each for each in (*prediction.discouraged, *prediction.suggestions)}
    chosen = tuple(ranked.get(cwe_id) or _unranked(cwe_id, catalogue) for cwe_id in cwe_ids)
    others = tuple(each for each in prediction.suggestions if each.cwe_id not in cwe_ids)
    decision = Decision(verdict, cwe_ids, row["at"], row["bulk_id"] is not None)
    # The identifier as the queue shows it: printable, and of a length that other tools take.
    return replace(prediction, id=row["item_id"], suggestions=chosen + others, decision=decision)


def _unranked(cwe_id: str, catalogue: CweCatalogue) -> Suggestion:
    entry = catalogue[cwe_id]
    return Suggestion(cwe_id, entry.name, 0.0, entry.usage)
