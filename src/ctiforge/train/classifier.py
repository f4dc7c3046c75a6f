"""Train the embedded classifier: one command, one recipe, one artefact folder that says how it was made.

A linear model over TF-IDF n-grams, stored in 8 bits; probabilities calibrated on the development split (see
`ctiforge.models.linear.Calibration`).
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, vstack

from ctiforge import __version__
from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, write_bytes
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.core.metrics import expected_calibration_error
from ctiforge.models.cwe_model import CweModel
from ctiforge.models.linear import (
    Doubles,
    Floats,
    LinearModel,
    QuantizedWeights,
    load_linear_model,
    write_linear_model,
)
from ctiforge.models.text_features import ngrams, tokenize
from ctiforge.sources.cwe import CweCatalogue, load_catalogue
from ctiforge.train.calibration import (
    MIN_SHIFT_EXAMPLES,
    UNCALIBRATED,
    CalibratedSplit,
    calibrate,
    calibrate_with_shift,
    label_traits,
)
from ctiforge.train.development_scores import half_fitted_error, hit_matrix, lowest_threshold
from ctiforge.train.distillation import teach
from ctiforge.train.examples import Example
from ctiforge.train.fitting import LinearWeights, fit_linear
from ctiforge.train.hidden import HiddenWeights, fit_hidden
from ctiforge.train.quantize import quantize
from ctiforge.train.recipe import ClassifierRecipe, Window
from ctiforge.train.splits import build_examples, split_examples

__all__ = ["WINDOW_SCORES", "DevelopmentScores", "TrainingReport", "run_train_classifier"]

WINDOW_SCORES = "windows.npz"

Report = Callable[[str], None]

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


def run_train_classifier(
    recipe: ClassifierRecipe,
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    catalogue: CweCatalogue | None = None,
    teachers: Sequence[CweModel] = (),
    report: Report = lambda message: None,
) -> TrainingReport:
    """Train, calibrate, measure and write the classifier.

    Args:
        data: folder that holds the recipe's files.
        out: folder to write the model to; its folder ``run`` keeps what the teachers said, and the windows' scores.
        teachers: models whose answers to unlabelled descriptions are learnt as well (their mean), if the recipe has a
            ``teacher``.
        report: called with one line for a person at each step.

    Raises:
        InputError: files are missing, there is nothing to learn or to develop on, or `out` cannot be written.
    """
    catalogue = catalogue or load_catalogue()
    report("reading the feeds")
    collected = build_examples(recipe, data, catalogue)
    split = split_examples(collected.examples, recipe)
    pool = [example for within in split.windows for example in within]
    counts = Counter(target for example in [*split.train, *pool] for target in example.targets)
    labels = sorted((label for label, n in counts.items() if n >= recipe.min_examples), key=lambda label: int(label[4:]))
    place = {label: i for i, label in enumerate(labels)}
    train = [example for example in split.train if any(target in place for target in example.targets)]
    if len(labels) < 2 or len(split.development) < 2:
        raise InputError(
            f"{len(labels)} labels to learn and {len(split.development)} examples to develop on: nothing to train",
            fix="check --data, and the dates and min_examples of the recipe",
        )
    report(f"{len(train):,} examples, {len(labels)} labels; development {len(split.development):,}")

    _make_folder(Path(out))  # before the minutes of fitting, not after
    extra = [example for example in pool if any(target in place for target in example.targets)]
    vocabulary = _vocabulary([example.text for example in [*train, *extra]], recipe)
    if not vocabulary:
        raise InputError(
            f"no n-gram occurs in {recipe.min_documents} of the {len(train) + len(extra):,} training texts: nothing to train",
            fix="lower min_documents in the recipe",
        )
    report(f"{len(vocabulary):,} n-grams")
    matrix, idf = _tfidf([example.text for example in train], vocabulary, recipe)
    targets = _targets(train, place)
    taught = None
    if teachers:
        taught = teach(teachers, recipe, data, labels, catalogue, Path(out) / "run" / "taught", report)
        matrix = vstack([matrix, _tfidf(taught.texts, vocabulary, recipe, idf)[0]], format="csr")
        targets = vstack([targets, taught.targets], format="csr")
    windows = _cross_fit_windows(split.windows, matrix, targets, idf, vocabulary, labels, recipe, report)
    _write_windows(Path(out) / "run" / WINDOW_SCORES, split.windows, windows, labels)
    if extra:
        report(f"fitting with the {len(extra):,} examples of the windows")
        matrix = vstack([matrix, _tfidf([example.text for example in extra], vocabulary, recipe, idf)[0]], format="csr")
        targets = vstack([targets, _targets(extra, place)], format="csr")
    weights = quantize(*_fit(matrix, targets, recipe, report), idf, recipe.prune)
    kept = np.flatnonzero(np.any(weights.values, axis=1))
    vocabulary = [vocabulary[i] for i in kept]
    hidden = weights.hidden and replace(weights.hidden, values=weights.hidden.values[kept])
    weights = QuantizedWeights(weights.values[kept], weights.scale, weights.intercept, weights.idf[kept], hidden)

    report("calibrating on the development splits")
    draft = LinearModel(_settings(recipe, labels), "", vocabulary, weights)
    own = calibrate(_scores(draft, split.development), hit_matrix(labels, [example.labels for example in split.development]))
    traits = label_traits(labels, catalogue)
    nvd = _nvd_habits(windows, traits) or own
    settings = _settings(recipe, labels) | {
        "calibration": {"mitre": asdict(own.calibration), "nvd": asdict(nvd.calibration)},
        "shift": {} if nvd.shift is None else {"nvd": nvd.shift},
    }
    development = _development_scores(own.probabilities, own.hits)
    offered = np.array([catalogue.is_suggestable(label) for label in labels])
    manifest = settings | {
        "threshold": {
            "mitre": lowest_threshold(*_top1(np.where(offered, own.probabilities, 0), own.hits), recipe.target_precision),
            "nvd": lowest_threshold(*_top1(nvd.probabilities, nvd.hits), recipe.target_precision),
        },
        "development": {
            "from": str(recipe.split.development_from),
            "until": str(recipe.split.test_from),
            "policy": "every weakness, without the shift of policy nvd",
            "right": "the first suggestion is one of the entries that the preferred party assigned",
            "n": development.n,
            "top1": round(development.top1, 4),
            "top3": round(development.top3, 4),
            "expected_calibration_error_15_bins": round(development.calibration_error, 4),
            "half_fitted_calibration_error": round(half_fitted_error(own.scores, own.hits), 4),
        },
        "windows": [_window_scores(window, traits) for window in windows],
        "data": _provenance(recipe, Path(data)),
        "left_out": dict(sorted(collected.left_out.items())),
        "examples": {
            "train": len(train),
            "train_rare_label": len(split.train) - len(train),
            "development": len(split.development),
            "later": len(split.later),
            "windows": [len(examples) for examples in split.windows],
            **({"taught": len(taught.texts)} if taught else {}),
            "by_party": dict(sorted(Counter(example.party for example in train).items())),
            "by_label": {label: counts[label] for label in labels},
        },
        **({"teachers": [{"name": each.name, "digest": each.digest} for each in teachers]} if teachers else {}),
        "recipe": recipe.model_dump(mode="json"),
        "cwe_version": catalogue.version,
        "cwe_digest": catalogue.digest,
        "licence": "Apache-2.0",
        "ctiforge": __version__,
        "git_revision": git_revision(),
        "packages": package_versions(["numpy", "scipy"]),
    }
    digest = write_linear_model(out, manifest, vocabulary, weights)
    load_linear_model(out)
    return TrainingReport(Path(out), digest, len(labels), len(vocabulary), len(train), development)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot write the model there ({error.strerror})", fix="name another --out") from None


def _settings(recipe: ClassifierRecipe, labels: list[str]) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "description": recipe.description,
        "labels": labels,
        "max_n": recipe.max_n,
        "calibration": {},
    }


def _vocabulary(texts: Sequence[str], recipe: ClassifierRecipe) -> list[str]:
    documents: Counter[str] = Counter()
    for text in texts:
        documents.update(set(ngrams(tokenize(text)[0], recipe.max_n)))
    return sorted(gram for gram, n in documents.items() if n >= recipe.min_documents)


def _tfidf(
    texts: Sequence[str], vocabulary: list[str], recipe: ClassifierRecipe, idf: Floats | None = None
) -> tuple[csr_matrix, Floats]:
    """Return the matrix (texts x n-grams, rows of length 1) and, unless given, ln((1 + n) / (1 + df)) + 1 of each n-gram."""
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
    if idf is None:
        document_frequency = np.bincount(ids, minlength=len(vocabulary))
        idf = (np.log((1 + len(texts)) / (1 + document_frequency)) + 1).astype(np.float32)
    rows = np.repeat(np.arange(len(texts)), lengths)
    values = np.concatenate([batch.values for batch in batches]) * idf[ids]
    values /= np.sqrt(np.bincount(rows, weights=values**2, minlength=len(texts)))[rows].astype(np.float32)
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    return csr_matrix((values, ids, bounds), shape=(len(texts), len(vocabulary))), idf


def _targets(examples: Sequence[Example], place: dict[str, int]) -> csr_matrix:
    """Return the target shares (texts x labels): equal for each of a text's known targets, 1 in all."""
    known = [[place[target] for target in example.targets if target in place] for example in examples]
    shares = np.concatenate([np.full(len(each), 1 / len(each), dtype=np.float32) for each in known])
    bounds = np.concatenate([[0], np.cumsum([len(each) for each in known])])
    return csr_matrix((shares, np.concatenate(known), bounds), shape=(len(examples), len(place)))


