"""Train the embedded classifier: one command, one recipe, one artefact folder that says how it was made.

Linear support vector machines (squared hinge loss, one label against the rest; Fan et al. 2008, LIBLINEAR) over TF-IDF
n-grams, stored in 8 bits; probabilities by temperature scaling on the development split (Guo et al. 2017).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.svm import LinearSVC

from ctiforge import __version__
from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.core.metrics import expected_calibration_error
from ctiforge.models.linear import (
    Calibration,
    Doubles,
    Floats,
    LinearModel,
    QuantizedWeights,
    load_linear_model,
    write_linear_model,
)
from ctiforge.models.text_features import ngrams, tokenize
from ctiforge.sources.cwe import CweCatalogue, load_catalogue
from ctiforge.sources.read import read_advisories
from ctiforge.train.dates import ReservationCalendar
from ctiforge.train.examples import Example, ExampleSet, collect_examples, load_holdout
from ctiforge.train.recipe import ClassifierRecipe

__all__ = ["DevelopmentScores", "SplitExamples", "TrainingReport", "build_examples", "run_train_classifier", "split_examples"]

Report = Callable[[str], None]

_UNCALIBRATED = Calibration(temperature=1.0, slope=1.0, intercept=0.0)
_CALIBRATED_RANKS = 3
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class DevelopmentScores:
    """Scores on the development split (policy nvd, no abstention). An answer is right if the party assigned that entry.

    Attributes:
        n: all examples of the split, those whose labels the model does not know included.
        top1, top3: share of examples with an assigned entry among the first 1 or 3 suggestions.
        calibration_error: expected calibration error of the first suggestion, 15 bins.
    """

    n: int
    top1: float
    top3: float
    calibration_error: float


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What `run_train_classifier` made."""

    folder: Path
    digest: str
    labels: int
    features: int
    train_examples: int
    development: DevelopmentScores


@dataclass(frozen=True, slots=True)
class SplitExamples:
    """Examples by date: before, within and after the development window."""

    train: list[Example]
    development: list[Example]
    later: list[Example]


def build_examples(recipe: ClassifierRecipe, data: str | os.PathLike[str], catalogue: CweCatalogue) -> ExampleSet:
    """Read the recipe's feeds below `data` and label their CVEs; benchmark CVEs are left out.

    Raises:
        InputError: a file that the recipe names is not there.
    """
    folder = Path(data)
    feeds = [str(folder / source.path) for source in recipe.sources]
    for feed in feeds:
        if not Path(feed).is_file():
            raise InputError(f"{feed}: no such file, but the recipe names it", fix="--data DIR is the folder that holds it")
    holdout = load_holdout((folder / exclusion.path, exclusion.text_column) for exclusion in recipe.exclude)
    calendar = ReservationCalendar(recipe.split.reserved)
    records = read_advisories(feeds, duplicates="keep")
    return collect_examples(records, catalogue, recipe.party_order, calendar, holdout)


def split_examples(examples: Sequence[Example], recipe: ClassifierRecipe) -> SplitExamples:
    """Cut the examples by date as the recipe says."""
    split = SplitExamples([], [], [])
    for example in examples:
        if example.day < recipe.split.development_from:
            split.train.append(example)
        elif example.day < recipe.split.test_from:
            split.development.append(example)
        else:
            split.later.append(example)
    return split


