"""`Classifier`: advisories in, ranked and explained CWE suggestions out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from ctiforge.classify.abstain import is_vague, looks_english, missing_text_reason
from ctiforge.classify.evidence import evidence_spans
from ctiforge.classify.prediction import AbstainReason, Policy, Prediction, Suggestion
from ctiforge.core.advisory import Advisory, SourceRef
from ctiforge.core.errors import InputError, ModelError, did_you_mean
from ctiforge.models.linear import Doubles, Features, Floats, LinearModel, load_linear_model
from ctiforge.sources.cwe import CweCatalogue, load_catalogue

__all__ = ["BUNDLED_MODELS", "DEFAULT_MODEL", "Classifier", "bundled_model_path", "check_policy"]

BUNDLED_MODELS = ("fast",)
DEFAULT_MODEL = "fast"
_MIN_KNOWN_WORDS = 3

Places = npt.NDArray[np.intp]
"""Positions in the model's list of labels, best first."""


def bundled_model_path(name: str) -> Path:
    """Return the folder of a model that ships with ctiforge."""
    return Path(str(resources.files("ctiforge.classify") / "data" / name))


def check_policy(policy: str) -> Policy:
    """Return `policy` if there is such a one.

    Raises:
        InputError: there is not.
    """
    policies = get_args(Policy)
    if policy not in policies:
        hint = did_you_mean(policy, policies) or f"choose one of {', '.join(policies)}"
        raise InputError(f"unknown policy {policy!r}", fix=hint)
    return policy  # type: ignore[return-value]


class Classifier:
    """The embedded CWE classifier. Loading verifies every file of the model; answering needs no network and no torch.

    Args:
        model: a bundled model's name or the path of a model folder.
        catalogue: the CWE catalogue that gives names and mapping usage; the one in force if None.
        policy: ``mitre`` suggests only entries that MITRE allows; ``nvd`` ranks every weakness the model knows.
        top_k: suggestions an answer at most.
        threshold: abstain when the best suggestion's probability is below this; the model's own (chosen on the development
            split, see its manifest) if None. 0 never abstains for doubt.
        explain: whether suggestions carry evidence; answers come about twice as fast without.

    Raises:
        ModelError: the model is missing or damaged.
        InputError: a setting is out of range.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        catalogue: CweCatalogue | None = None,
        policy: str = "mitre",
        top_k: int = 5,
        threshold: float | None = None,
        explain: bool = True,
    ) -> None:
        if top_k < 1:
            raise InputError(f"top_k is {top_k}", fix="ask for 1 suggestion or more")
        if threshold is not None and not 0 <= threshold <= 1:
            raise InputError(f"threshold is {threshold}", fix="a probability from 0 to 1")
        self.policy = check_policy(policy)
        self.model: LinearModel = load_linear_model(_model_folder(model))
        self.catalogue = catalogue or load_catalogue()
        self.top_k = top_k
        self.explain = explain
        self.threshold = float(self.model.manifest["threshold"][self.policy]) if threshold is None else threshold
        labels = self.model.labels
        # An entry that the catalogue in force does not know as a live weakness is never suggested, whatever the policy.
        live = [self.catalogue.is_weakness(label) and self.catalogue[label].usage != "Prohibited" for label in labels]
        offered = [
            self.catalogue.is_suggestable(label) if self.policy == "mitre" else alive
            for label, alive in zip(labels, live, strict=True)
        ]
        self._offered = np.array(offered, dtype=bool)
        self._discouraged = np.array(live, dtype=bool) & ~self._offered
        if not self._offered.any():
            raise ModelError(
                f"{self.model.name}: CWE {self.catalogue.version} allows none of the model's labels",
                fix="go back to the shipped catalogue: ctiforge cwe use --shipped",
            )

    def classify(self, items: Iterable[str | Advisory]) -> list[Prediction]:
        """Classify texts or advisories, in order."""
        return [self.classify_one(item) for item in items]

    def classify_one(self, item: str | Advisory) -> Prediction:
        """Classify one text or advisory. The text of an advisory is its English description, else its title."""
        advisory = item if isinstance(item, Advisory) else Advisory("", SourceRef("text"), item)
        text = advisory.description or advisory.title
        if not text.strip():
            return self._prediction(advisory, text, missing_text_reason(advisory))
        features = self.model.features(text)
        if not features.ids.size:
            return self._prediction(advisory, text, "low_information" if looks_english(text) else "not_english")
        contributions = self.model.contributions(features)
        probabilities = self.model.probabilities(self.model.scores(contributions))
        best = self._top(probabilities, self._offered, self.top_k)
        discouraged = self._top(probabilities, self._discouraged & (probabilities > probabilities[best[-1]]), self.top_k)
        reason = self._reason(text, features, probabilities, best, discouraged)
        suggestions = tuple(self._suggestion(int(i), text, features, probabilities, contributions) for i in best)
        others = tuple(self._suggestion(int(i), text, features, probabilities, contributions) for i in discouraged)
        return self._prediction(advisory, text, reason, suggestions, others)

    def _reason(
        self, text: str, features: Features, probabilities: Doubles, best: Places, discouraged: Places
    ) -> AbstainReason | None:
        if not looks_english(text):
            return "not_english"
        if features.known < _MIN_KNOWN_WORDS:
            return "low_information"
        if probabilities[best[0]] >= self.threshold:
            return None
        if len(discouraged) and probabilities[discouraged[0]] >= self.threshold:
            return "only_discouraged"
        return "low_information" if is_vague(text) else "low_probability"

    @staticmethod
    def _top(probabilities: Doubles, allowed: npt.NDArray[np.bool_], k: int) -> Places:
        places = np.flatnonzero(allowed)
        best: Places = places[np.argsort(-probabilities[places], kind="stable")[:k]]
        return best

    def _suggestion(
        self, label: int, text: str, features: Features, probabilities: Doubles, contributions: Floats
    ) -> Suggestion:
        weakness = self.catalogue[self.model.labels[label]]
        discouraged = weakness.usage in ("Discouraged", "Prohibited")
        return Suggestion(
            cwe_id=weakness.cwe_id,
            name=weakness.name,
            probability=float(probabilities[label]),
            usage=weakness.usage,
            evidence=evidence_spans(text, features.spans, contributions[:, label]) if self.explain else (),
            prefer=self.catalogue.nearest_allowed(weakness.cwe_id) if discouraged else (),
        )

    def _prediction(
        self,
        advisory: Advisory,
        text: str,
        reason: AbstainReason | None,
        suggestions: tuple[Suggestion, ...] = (),
        discouraged: tuple[Suggestion, ...] = (),
    ) -> Prediction:
        return Prediction(
            id=advisory.id,
            text=text,
            abstained=reason is not None,
            reason=reason,
            suggestions=suggestions,
            discouraged=discouraged,
            model=self.model.name,
            model_digest=self.model.digest,
            cwe_version=self.catalogue.version,
            policy=self.policy,
            advisory=advisory if advisory.id else None,
        )


def _model_folder(model: str | os.PathLike[str]) -> Path:
    name = os.fspath(model)
    if name in BUNDLED_MODELS:
        return bundled_model_path(name)
    folder = Path(name)
    if not (folder / "manifest.json").is_file():
        hint = (
            did_you_mean(name, BUNDLED_MODELS) or f"bundled models: {', '.join(BUNDLED_MODELS)}; or the path of a model folder"
        )
        raise ModelError(f"no model named {name!r} and no manifest.json in a folder of that name", fix=hint)
    return folder
