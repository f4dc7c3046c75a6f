"""Codes and numbers as words for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ctiforge.classify.prediction import AbstainReason, Decision, Prediction, Suggestion

__all__ = [
    "ABSTAIN_SENTENCES",
    "abstain_sentence",
    "chain_text",
    "decision_sentence",
    "prefer_text",
    "probability_text",
    "ranking_text",
]

ABSTAIN_SENTENCES: Mapping[AbstainReason, str] = MappingProxyType(
    {
        "no_description": "The record has no description to read.",
        "not_english": "The description is not in English, the only language the model knows.",
        "low_information": "The description does not say what the weakness is.",
        "only_discouraged": "The text points only to entries that MITRE discourages for mapping.",
        "low_probability": "No entry is probable enough to suggest.",
    }
)
"""One sentence for every `AbstainReason`."""


def abstain_sentence(prediction: Prediction) -> str:
    """Return why nothing is suggested; empty where something is."""
    if not prediction.abstained and prediction.suggestions:
        return ""
    return ABSTAIN_SENTENCES[prediction.reason] if prediction.reason else "No entry is suggested."


def decision_sentence(decision: Decision) -> str:
    """Return what a person decided, and when."""
    how = {"accept": "as the model suggested", "correct": "instead of the model's suggestion", "reject": ""}[decision.verdict]
    what = f"{', '.join(decision.cwe_ids)} assigned {how}" if decision.cwe_ids else "No CWE can be assigned"
    return f"{what}; decided {'in bulk' if decision.in_bulk else 'in a review'} on {decision.at}."


def chain_text(prediction: Prediction) -> str:
    """Return ``CWE-190 can lead to CWE-787 (root cause first)``; empty without a chain."""
    return f"{' can lead to '.join(prediction.chain)} (root cause first)" if prediction.chain else ""


def prefer_text(suggestion: Suggestion, limit: int = 3) -> str:
    """Return what to use instead of a discouraged entry: ``prefer CWE-787, CWE-125 or 2 more``."""
    if not suggestion.prefer:
        return "prefer a more specific entry"
    names = list(suggestion.prefer[:limit])
    if more := len(suggestion.prefer[limit:]):
        names.append(f"{more} more")
    *names, last = names
    return "prefer " + (f"{', '.join(names)} or {last}" if names else last)


def probability_text(probability: float) -> str:
    """Return ``0.87``; never ``1.00`` or ``0.00`` for what is neither certain nor impossible."""
    if 0.99 < probability < 1:
        return ">.99"
    if 0 < probability < 0.01:
        return "<.01"
    return f"{probability:.2f}"


def ranking_text(suggestions: Iterable[Suggestion]) -> str:
    """Return ``CWE-787 0.61, CWE-125 0.20``."""
    return ", ".join(f"{each.cwe_id} {probability_text(each.probability)}" for each in suggestions)