def _fit(
    matrix: csr_matrix, targets: csr_matrix, recipe: ClassifierRecipe, report: Report
) -> tuple[LinearWeights, HiddenWeights | None]:
    """Return the sum of the recipe's linear models, each times its share (a sum of linear models is one), and the hidden layer
    with its share in its output."""
    coefficients = np.zeros((matrix.shape[1], targets.shape[1]), dtype=np.float32)
    intercept = np.zeros(targets.shape[1], dtype=np.float32)
    for fit in recipe.fits:
        settings = fit.model_dump(exclude={"share"})
        one = fit_linear(matrix, targets, **settings, seed=recipe.seed, report=report)
        coefficients += fit.share * one.coefficients
        intercept += fit.share * one.intercept
    if recipe.hidden is None:
        return LinearWeights(coefficients, intercept), None
    share = np.float32(recipe.hidden.share)
    settings = recipe.hidden.model_dump(exclude={"share"})
    hidden = fit_hidden(matrix, targets, **settings, seed=recipe.seed, report=report)
    scaled = replace(hidden, output=share * hidden.output, intercept=share * hidden.intercept)
    return LinearWeights(coefficients, intercept), scaled


@dataclass(frozen=True, slots=True)
class _WindowResult:
    """Scores of a window's n examples by models fitted without them, shape (n, K), and which of the K labels are right."""

    window: Window
    scores: Floats
    hits: npt.NDArray[np.bool_]


