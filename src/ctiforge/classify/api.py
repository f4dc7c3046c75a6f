"""`classify`: the one function that most programs need."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from ctiforge.classify.classifier import DEFAULT_MODEL, Classifier
from ctiforge.classify.prediction import Prediction
from ctiforge.core.advisory import Advisory
from ctiforge.sources.cwe import load_catalogue

__all__ = ["classify"]


def classify(
    texts_or_advisories: str | Advisory | Iterable[str | Advisory],
    top_k: int = 5,
    policy: str = "mitre",
    *,
    model: str = DEFAULT_MODEL,
    threshold: float | None = None,
    view: str | int | None = None,
) -> list[Prediction]:
    """Suggest CWEs for texts or advisories, in order.

    Args:
        texts_or_advisories: one text or `Advisory`, or several.
        top_k, policy, model, threshold, view: see `ctiforge.classify.Classifier`. The classifier is kept for the next call.

    Raises:
        CtiforgeError: the model is missing or damaged, or a setting is out of range.
    """
    items = [texts_or_advisories] if isinstance(texts_or_advisories, str | Advisory) else texts_or_advisories
    return _classifier(model, policy, top_k, threshold, view, load_catalogue().digest).classify(items)


@lru_cache(maxsize=4)
def _classifier(
    model: str, policy: str, top_k: int, threshold: float | None, view: str | int | None, catalogue_digest: str
) -> Classifier:
    # The digest is part of the key, so that another catalogue put in force is not answered with the old one.
    return Classifier(model, policy=policy, top_k=top_k, threshold=threshold, view=view)
