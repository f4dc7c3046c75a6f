"""Blend a trained encoder with a trained linear model: weights, calibration and thresholds from the development splits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from ctiforge import __version__
from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, write_json
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.core.metrics import expected_calibration_error
from ctiforge.models.blend import BLEND_FORMAT, NEVER_SURE, Places, blend_scores, load_blend
from ctiforge.models.encoder import EncoderModel, load_encoder
from ctiforge.models.linear import Doubles, Floats, LinearModel, load_linear_model
from ctiforge.sources.cwe import CweCatalogue, load_catalogue
from ctiforge.train.calibration import MIN_SHIFT_EXAMPLES, CalibratedSplit, Hits, calibrate, calibrate_with_shift, label_traits
from ctiforge.train.classifier import WINDOW_SCORES
from ctiforge.train.development_scores import half_fitted_error, hit_matrix, lowest_threshold, mean_loss, split_scores
from ctiforge.train.encoder_material import EncoderMaterial, collect_material
from ctiforge.train.encoder_recipe import EncoderRecipe

__all__ = ["BlendReport", "run_train_blend"]

_SURE = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.999)
_MAY_LOSE = 0.0005
"""Share of the development split that the linear model may get wrong where the blend would not, on balance, at each rank."""
_RANKS = (1, 3)
_ENCODER_FILES = ("manifest.json", "model.int8.onnx", "head.npz", "tokenizer.json")
_TEXTS = 512


@dataclass(frozen=True, slots=True)
class BlendReport:
    """What `run_train_blend` made; `development` is the manifest's part of that name."""

    folder: Path
    digest: str
    labels: int
    development: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Split:
    """A split as both parts see it: scores over their own labels, and what is right over the blend's K labels."""

    encoder: Floats
    linear: Floats
    hits: Hits
    assigned: list[tuple[str, ...]]


def run_train_blend(
    encoder: str | os.PathLike[str],
    linear: str | os.PathLike[str],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    name: str = "accurate",
    shipped: Mapping[str, Path] | None = None,
    catalogue: CweCatalogue | None = None,
    threads: int = 2,
    report: Callable[[str], None] = lambda message: None,
) -> BlendReport:
    """Blend two trained models.

    The development split is the encoder's, by its recipe; policy nvd's shift comes from the window examples that neither part
    has learnt (for the linear model: its cross-fitted scores).

    Args:
        encoder, linear: folders that `ctiforge train` wrote, the linear model's with its folder ``run``.
        data: folder that holds the files of the encoder's recipe.
        shipped: models that ship with ctiforge, by name: such a linear part is named, not copied.

    Raises:
        InputError: the linear model has learnt from the development split, or nothing is left to develop on.
        ModelError: a model is missing or damaged.
    """
    catalogue = catalogue or load_catalogue()
    reader, counter = load_encoder(encoder, threads=threads), load_linear_model(linear)
    recipe = EncoderRecipe.model_validate(reader.manifest["recipe"])
    cut = str(recipe.split.development_from)
    if counter.manifest["recipe"]["split"]["development_from"] > cut:
        raise InputError(
            f"{linear} learnt from CVEs of the development split, which begins on {cut}", fix="train it with the same 'split'"
        )
    report("reading the feeds")
    material = collect_material(recipe, data, catalogue)
    labels = sorted({*reader.labels, *counter.labels}, key=lambda label: int(label[4:]))
    places = Places.of(labels, reader.labels, counter.labels)
    report(f"scoring {len(material.development):,} examples of the development split")
    texts = [each.text for each in material.development]
    assigned = [each.labels for each in material.development]
    split = _Split(_encoder_scores(reader, texts), _linear_scores(counter, texts), hit_matrix(labels, assigned), assigned)
    weights = _fit_weights(split, places)
    scores = blend_scores(split.encoder, split.linear, places, weights)
    own = calibrate(scores, split.hits)
    window = _window(reader, Path(linear), material, labels)
    nvd = own
    if window is not None and len(window.hits) >= MIN_SHIFT_EXAMPLES:
        report(f"fitting policy nvd to {len(window.hits):,} examples of NVD's window")
        unseen = blend_scores(window.encoder, window.linear, places, weights)
        nvd = calibrate_with_shift(unseen, window.hits, label_traits(labels, catalogue))

    alone = np.zeros(scores.shape)
    alone[:, places.linear] = counter.probabilities(split.linear, "mitre")
    sure = _choose_sure(alone, own.probabilities, split.hits)
    mixed = np.where(alone.max(axis=1, keepdims=True) >= sure, alone, own.probabilities)
    manifest = {
        "format": BLEND_FORMAT,
        "name": name,
        "description": "An encoder and the linear model: their log-probabilities are added.",
        "labels": labels,
        "weights": weights,
        "sure": sure,
        "calibration": {"mitre": asdict(own.calibration), "nvd": asdict(nvd.calibration)},
        "shift": {} if nvd.shift is None else {"nvd": nvd.shift},
        "threshold": _thresholds(mixed, nvd, split.hits, labels, catalogue, recipe.target_precision),
        "development": {"from": cut, "until": str(recipe.split.test_from), "right": "one of the preferred party's entries"}
        | _development(split, mixed, own, places, labels)
        | {"left_to_the_linear_model": round(float((alone.max(axis=1) >= sure).mean()), 4)},
        "windows": [] if window is None else [_window_scores(window, nvd, places, labels, weights)],
        "parts": {
            "encoder": {"name": reader.name, "digest": reader.digest, "git_revision": reader.manifest.get("git_revision")},
            "linear": {"name": counter.name, "digest": counter.digest, "git_revision": counter.manifest.get("git_revision")},
        },
        "recipe": reader.manifest["recipe"],
        "data": reader.manifest["data"],
        "cwe_version": catalogue.version,
        "cwe_digest": catalogue.digest,
        "licence": "Apache-2.0",
        "ctiforge": __version__,
        "git_revision": git_revision(),
        "packages": package_versions(("numpy", "onnxruntime", "scipy", "tokenizers")),
    }
    target = Path(out)
    _copy(Path(encoder), target / "encoder", _ENCODER_FILES)
    known = {
        file_sha256(folder / "manifest.json") for folder in (shipped or {}).values() if (folder / "manifest.json").is_file()
    }
    if counter.digest not in known:
        _copy(Path(linear), target / "linear", ("manifest.json", "vocabulary.txt", "weights.npz"))
    write_json(target / "manifest.json", manifest)
    made = load_blend(target, shipped or {})
    return BlendReport(target, made.digest, len(labels), manifest["development"])


