"""The JSON contract: one prediction as one object, described by ``prediction.schema.json`` beside this module."""

from __future__ import annotations

from importlib import resources
from typing import Any

import orjson

from ctiforge.classify.outputs.plain_text import UNSAFE, without_surrogates
from ctiforge.classify.prediction import EvidenceSpan, Prediction, RareCandidate, SimilarCve, Suggestion

__all__ = ["json_text", "load_prediction_schema", "prediction_record"]


def prediction_record(prediction: Prediction, *, top_k: int) -> dict[str, Any]:
    """Return the contract's object; probabilities and weights are rounded to four decimals."""
    record: dict[str, Any] = {
        "id": prediction.id,
        "abstained": prediction.abstained,
        "reason": prediction.reason,
        "suggestions": [_suggestion(each) for each in prediction.suggestions[:top_k]],
        "discouraged": [_suggestion(each) for each in prediction.discouraged[:top_k]],
        "assigned": _assigned(prediction),
        "model": prediction.model,
        "model_digest": prediction.model_digest,
        "cwe_version": prediction.cwe_version,
        "policy": prediction.policy,
        "source": str(prediction.advisory.source) if prediction.advisory else "",
    }
    if prediction.chain:
        record["chain"] = list(prediction.chain)
    if prediction.view:
        record["view"] = prediction.view
    if prediction.similar is not None:
        record["similar"] = [_similar(each) for each in prediction.similar]
    if prediction.rare_candidates:
        record["rare_candidates"] = [_rare(each) for each in prediction.rare_candidates]
    return record


def _suggestion(suggestion: Suggestion) -> dict[str, Any]:
    record: dict[str, Any] = {
        "cwe_id": suggestion.cwe_id,
        "name": suggestion.name,
        "probability": round(float(suggestion.probability), 4),
        "usage": suggestion.usage,
        "evidence": [_evidence(span) for span in suggestion.evidence],
    }
    if suggestion.prefer:
        record["prefer"] = list(suggestion.prefer)
    if suggestion.moved_from:
        record["moved_from"] = {"cwe_id": suggestion.moved_from.cwe_id, "why": suggestion.moved_from.why}
    return record


def _evidence(span: EvidenceSpan) -> dict[str, Any]:
    return {"start": int(span.start), "end": int(span.end), "text": span.text, "weight": round(float(span.weight), 4)}


def _similar(similar: SimilarCve) -> dict[str, Any]:
    return {
        "id": similar.id,
        "similarity": round(float(similar.similarity), 4),
        "assigned": [{"party": party, "cwe_id": cwe_id} for party, cwe_id in similar.assigned],
        "published": similar.published,
        "excerpt": similar.excerpt,
    }


def _rare(candidate: RareCandidate) -> dict[str, Any]:
    return {
        "cwe_id": candidate.cwe_id,
        "name": candidate.name,
        "similarity": round(float(candidate.similarity), 4),
        "usage": candidate.usage,
    }


def _assigned(prediction: Prediction) -> list[dict[str, Any]]:
    if prediction.advisory is None:
        return []
    return [{"party": each.party, "cwe_id": each.cwe_id, "text": each.text} for each in prediction.advisory.weaknesses]


def json_text(value: Any) -> str:
    """Return `value` as compact JSON on one line.

    Lone surrogates, which UTF-8 cannot carry, become U+FFFD. Characters that a terminal obeys or that reorder what a person
    reads are escaped, which changes no value: JSON Lines are looked at with ``head`` and ``less``.
    """
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # orjson refuses lone surrogates; they are rare, so only then is the value walked
        text = orjson.dumps(_clean(value)).decode()
    if text.isascii() and "\x7f" not in text:  # JSON has escaped all other control characters
        return text
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_clean(each) for each in value]
    return value


def load_prediction_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one line of ``--output jsonl``."""
    schema = orjson.loads(resources.files(__package__).joinpath("prediction.schema.json").read_bytes())
    if not isinstance(schema, dict):
        raise TypeError("prediction.schema.json is not an object")
    return schema