def _cross_fit_windows(
    windows: Sequence[Sequence[Example]],
    matrix: csr_matrix,
    targets: csr_matrix,
    idf: Floats,
    vocabulary: list[str],
    labels: list[str],
    recipe: ClassifierRecipe,
    report: Report,
) -> list[_WindowResult]:
    """Score every example of the windows by a model fitted to the training examples and to the other folds of the windows."""
    place = {label: i for i, label in enumerate(labels)}
    pool = [example for within in windows for example in within]
    scores = np.zeros((len(pool), len(labels)), dtype=np.float32)
    if pool:
        folds = recipe.split.folds
        texts, _ = _tfidf([example.text for example in pool], vocabulary, recipe, idf)
        learnable = np.array([any(target in place for target in example.targets) for example in pool])
        fold = np.random.default_rng(recipe.seed).permutation(len(pool)) % folds
        for each in range(folds):
            report(f"fitting without part {each + 1} of {folds} of the windows")
            others = np.flatnonzero((fold != each) & learnable)
            wanted = vstack([targets, _targets([pool[i] for i in others], place)], format="csr")
            linear, hidden = _fit(vstack([matrix, texts[others]], format="csr"), wanted, recipe, report)
            within = np.flatnonzero(fold == each)
            scores[within] = texts[within] @ linear.coefficients + linear.intercept
            if hidden:
                scores[within] += hidden.scores(texts[within])
    bounds = np.cumsum([0, *(len(within) for within in windows)])
    return [
        _WindowResult(window, scores[start:end], hit_matrix(labels, [example.by_party[window.party] for example in within]))
        for window, within, start, end in zip(recipe.split.windows, windows, bounds[:-1], bounds[1:], strict=True)
    ]