def _copy(source: Path, target: Path, names: Sequence[str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).resolve() != (target / name).resolve():
            shutil.copyfile(source / name, target / name)


def _encoder_scores(model: EncoderModel, texts: Sequence[str]) -> Floats:
    parts = [model.encode(list(texts[i : i + _TEXTS])).logits for i in range(0, len(texts), _TEXTS)]
    return np.concatenate(parts) if parts else np.zeros((0, len(model.labels)), np.float32)


def _linear_scores(model: LinearModel, texts: Sequence[str]) -> Floats:
    return np.concatenate([model.scores(model.features(texts[i : i + _TEXTS])) for i in range(0, len(texts), _TEXTS)])


def _fit_weights(split: _Split, places: Places) -> dict[str, float]:
    """Return the weights of the two parts' log-probabilities that make the development split most likely."""

    def loss(weights: Sequence[float]) -> float:
        scores = blend_scores(split.encoder, split.linear, places, {"encoder": weights[0], "linear": weights[1]})
        return mean_loss(scores, split.hits)

    found = minimize(loss, x0=[0.7, 0.7], method="Nelder-Mead", options={"maxiter": 60, "xatol": 1e-3, "fatol": 1e-6})
    return {"encoder": round(float(found.x[0]), 4), "linear": round(float(found.x[1]), 4)}


def _window(encoder: EncoderModel, linear: Path, material: EncoderMaterial, labels: Sequence[str]) -> _Split | None:
    """Return NVD's window examples that neither part has learnt; None where there are none."""
    file = linear / "run" / WINDOW_SCORES
    if not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as arrays:
        row = {str(cve): i for i, cve in enumerate(arrays["cve_ids"])}
        known = arrays["scores"]
    unseen = [material.windows[i].example for i in material.unseen_by(None)]
    chosen = [each for each in unseen if each.cve_id in row and "nvd" in each.by_party]
    if not chosen:
        return None
    assigned = [each.by_party["nvd"] for each in chosen]
    scores = _encoder_scores(encoder, [each.text for each in chosen])
    return _Split(scores, known[[row[each.cve_id] for each in chosen]], hit_matrix(labels, assigned), assigned)


def _choose_sure(alone: Doubles, blended: Doubles, hits: Hits) -> float:
    """Return the lowest probability from which the linear model may answer alone without losing accuracy."""
    ranks = [(_right(alone, hits, rank), _right(blended, hits, rank)) for rank in _RANKS]
    for sure in _SURE:
        asked = alone.max(axis=1) < sure
        if all(np.where(asked, ours, theirs).mean() >= ours.mean() - _MAY_LOSE for theirs, ours in ranks):
            return sure
    return NEVER_SURE


def _right(probabilities: Doubles, hits: Hits, rank: int = 1) -> Hits:
    """Return shape (n,): whether one of the first `rank` labels is right."""
    best = np.argsort(-probabilities, axis=1)[:, :rank]
    found: Hits = np.asarray(np.take_along_axis(hits, best, axis=1).any(axis=1))
    return found


def _thresholds(
    mixed: Doubles, nvd: CalibratedSplit, hits: Hits, labels: Sequence[str], catalogue: CweCatalogue, precision: float
) -> dict[str, float]:
    offered = np.array([catalogue.is_suggestable(label) for label in labels])
    allowed = np.where(offered, mixed, 0)
    return {
        "mitre": lowest_threshold(allowed.max(axis=1), _right(allowed, hits), precision),
        "nvd": lowest_threshold(nvd.probabilities.max(axis=1), _right(nvd.probabilities, nvd.hits), precision),
    }


def _development(split: _Split, mixed: Doubles, own: CalibratedSplit, places: Places, labels: Sequence[str]) -> dict[str, Any]:
    """Return scores of the blend as it answers, and of its parts alone."""
    error = expected_calibration_error(mixed.max(axis=1), _right(mixed, split.hits))
    parts = {}
    for name, scores, place in (("encoder", split.encoder, places.encoder), ("linear", split.linear, places.linear)):
        parts[name] = split_scores(scores, split.assigned, [labels[i] for i in place])
    return split_scores(mixed.astype(np.float32), split.assigned, labels) | {
        "expected_calibration_error_15_bins": round(error, 4),
        "half_fitted_calibration_error": round(half_fitted_error(own.scores, own.hits), 4),
        "parts_alone": parts,
    }


def _window_scores(
    window: _Split, nvd: CalibratedSplit, places: Places, labels: Sequence[str], weights: Mapping[str, float]
) -> dict[str, Any]:
    plain = blend_scores(window.encoder, window.linear, places, weights)
    found = {"party": "nvd", "as_it_is": split_scores(plain, window.assigned, labels)}
    return found if nvd.shift is None else found | {"shifted": split_scores(nvd.scores, window.assigned, labels)}