def run_train_classifier(
    recipe: ClassifierRecipe,
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    catalogue: CweCatalogue | None = None,
    report: Report = lambda message: None,
) -> TrainingReport:
    """Train, calibrate, measure and write the classifier.

    Args:
        data: folder that holds the recipe's files.
        out: folder to write the model to.
        report: called with one line for a person at each step.

    Raises:
        InputError: files are missing, there is nothing to learn or to develop on, or `out` cannot be written.
    """
    catalogue = catalogue or load_catalogue()
    report("reading the feeds")
    collected = build_examples(recipe, data, catalogue)
    split = split_examples(collected.examples, recipe)
    counts = Counter(example.labels[0] for example in split.train)
    labels = sorted((label for label, n in counts.items() if n >= recipe.min_examples), key=lambda label: int(label[4:]))
    train = [example for example in split.train if counts[example.labels[0]] >= recipe.min_examples]
    if len(labels) < 2 or len(split.development) < 2:
        raise InputError(
            f"{len(labels)} labels to learn and {len(split.development)} examples to develop on: nothing to train",
            fix="check --data, and the dates and min_examples of the recipe",
        )
    report(f"{len(train):,} examples, {len(labels)} labels; development {len(split.development):,}")

    _make_folder(Path(out))  # before the minutes of fitting, not after
    vocabulary = _vocabulary([example.text for example in train], recipe)
    if not vocabulary:
        raise InputError(
            f"no n-gram occurs in {recipe.min_documents} of the {len(train):,} training texts: nothing to train",
            fix="lower min_documents in the recipe",
        )
    report(f"{len(vocabulary):,} n-grams; fitting {len(labels)} support vector machines (this takes minutes)")
    targets = np.array([labels.index(example.labels[0]) for example in train])
    matrix, idf = _tfidf([example.text for example in train], vocabulary, recipe)
    weights = _fit(matrix, targets, idf, recipe)
    kept = np.flatnonzero(np.any(weights.values, axis=1))
    vocabulary = [vocabulary[i] for i in kept]
    weights = QuantizedWeights(weights.values[kept], weights.scale, weights.intercept, weights.idf[kept])

    report("calibrating on the development split")
    draft = LinearModel(_settings(recipe, labels), "", vocabulary, weights)
    scores = _scores(draft, split.development)
    hits = _hits(labels, split.development)
    calibration = _fit_calibration(scores, hits)
    settings = _settings(recipe, labels, calibration)
    probabilities = calibration.probabilities(scores)
    development = _development_scores(probabilities, hits)
    manifest = settings | {
        "threshold": _thresholds(probabilities, hits, labels, catalogue, recipe.target_precision),
        "development": {
            "from": str(recipe.split.development_from),
            "until": str(recipe.split.test_from),
            "policy": "nvd",
            "right": "the first suggestion is one of the entries that the preferred party assigned",
            "n": development.n,
            "top1": round(development.top1, 4),
            "top3": round(development.top3, 4),
            "expected_calibration_error_15_bins": round(development.calibration_error, 4),
            "half_fitted_calibration_error": round(_half_fitted_error(scores, hits), 4),
        },
        "data": _provenance(recipe, Path(data)),
        "left_out": dict(sorted(collected.left_out.items())),
        "examples": {
            "train": len(train),
            "train_rare_label": len(split.train) - len(train),
            "development": len(split.development),
            "later": len(split.later),
            "by_party": dict(sorted(Counter(example.party for example in train).items())),
            "by_label": {label: counts[label] for label in labels},
        },
        "recipe": recipe.model_dump(mode="json"),
        "cwe_version": catalogue.version,
        "cwe_digest": catalogue.digest,
        "licence": "Apache-2.0",
        "ctiforge": __version__,
        "git_revision": git_revision(),
        "packages": package_versions(["numpy", "scipy", "scikit-learn"]),
    }
    digest = write_linear_model(out, manifest, vocabulary, weights)
    load_linear_model(out)
    return TrainingReport(Path(out), digest, len(labels), len(vocabulary), len(train), development)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot write the model there ({error.strerror})", fix="name another --out") from None


def _settings(recipe: ClassifierRecipe, labels: list[str], calibration: Calibration = _UNCALIBRATED) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "description": recipe.description,
        "labels": labels,
        "max_n": recipe.max_n,
        "calibration": asdict(calibration),
    }


def _vocabulary(texts: Sequence[str], recipe: ClassifierRecipe) -> list[str]:
    documents: Counter[str] = Counter()
    for text in texts:
        documents.update(set(ngrams(tokenize(text)[0], recipe.max_n)))
    return sorted(gram for gram, n in documents.items() if n >= recipe.min_documents)


def _tfidf(texts: Sequence[str], vocabulary: list[str], recipe: ClassifierRecipe) -> tuple[csr_matrix, Floats]:
    """Return the matrix (texts x n-grams, rows of length 1) and ln((1 + n) / (1 + df)) + 1 for each n-gram."""
    blank = QuantizedWeights(
        np.zeros((len(vocabulary), 0), np.int8),
        np.zeros(0, np.float32),
        np.zeros(0, np.float32),
        np.ones(len(vocabulary), np.float32),
    )
    counter = LinearModel(_settings(recipe, []), "", vocabulary, blank)
    batches = [counter.features(texts[i : i + _BATCH]) for i in range(0, len(texts), _BATCH)]
    ids = np.concatenate([batch.ids for batch in batches])
    lengths = np.concatenate([np.diff(batch.bounds) for batch in batches])
    document_frequency = np.bincount(ids, minlength=len(vocabulary))
    idf = (np.log((1 + len(texts)) / (1 + document_frequency)) + 1).astype(np.float32)
    rows = np.repeat(np.arange(len(texts)), lengths)
    values = np.concatenate([batch.values for batch in batches]) * idf[ids]
    values /= np.sqrt(np.bincount(rows, weights=values**2, minlength=len(texts)))[rows].astype(np.float32)
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    return csr_matrix((values, ids, bounds), shape=(len(texts), len(vocabulary))), idf


