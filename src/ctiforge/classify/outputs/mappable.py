"""Which suggestion may go into a record that others will read."""

from __future__ import annotations

from ctiforge.classify.prediction import Prediction, Suggestion

__all__ = ["best_mappable", "published_entries"]


def best_mappable(prediction: Prediction) -> Suggestion | None:
    """Return the best suggestion that MITRE allows for mapping, or None.

    None too for an abstention: candidates that were only weighed are not published. Under policy ``nvd`` this passes over
    Discouraged entries, so that an exchange format never carries one (https://cwe.mitre.org/documents/cwe_usage/guidance.html;
    CSAF 2.1 section 6.1.11 and 6.2.25).
    """
    if prediction.abstained:
        return None
    return next((each for each in prediction.suggestions if each.usage in ("Allowed", "Allowed-with-Review")), None)


def published_entries(prediction: Prediction) -> tuple[Suggestion, ...]:
    """Return what a record may carry: all entries that a person decided on, else the best suggestion that MITRE allows."""
    if prediction.decision is not None:
        return prediction.suggestions[: len(prediction.decision.cwe_ids)]
    best = best_mappable(prediction)
    return (best,) if best else ()
