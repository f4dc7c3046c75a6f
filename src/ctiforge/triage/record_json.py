"""Advisories and predictions as JSON in the store, and back to the same values."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import orjson

from ctiforge.classify.outputs.plain_text import one_line
from ctiforge.classify.outputs.record import json_text
from ctiforge.classify.prediction import EvidenceSpan, Move, Prediction, RareCandidate, SimilarCve, Suggestion
from ctiforge.core.advisory import Advisory, AssignedWeakness, CvssScore, SourceRef, Ssvc
from ctiforge.core.files import sha256

__all__ = ["advisory_digest", "advisory_from_json", "advisory_json", "item_key", "prediction_from_json", "prediction_json"]

_NOWHERE = SourceRef("")
_LONGEST_ID = 200


def item_key(record_id: str) -> str:
    """Return a record's identifier as the store names it: on one line, printable, at most 200 characters."""
    clean = one_line(record_id)
    return clean if len(clean) <= _LONGEST_ID else f"{clean[: _LONGEST_ID - 17]}~{sha256(clean.encode())[:16]}"


def advisory_json(advisory: Advisory) -> str:
    """Return all of an advisory."""
    return _json(advisory)


def advisory_digest(advisory: Advisory) -> str:
    """Return the SHA-256 of what an advisory says; where it was found and when it was touched do not count."""
    return sha256(_json(replace(advisory, source=_NOWHERE, modified="", notes=())).encode())


def _json(value: Advisory | Prediction) -> str:
    try:
        return json_text(value)
    except TypeError:  # lone surrogates, which `json_text` replaces in plain values
        return json_text(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value


def advisory_from_json(text: str) -> Advisory:
    """Return the advisory that `advisory_json` wrote."""
    value: dict[str, Any] = orjson.loads(text)
    ssvc = value["ssvc"]
    return Advisory(
        **{
            **value,
            "source": SourceRef(**value["source"]),
            "aliases": tuple(value["aliases"]),
            "weaknesses": tuple(AssignedWeakness(**each) for each in value["weaknesses"]),
            "cvss": tuple(CvssScore(**each) for each in value["cvss"]),
            "ssvc": Ssvc(**{**ssvc, "options": tuple(map(tuple, ssvc["options"]))}) if ssvc else None,
            "languages": tuple(value["languages"]),
            "notes": tuple(value["notes"]),
        }
    )


def prediction_json(prediction: Prediction) -> str:
    """Return a prediction without its advisory, which the store has beside it."""
    return _json(replace(prediction, advisory=None))


def prediction_from_json(text: str, advisory: Advisory) -> Prediction:
    """Return the prediction that `prediction_json` wrote, with its advisory."""
    value: dict[str, Any] = orjson.loads(text)
    similar = value["similar"]
    return Prediction(
        **{
            **value,
            "suggestions": tuple(map(_suggestion, value["suggestions"])),
            "discouraged": tuple(map(_suggestion, value["discouraged"])),
            "chain": tuple(value["chain"]),
            "similar": None if similar is None else tuple(map(_similar, similar)),
            "rare_candidates": tuple(RareCandidate(**each) for each in value["rare_candidates"]),
            "advisory": advisory,
        }
    )


def _suggestion(value: dict[str, Any]) -> Suggestion:
    return Suggestion(
        **{
            **value,
            "evidence": tuple(EvidenceSpan(**each) for each in value["evidence"]),
            "prefer": tuple(value["prefer"]),
            "moved_from": Move(**value["moved_from"]) if value["moved_from"] else None,
        }
    )


def _similar(value: dict[str, Any]) -> SimilarCve:
    return SimilarCve(**{**value, "assigned": tuple(map(tuple, value["assigned"]))})
