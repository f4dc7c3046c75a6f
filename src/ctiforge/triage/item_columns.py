"""The columns of an item that follow from its advisory and from what the model says of it: what is filtered and shown."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from ctiforge.classify.outputs.plain_text import one_line, printable
from ctiforge.classify.outputs.record import json_text
from ctiforge.classify.prediction import Prediction
from ctiforge.core.advisory import Advisory
from ctiforge.core.files import sha256
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.triage.join_records import advisory_text
from ctiforge.triage.ranking import best_cvss
from ctiforge.triage.record_json import advisory_json
from ctiforge.triage.ssvc import decision_points

__all__ = ["advisory_columns", "assigned_by_party", "prediction_columns", "text_digest"]

_TITLE = 120
_NOT_TO_BE_MAPPED = ("Discouraged", "Prohibited")


def text_digest(advisory: Advisory) -> str:
    """Return the SHA-256 of the text that is classified."""
    return sha256(advisory_text(advisory).encode("utf-8", "surrogatepass"))


def advisory_columns(advisory: Advisory, catalogue: CweCatalogue) -> dict[str, Any]:
    """Return what a record says, as columns of `items`."""
    assigned = assigned_by_party(advisory)
    named = [set(ids) for ids in assigned.values()]
    every = {cwe_id for ids in named for cwe_id in ids}
    points = decision_points(advisory.ssvc)
    return {
        "title": one_line(advisory.title or advisory_text(advisory), _TITLE),
        "search": printable(f"{advisory.id} {advisory.title} {advisory.description}").lower(),
        "advisory": advisory_json(advisory),
        "text_digest": text_digest(advisory),
        "assigned": json_text(assigned),
        "parties_differ": any(not one & other for one, other in combinations(named, 2)),
        "discouraged": any(_unmappable(cwe_id, catalogue) for cwe_id in every),
        "kev_date": one_line(advisory.kev_date_added),
        "exploitation": one_line(points.exploitation),
        "automatable": one_line(points.automatable),
        "technical_impact": one_line(points.technical_impact),
        "cvss": best_cvss(advisory.cvss),
        "published": one_line(advisory.published),
    }


def assigned_by_party(advisory: Advisory) -> dict[str, list[str]]:
    """Return the CWE IDs of each party that gave any, in the record's order."""
    parties = dict.fromkeys(each.party for each in advisory.weaknesses)
    return {party: list(ids) for party in parties if (ids := advisory.cwe_ids(party))}


def _unmappable(cwe_id: str, catalogue: CweCatalogue) -> bool:
    entry = catalogue.get(cwe_id)
    return entry is not None and entry.usage in _NOT_TO_BE_MAPPED


def prediction_columns(prediction: Prediction, advisory: Advisory) -> dict[str, Any]:
    """Return what the model says, as columns of `items`."""
    first = prediction.suggestions[0] if prediction.suggestions else None
    named = {cwe_id for ids in assigned_by_party(advisory).values() for cwe_id in ids}
    return {
        "top_cwe": first.cwe_id if first else "",
        "probability": float(first.probability) if first else 0.0,
        "abstain_reason": prediction.reason or "",
        "model_differs": bool(named) and not prediction.abstained and first is not None and first.cwe_id not in named,
    }
