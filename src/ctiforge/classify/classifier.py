"""`Classifier`: advisories in, ranked and explained CWE suggestions out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from ctiforge.classify.abstain import is_vague, looks_english, missing_text_reason
from ctiforge.classify.chains import ChainFinder
from ctiforge.classify.evidence import STRONGEST_PARTS, evidence_spans
from ctiforge.classify.moves import PreferenceMoves, ViewMoves, find_view
from ctiforge.classify.prediction import AbstainReason, EvidenceSpan, Move, Policy, Prediction, Suggestion
from ctiforge.classify.rare import RareFinder
from ctiforge.classify.similar import SimilarCves
from ctiforge.core.advisory import Advisory, SourceRef
from ctiforge.core.errors import ModelError, SettingError, did_you_mean
from ctiforge.core.weakness import MappingUsage
from ctiforge.models.cwe_model import CweModel, ScoredTexts
from ctiforge.models.linear import Doubles, Floats
from ctiforge.models.loading import load_cwe_model
from ctiforge.sources.cwe import CweCatalogue, load_catalogue

__all__ = ["BUNDLED_MODELS", "DEFAULT_MODEL", "Classifier", "bundled_model_path", "check_policy", "load_model"]

BUNDLED_MODELS = ("fast", "accurate")
"""``accurate`` needs the extra of the same name."""
DEFAULT_MODEL = "fast"
_BATCH = 128
_MIN_KNOWN_WORDS = 3
_SURELY_ENGLISH = 0.9
_MIN_EXPLAINED = 0.1
"""Suggestions less likely than this carry no evidence: finding it would take most of the time."""
_MIN_LINK = 0.15
"""Suggestions less likely than this are no links of a chain."""

Labels = npt.NDArray[np.intp]
"""Positions in the model's list of labels, best first."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the catalogue in force says of one of the model's labels."""

    cwe_id: str
    name: str
    usage: MappingUsage
    discouraged: bool
    prefer: tuple[str, ...]


def bundled_model_path(name: str) -> Path:
    """Return the folder of a model that ships with ctiforge."""
    return Path(str(resources.files("ctiforge.classify") / "data" / name))


def load_model(model: str | os.PathLike[str], *, threads: int = 1) -> CweModel:
    """Load a model by bundled name or by the path of its folder, whatever kind it is; every file is verified.

    Raises:
        MissingExtraError: the model needs packages that are not installed.
        ModelError: there is no such model, or it is damaged.
    """
    return load_cwe_model(_model_folder(model), {name: bundled_model_path(name) for name in BUNDLED_MODELS}, threads=threads)


def check_policy(policy: str) -> Policy:
    """Return `policy` if there is such a one.

    Raises:
        SettingError: there is not.
    """
    policies = get_args(Policy)
    if policy not in policies:
        hint = did_you_mean(policy, policies) or f"choose one of {', '.join(policies)}"
        raise SettingError(f"unknown policy {policy!r}", fix=hint)
    return policy  # type: ignore[return-value]


class Classifier:
    """The embedded CWE classifier. Loading verifies every file of the model; answering needs no network and no torch.

    Args:
        model: a bundled model's name or the path of a model folder.
        catalogue: the CWE catalogue that gives names and mapping usage; the one in force if None.
        policy: ``mitre`` suggests only entries that MITRE allows; ``nvd`` ranks every weakness the model
            knows, by the habits of NVD's analysts.
        top_k: suggestions an answer at most.
        threshold: abstain when the best suggestion's probability is below this; the model's own (chosen on the development
            split, see its manifest) if None. 0 never abstains for doubt.
        explain: whether suggestions of a probability of 0.1 or more carry evidence.
        view: suggest members of this view only, such as ``1003``; other entries move to their nearest ancestors in it.
        threads: CPU threads of a model with an encoder; the others have no use for more than one.
        similar: folder of an index of past CVEs (`ctiforge classify index`); each prediction then names the most similar ones.
        similar_before: name only past CVEs published before this day.

    Raises:
        MissingExtraError: the model needs packages that are not installed.
        ModelError: the model or the index is missing or damaged, or the index is of another model.
        SettingError: a setting is out of range.
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
        view: str | int | None = None,
        threads: int = 1,
        similar: str | os.PathLike[str] | None = None,
        similar_before: date | None = None,
    ) -> None:
        if top_k < 1:
            raise SettingError(f"top_k is {top_k}", fix="ask for 1 suggestion or more")
        if threshold is not None and not 0 <= threshold <= 1:
            raise SettingError(f"threshold is {threshold}", fix="a probability from 0 to 1")
        self.policy = check_policy(policy)
        self.model: CweModel = load_model(model, threads=threads)
        self.catalogue = catalogue or load_catalogue()
        self.top_k = top_k
        self.explain = explain
        self.threshold = float(self.model.manifest["threshold"][self.policy]) if threshold is None else threshold
        self._entries = [self._entry(label) for label in self.model.labels]
        live = np.array([entry is not None for entry in self._entries])
        allowed = np.array([entry is not None and not entry.discouraged for entry in self._entries])
        self._offered = allowed if self.policy == "mitre" else live
        self._discouraged = live & ~self._offered
        self.view = None if view is None else find_view(view, self.catalogue)
        self._preferences = PreferenceMoves(self.model.labels, self._offered, self.catalogue)
        self._chains = ChainFinder(self.catalogue)
        self._view = self.view and ViewMoves(self.model.labels, self._offered, self.view, self.catalogue)
        if self._view:
            self._offered = self._offered & self._view.members
            self._discouraged = self._discouraged & self._view.members
        if not self._offered.any():
            raise ModelError(
                f"{self.model.name}: CWE {self.catalogue.version} allows none of the model's labels"
                + (f" in view {self.view}" if self.view else ""),
                fix="another --view" if self.view else "go back to the shipped catalogue: ctiforge cwe use --shipped",
            )
        self._rare = RareFinder.load(_model_folder(model), self.model, self.catalogue)
        self._similar = None if similar is None else SimilarCves(similar, self.model, before=similar_before)

    def _entry(self, label: str) -> _Entry | None:
        """Return what a suggestion of `label` says of it; None if it must never be suggested, whatever the policy.

        The catalogue in force decides: an entry may have been deprecated or prohibited since the model was trained.
        """
        if not self.catalogue.is_weakness(label):
            return None
        weakness = self.catalogue[label]
        if weakness.usage == "Prohibited":
            return None
        discouraged = weakness.usage == "Discouraged"
        return _Entry(
            label, weakness.name, weakness.usage, discouraged, self.catalogue.nearest_allowed(label) if discouraged else ()
        )

    def classify(self, items: Iterable[str | Advisory]) -> list[Prediction]:
        """Classify texts or advisories, in order. The text of an advisory is its English description, else its title."""
        stream = iter(items)
        predictions: list[Prediction] = []
        while batch := list(islice(stream, _BATCH)):
            predictions += self._classify_batch([_advisory(item) for item in batch])
        return predictions

    def classify_one(self, item: str | Advisory) -> Prediction:
        """Classify one text or advisory; many at once take a third of the time each (`classify`)."""
        return self._classify_batch([_advisory(item)])[0]

    def _classify_batch(self, advisories: list[Advisory]) -> list[Prediction]:
        texts = [advisory.description or advisory.title for advisory in advisories]
        scored = self.model.score(texts, self.policy)
        ranking: Floats | Doubles = scored.scores
        probabilities = scored.probabilities
        if self._view:
            ranking = probabilities = self._view.combine(probabilities)
        best = _top(ranking, self._offered, self.top_k)
        discouraged = _top(ranking, self._discouraged, self.top_k)
        predictions = [
            self._predict(advisory, _Evaluated(text, number, scored, probabilities[number], best[number], discouraged[number]))
            for number, (advisory, text) in enumerate(zip(advisories, texts, strict=True))
        ]
        if self._rare:
            predictions = self._rare.add(predictions, scored)
        return self._similar.add(predictions, advisories, scored) if self._similar else predictions

    def _predict(self, advisory: Advisory, evaluated: _Evaluated) -> Prediction:
        text = evaluated.text
        if not text.strip():
            return self._prediction(advisory, text, missing_text_reason(advisory))
        if not evaluated.scored.words(evaluated.number)[0]:
            return self._prediction(advisory, text, "low_information" if looks_english(text) else "not_english")
        best = evaluated.suggested(evaluated.best)
        # Of the discouraged entries, those that would have had a place among the suggestions.
        discouraged = [(label, p) for label, p in evaluated.suggested(evaluated.discouraged) if p > best[-1][1]]
        reason = self._reason(evaluated, best[0][1], discouraged[0][1] if discouraged else 0.0)
        moved: dict[int, Move | None] = {}
        if reason == "only_discouraged":
            first = best[0][0]
            moved[first] = self._preferences.find(discouraged[0][0], first, evaluated.probabilities, self.threshold)
            reason = None if moved[first] else reason
        sources = {label: label for label, _ in [*best, *discouraged]}
        if self._view:
            own = evaluated.scored.probabilities[evaluated.number]
            sources |= {label: self._view.source(label, own) for label, _ in best}
            moved |= {label: move for label, source in sources.items() if (move := self._view.move(source, label))}
        explained = [label for label, p in [*best, *discouraged] if p >= _MIN_EXPLAINED]
        evidence = self._evidence(evaluated, {label: sources[label] for label in explained})
        return self._prediction(
            advisory,
            text,
            reason,
            tuple(self._suggestion(label, p, evidence.get(label, ()), moved.get(label)) for label, p in best),
            tuple(self._suggestion(label, p, evidence.get(label, ())) for label, p in discouraged),
        )

    def _reason(self, evaluated: _Evaluated, best: float, discouraged: float) -> AbstainReason | None:
        # Nearly every word known to the model: no need to look at the language, which takes longer than to rank.
        known, words = evaluated.scored.words(evaluated.number)
        if known < _SURELY_ENGLISH * words and not looks_english(evaluated.text):
            return "not_english"
        if known < _MIN_KNOWN_WORDS:
            return "low_information"
        if best >= self.threshold:
            return None
        if discouraged >= self.threshold:
            return "only_discouraged"
        return "low_information" if is_vague(evaluated.text) else "low_probability"

    def _evidence(self, evaluated: _Evaluated, sources: dict[int, int]) -> dict[int, tuple[EvidenceSpan, ...]]:
        """Return the evidence for some labels: for each, what speaks for the label that it stands for."""
        if not self.explain or not sources:
            return {}
        found = evaluated.scored.contributions(evaluated.number, list(sources.values()), STRONGEST_PARTS)
        return {label: evidence_spans(evaluated.text, parts) for label, parts in zip(sources, found, strict=True)}

    def _suggestion(
        self, label: int, probability: float, evidence: tuple[EvidenceSpan, ...], moved_from: Move | None = None
    ) -> Suggestion:
        entry = self._entries[label]
        assert entry is not None
        return Suggestion(entry.cwe_id, entry.name, probability, entry.usage, evidence, entry.prefer, moved_from)

    def _prediction(
        self,
        advisory: Advisory,
        text: str,
        reason: AbstainReason | None,
        suggestions: tuple[Suggestion, ...] = (),
        discouraged: tuple[Suggestion, ...] = (),
    ) -> Prediction:
        links = [each.cwe_id for each in suggestions if each.probability >= _MIN_LINK] if reason is None else []
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
            chain=self._chains.find(links) if len(links) > 1 else (),
            view=self.view,
        )


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """One text of a batch with everything that was computed of it."""

    text: str
    number: int
    scored: ScoredTexts
    probabilities: Doubles
    best: Labels
    discouraged: Labels

    def suggested(self, labels: Labels) -> list[tuple[int, float]]:
        return list(zip(labels.tolist(), self.probabilities[labels].tolist(), strict=True))


def _advisory(item: str | Advisory) -> Advisory:
    return item if isinstance(item, Advisory) else Advisory("", SourceRef("text"), item)


def _top(scores: Floats | Doubles, choice: npt.NDArray[np.bool_], k: int) -> Labels:
    """Return the `k` best labels of each row among those of `choice` (fewer if it has fewer), best first."""
    labels = np.flatnonzero(choice)
    negative = -scores[:, labels]
    if k < len(labels):
        nearest = np.argpartition(negative, k, axis=1)[:, :k]
        nearest.sort(axis=1)  # so that equal scores come in the order of the labels
    else:
        nearest = np.broadcast_to(np.arange(len(labels)), negative.shape)
    order = np.take_along_axis(negative, nearest, axis=1).argsort(axis=1, kind="stable")
    best: Labels = labels[np.take_along_axis(nearest, order, axis=1)]
    return best


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
