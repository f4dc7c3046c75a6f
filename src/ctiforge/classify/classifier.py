"""`Classifier`: advisories in, ranked and explained CWE suggestions out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from ctiforge.classify.abstain import is_unspecified, is_vague, looks_english, missing_text_reason
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
        best = _ranked(ranking, probabilities, self._offered, self.top_k)
        discouraged = _ranked(ranking, probabilities, self._discouraged, self.top_k)
        drafts = [
            self._draft(_Evaluated(advisory, text, number, scored, probabilities[number], best[number], discouraged[number]))
            for number, (advisory, text) in enumerate(zip(advisories, texts, strict=True))
        ]
        evidence = self._evidence(drafts, scored)
        predictions = [self._prediction(draft, evidence) for draft in drafts]
        if self._rare:
            predictions = self._rare.add(predictions, scored)
        return self._similar.add(predictions, advisories, scored) if self._similar else predictions

    def _draft(self, evaluated: _Evaluated) -> _Draft:
        text = evaluated.text
        if not text.strip():
            return _Draft(evaluated, missing_text_reason(evaluated.advisory))
        if not evaluated.scored.words(evaluated.number)[0]:
            return _Draft(evaluated, "low_information" if looks_english(text) else "not_english")
        best = evaluated.best
        # Of the discouraged entries, those that would have had a place among the suggestions.
        discouraged = [(label, p) for label, p in evaluated.discouraged if p > best[-1][1]]
        reason = self._reason(evaluated, best[0][1], discouraged[0][1] if discouraged else 0.0)
        moved: dict[int, Move] = {}
        if reason == "only_discouraged":
            first = best[0][0]
            if move := self._preferences.find(discouraged[0][0], first, evaluated.probabilities, self.threshold):
                moved[first] = move
                reason = None
        sources: dict[int, int] = {}
        if self._view:
            own = evaluated.scored.probabilities[evaluated.number]
            sources = {label: self._view.source(label, own) for label, _ in best}
            moved |= {label: move for label, source in sources.items() if (move := self._view.move(source, label))}
        return _Draft(evaluated, reason, best, discouraged, moved, sources)

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
            return "low_information" if is_unspecified(evaluated.text) else "only_discouraged"
        return "low_information" if is_vague(evaluated.text) else "low_probability"

    def _evidence(self, drafts: list[_Draft], scored: ScoredTexts) -> dict[tuple[int, int], tuple[EvidenceSpan, ...]]:
        """Return the evidence by text and label: for each label, what speaks for the label that it stands for."""
        if not self.explain:
            return {}
        asked = {
            (draft.evaluated.number, label): draft.sources.get(label, label)
            for draft in drafts
            for label, p in [*draft.best, *draft.discouraged]
            if p >= _MIN_EXPLAINED
        }
        found = scored.contributions([(text, source) for (text, _), source in asked.items()], STRONGEST_PARTS)
        return {pair: evidence_spans(drafts[pair[0]].evaluated.text, parts) for pair, parts in zip(asked, found, strict=True)}

    def _prediction(self, draft: _Draft, evidence: dict[tuple[int, int], tuple[EvidenceSpan, ...]]) -> Prediction:
        evaluated, reason = draft.evaluated, draft.reason
        number, advisory = evaluated.number, evaluated.advisory

        def suggestion(label: int, probability: float, moved_from: Move | None = None) -> Suggestion:
            entry = self._entries[label]
            assert entry is not None
            spans = evidence.get((number, label), ())
            return Suggestion(entry.cwe_id, entry.name, probability, entry.usage, spans, entry.prefer, moved_from)

        suggestions = tuple(suggestion(label, p, draft.moved.get(label)) for label, p in draft.best)
        links = [each.cwe_id for each in suggestions if each.probability >= _MIN_LINK] if reason is None else []
        return Prediction(
            id=advisory.id,
            text=evaluated.text,
            abstained=reason is not None,
            reason=reason,
            suggestions=suggestions,
            discouraged=tuple(suggestion(label, p) for label, p in draft.discouraged),
            model=self.model.name,
            model_digest=self.model.digest,
            cwe_version=self.catalogue.version,
            policy=self.policy,
            advisory=advisory if advisory.id else None,
            chain=self._chains.find(links) if len(links) > 1 else (),
            view=self.view,
        )


_Ranked = list[tuple[int, float]]
"""Labels with their probabilities, best first."""


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """One text of a batch with everything that was computed of it."""

    advisory: Advisory
    text: str
    number: int
    scored: ScoredTexts
    probabilities: Doubles
    best: _Ranked
    discouraged: _Ranked


@dataclass(frozen=True, slots=True)
class _Draft:
    """A prediction before its evidence is found.

    Attributes:
        moved: why labels stand for others.
        sources: for which label each label stands, where that is another than itself.
    """

    evaluated: _Evaluated
    reason: AbstainReason | None
    best: _Ranked = field(default_factory=list)
    discouraged: _Ranked = field(default_factory=list)
    moved: dict[int, Move] = field(default_factory=dict)
    sources: dict[int, int] = field(default_factory=dict)


def _advisory(item: str | Advisory) -> Advisory:
    return item if isinstance(item, Advisory) else Advisory("", SourceRef("text"), item)


def _ranked(scores: Floats | Doubles, probabilities: Doubles, choice: npt.NDArray[np.bool_], k: int) -> list[_Ranked]:
    """Return the `k` best labels of each row among those of `choice`, with their probabilities."""
    best = _top(scores, choice, k)
    found = probabilities[np.arange(len(best))[:, None], best]
    return [list(zip(*each, strict=True)) for each in zip(best.tolist(), found.tolist(), strict=True)]


def _top(scores: Floats | Doubles, choice: npt.NDArray[np.bool_], k: int) -> Labels:
    """Return the `k` best labels of each row among those of `choice` (fewer if it has fewer), best first."""
    labels = np.flatnonzero(choice)
    negative = -scores[:, labels]
    rows = np.arange(len(negative))[:, None]
    if k < len(labels):
        nearest = np.argpartition(negative, k, axis=1)[:, :k]
        nearest.sort(axis=1)  # so that equal scores come in the order of the labels
    else:
        nearest = np.broadcast_to(np.arange(len(labels)), negative.shape)
    order = negative[rows, nearest].argsort(axis=1, kind="stable")
    best: Labels = labels[nearest[rows, order]]
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