def _fit(matrix: csr_matrix, targets: npt.NDArray[np.int64], idf: Floats, recipe: ClassifierRecipe) -> QuantizedWeights:
    machine = LinearSVC(C=recipe.regularization, tol=recipe.tolerance, random_state=recipe.seed)
    machine.fit(matrix, targets)
    coefficients, intercept = machine.coef_.T.astype(np.float32), machine.intercept_.astype(np.float32)
    if coefficients.shape[1] == 1:  # two labels share one machine, the first on its negative side
        coefficients, intercept = np.hstack([-coefficients, coefficients]), np.concatenate([-intercept, intercept])
    largest = np.abs(coefficients).max(axis=0)
    coefficients[np.abs(coefficients) < recipe.prune * largest] = 0
    scale = np.maximum(largest, 1e-12) / 127
    values = np.rint(coefficients / scale).astype(np.int8)
    return QuantizedWeights(values, scale.astype(np.float32), intercept, idf)


def _scores(model: LinearModel, examples: Sequence[Example]) -> Floats:
    texts = [example.text for example in examples]
    return np.concatenate([model.scores(model.features(texts[i : i + _BATCH])) for i in range(0, len(texts), _BATCH)])


def _hits(labels: list[str], examples: Sequence[Example]) -> npt.NDArray[np.bool_]:
    """Return shape (n, K): whether each label is one that the party assigned."""
    place = {label: i for i, label in enumerate(labels)}
    hits = np.zeros((len(examples), len(labels)), dtype=bool)
    for row, example in enumerate(examples):
        hits[row, [place[label] for label in example.labels if label in place]] = True
    return hits


def _fit_calibration(scores: Floats, hits: npt.NDArray[np.bool_]) -> Calibration:
    """Fit the calibration by log loss over the first three suggestions of every example."""
    best = np.argsort(-scores, axis=1)[:, :_CALIBRATED_RANKS]
    right = np.take_along_axis(hits, best, axis=1)

    def calibration(parameters: Sequence[float]) -> Calibration:
        log_temperature, slope, intercept = (float(each) for each in parameters)
        return Calibration(round(float(np.exp(log_temperature)), 6), round(slope, 6), round(intercept, 6))

    def loss(parameters: Sequence[float]) -> float:
        probabilities = np.take_along_axis(calibration(parameters).probabilities(scores), best, axis=1)
        likelihood = np.where(right, probabilities, 1 - probabilities)
        return float(-np.log(np.maximum(likelihood, 1e-9)).mean())

    found = minimize(loss, x0=[-1.0, 1.5, 5.0], method="Nelder-Mead", options={"maxiter": 200, "xatol": 1e-3, "fatol": 1e-6})
    return calibration(found.x)


def _top1(probabilities: Doubles, hits: npt.NDArray[np.bool_]) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    first = probabilities.argmax(axis=1)
    rows = np.arange(len(first))
    return probabilities[rows, first], hits[rows, first]


def _development_scores(probabilities: Doubles, hits: npt.NDArray[np.bool_]) -> DevelopmentScores:
    confidence, right = _top1(probabilities, hits)
    best = np.argsort(-probabilities, axis=1)[:, :3]
    top3 = np.take_along_axis(hits, best, axis=1).any(axis=1)
    return DevelopmentScores(len(hits), float(right.mean()), float(top3.mean()), expected_calibration_error(confidence, right))


def _half_fitted_error(scores: Floats, hits: npt.NDArray[np.bool_]) -> float:
    """Return the calibration error when each half of the split is judged with the calibration of the other half."""
    errors = []
    for half in (0, 1):
        calibration = _fit_calibration(scores[half::2], hits[half::2])
        probabilities = calibration.probabilities(scores[1 - half :: 2])
        errors.append(expected_calibration_error(*_top1(probabilities, hits[1 - half :: 2])))
    return float(np.mean(errors))


def _thresholds(
    probabilities: Doubles, hits: npt.NDArray[np.bool_], labels: list[str], catalogue: CweCatalogue, precision: float
) -> dict[str, float]:
    offered = np.array([catalogue.is_suggestable(label) for label in labels])
    return {
        "mitre": _lowest_threshold(*_top1(np.where(offered, probabilities, 0), hits), precision),
        "nvd": _lowest_threshold(*_top1(probabilities, hits), precision),
    }


def _lowest_threshold(confidence: Doubles, right: npt.NDArray[np.bool_], precision: float) -> float:
    """Return the lowest threshold at which the answers given are right in at least `precision` of the cases."""
    order = np.argsort(-confidence)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(share >= precision)
    return round(float(confidence[order][enough[-1]]), 4) if enough.size else 1.0


def _provenance(recipe: ClassifierRecipe, folder: Path) -> list[dict[str, str]]:
    learnt = [{"path": s.path, "licence": s.licence, "use": "train"} for s in recipe.sources]
    excluded = [{"path": e.path, "use": "left out of training"} for e in recipe.exclude]
    return [entry | {"sha256": file_sha256(folder / entry["path"])} for entry in learnt + excluded]