def _write_windows(
    file: Path, examples: Sequence[Sequence[Example]], results: Sequence[_WindowResult], labels: Sequence[str]
) -> None:
    """Write the windows' scores by models that have not seen the example: what a blend with another model is fitted on."""
    cve_ids = [example.cve_id for within in examples for example in within]
    scores = [result.scores for result in results]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        cve_ids=np.array(cve_ids, dtype=np.str_),
        labels=np.array(labels, dtype=np.str_),
        scores=np.concatenate(scores) if scores else np.zeros((0, len(labels)), np.float32),
    )
    write_bytes(file, buffer.getvalue())


def _nvd_habits(windows: Sequence[_WindowResult], traits: Doubles) -> CalibratedSplit | None:
    """Return the calibration by NVD's habits, if the recipe has windows for it with enough examples."""
    chosen = [result for result in windows if result.window.party == "nvd" and result.window.fit_shift]
    if sum(len(result.scores) for result in chosen) < MIN_SHIFT_EXAMPLES:
        return None
    scores, hits = np.concatenate([r.scores for r in chosen]), np.concatenate([r.hits for r in chosen])
    return calibrate_with_shift(scores, hits, traits)


def _window_scores(result: _WindowResult, traits: Doubles) -> dict[str, Any]:
    """Return the settings and scores of a window, as it is and with a shift fitted on other parts of the same window."""
    found = result.window.model_dump(mode="json") | {"n": len(result.scores)}
    if not len(result.scores):
        return found
    plain = _development_scores(UNCALIBRATED.probabilities(result.scores), result.hits)
    found |= {"top1": round(plain.top1, 4), "top3": round(plain.top3, 4)}
    if len(result.scores) >= MIN_SHIFT_EXAMPLES:
        calibrated = calibrate_with_shift(result.scores, result.hits, traits)
        shifted = _development_scores(calibrated.probabilities, calibrated.hits)
        found |= {
            "shifted_top1": round(shifted.top1, 4),
            "shifted_top3": round(shifted.top3, 4),
            "shifted_calibration_error_15_bins": round(shifted.calibration_error, 4),
        }
    return found


def _scores(model: LinearModel, examples: Sequence[Example]) -> Floats:
    texts = [example.text for example in examples]
    return np.concatenate([model.scores(model.features(texts[i : i + _BATCH])) for i in range(0, len(texts), _BATCH)])


def _top1(probabilities: Doubles, hits: npt.NDArray[np.bool_]) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    first = probabilities.argmax(axis=1)
    rows = np.arange(len(first))
    return probabilities[rows, first], hits[rows, first]


def _development_scores(probabilities: Doubles, hits: npt.NDArray[np.bool_]) -> DevelopmentScores:
    confidence, right = _top1(probabilities, hits)
    best = np.argsort(-probabilities, axis=1)[:, :3]
    top3 = np.take_along_axis(hits, best, axis=1).any(axis=1)
    return DevelopmentScores(len(hits), float(right.mean()), float(top3.mean()), expected_calibration_error(confidence, right))


def _provenance(recipe: ClassifierRecipe, folder: Path) -> list[dict[str, str]]:
    learnt = [{"path": s.path, "licence": s.licence, "use": "train"} for s in [*recipe.sources, *recipe.instructions]]
    excluded = [{"path": e.path, "use": "left out of training"} for e in recipe.exclude]
    return [entry | {"sha256": file_sha256(folder / entry["path"])} for entry in learnt + excluded]
