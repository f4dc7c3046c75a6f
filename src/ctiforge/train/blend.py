"""Blend a trained encoder with a trained linear model: weights, calibration and thresholds from the development splits.

A second encoder that shares the first one's embeddings may read the texts that the blend of the two is not sure of; then the
three have weights, calibration and shift of their own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctiforge import __version__
from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, write_json
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.core.metrics import expected_calibration_error
from ctiforge.models.blend import BLEND_FORMAT, Places, load_blend
from ctiforge.models.encoder import EncoderModel, load_encoder
from ctiforge.models.linear import Doubles, Floats, LinearModel, load_linear_model
from ctiforge.models.second_encoder import SecondEncoder, load_second_encoder
from ctiforge.sources.cwe import CweCatalogue, load_catalogue
from ctiforge.train.blend_fitting import (
    THREE_PARTS,
    TWO_PARTS,
    UNSURE,
    BlendedSplit,
    Stage,
    choose_threshold,
    fit_stage,
    fits_shift,
    mixed_answers,
    right_within,
)
from ctiforge.train.calibration import Hits, calibrate_with_shift, label_traits
from ctiforge.train.classifier import WINDOW_SCORES
from ctiforge.train.development_scores import half_fitted_error, hit_matrix, lowest_threshold, split_scores
from ctiforge.train.encoder_material import EncoderMaterial, collect_material
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.examples import Example
from ctiforge.train.second_encoder import write_joined_encoders

__all__ = ["BlendReport", "run_train_blend"]

_ENCODER_FILES = ("manifest.json", "model.int8.onnx", "head.npz", "tokenizer.json")
_TEXTS = 512
_TWO_IN_ONE = "An encoder and the linear model: their log-probabilities are added."
_THREE_IN_ONE = (
    "Two encoders and the linear model: log-probabilities are added; the second encoder reads what the others are unsure of."
)
_SAME_EXAMPLES = {
    "sources", "instructions", "exclude", "near_duplicate", "shared_phrases", "party_order", "split", "shift", "seed",
    "max_train", "max_development", "max_per_label",
}  # fmt: skip
"""Two encoders whose recipes have the same of these have learnt the same window examples."""


@dataclass(frozen=True, slots=True)
class BlendReport:
    """What `run_train_blend` made; `development` is the manifest's part of that name."""

    folder: Path
    digest: str
    labels: int
    development: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Readers:
    """The encoders of a blend."""

    first: EncoderModel
    second: SecondEncoder | None

    def scores(self, texts: Sequence[str]) -> tuple[Floats, Floats | None]:
        """Return what each of them says of n texts: shape (n, its labels)."""
        parts: list[list[Floats]] = [[np.zeros((0, len(self.first.labels)), np.float32)], []]
        for start in range(0, len(texts), _TEXTS):
            encoded = self.first.encode(list(texts[start : start + _TEXTS]), token_embeddings=self.second is not None)
            parts[0].append(encoded.logits)
            if self.second is not None:
                parts[1].append(self.second.logits(encoded.token_embeddings))
        return np.concatenate(parts[0]), np.concatenate(parts[1]) if parts[1] else None


def run_train_blend(
    encoder: str | os.PathLike[str],
    linear: str | os.PathLike[str],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    second: str | os.PathLike[str] | None = None,
    sure: float | None = None,
    unsure: float | None = None,
    unsure_nvd: float | None = None,
    name: str = "accurate",
    shipped: Mapping[str, Path] | None = None,
    catalogue: CweCatalogue | None = None,
    threads: int = 2,
    report: Callable[[str], None] = lambda message: None,
) -> BlendReport:
    """Blend two trained models, or three.

    The development split is the encoder's, by its recipe; policy nvd's shift comes from the window examples that no part
    has learnt (for the linear model: its cross-fitted scores).

    Args:
        encoder, linear: folders that `ctiforge train` wrote, the linear model's with its folder ``run``.
        data: folder that holds the files of the encoder's recipe.
        second: folder of a second encoder, trained upon the embeddings of the first, see `ctiforge.train.second_encoder`.
        sure: from this probability on the linear model answers alone; None: the lowest that loses no accuracy.
        unsure, unsure_nvd: below this probability the second encoder reads a text; None: the lowest that loses no accuracy on
            the development split, and for policy nvd on NVD's window.
        shipped: models that ship with ctiforge, by name: such a linear part is named, not copied.

    Raises:
        InputError: a part has learnt from the development split, nothing is left to develop on, or `unsure` is given without
            `second`.
        ModelError: a model is missing or damaged, or the second encoder reads other embeddings than the first.
    """
    if second is None and (unsure is not None or unsure_nvd is not None):
        raise InputError("nothing reads what the blend is not sure of: there is no second encoder", fix="give --second, too")
    catalogue = catalogue or load_catalogue()
    target = Path(out)
    reader, counter = load_encoder(encoder, threads=threads), load_linear_model(linear)
    recipe = EncoderRecipe.model_validate(reader.manifest["recipe"])
    cut = str(recipe.split.development_from)
    _refuse_later(linear, counter.manifest, cut)
    again = None
    if second is not None:
        _refuse_later(second, load_encoder(second, threads=threads).manifest, cut)
        write_joined_encoders(Path(encoder), Path(second), target)
        reader = load_encoder(target / "encoder", threads=threads)
        again = load_second_encoder(target / "second", threads=threads)
    readers = _Readers(reader, again)
    report("reading the feeds")
    material = collect_material(recipe, data, catalogue)
    unseen = _unseen(material)
    if again is not None and (other := _other_examples(recipe, again)) is not None:
        report("reading the feeds as the second encoder has read them")
        also = {each.cve_id for each in _unseen(collect_material(other, data, catalogue))}
        unseen = [each for each in unseen if each.cve_id in also]
    labels = sorted({*reader.labels, *counter.labels, *(again.labels if again else ())}, key=lambda label: int(label[4:]))
    places = Places.of(labels, reader.labels, counter.labels, again.labels if again else ())
    report(f"scoring {len(material.development):,} examples of the development split")
    texts = [each.text for each in material.development]
    assigned = [each.labels for each in material.development]
    read, read_again = readers.scores(texts)
    split = BlendedSplit(read, _linear_scores(counter, texts), hit_matrix(labels, assigned), assigned, read_again)
    window = _window(readers, Path(linear), unseen, labels)
    if window is not None and fits_shift(window):
        report(f"fitting policy nvd to {len(window.hits):,} examples of NVD's window")
    traits = label_traits(labels, catalogue)
    stages = [
        fit_stage(split, window, places, traits, start) for start in (TWO_PARTS, THREE_PARTS)[: 1 if again is None else 2]
    ]

    own = [each.own.probabilities for each in stages]
    if again is not None and unsure is None:
        unsure = choose_threshold(own[0], own[1], split.hits, UNSURE)
    if again is not None and unsure_nvd is None:
        shifted = [each.nvd.probabilities for each in stages]
        fitted = stages[0].nvd.shift is not None
        unsure_nvd = choose_threshold(shifted[0], shifted[1], stages[0].nvd.hits, UNSURE) if fitted else unsure
    alone = np.zeros(own[0].shape)
    alone[:, places.linear] = counter.probabilities(split.linear, "mitre")
    blended = mixed_answers(own, unsure)
    if sure is None:
        sure = choose_threshold(alone, blended, split.hits)
    mixed = mixed_answers([alone, blended], sure)
    windows, nvd = _windows(window, stages, places, labels, traits, sure, unsure_nvd, mixed)
    manifest = {
        "format": BLEND_FORMAT,
        "name": name,
        "description": _TWO_IN_ONE if again is None else _THREE_IN_ONE,
        "labels": labels,
        "weights": stages[0].weights,
        "sure": sure,
        **stages[0].settings,
        "threshold": _thresholds(mixed, nvd, split.hits, labels, catalogue, recipe.target_precision),
        "development": {"from": cut, "until": str(recipe.split.test_from), "right": "one of the preferred party's entries"}
        | _development(split, mixed, stages, places, labels, unsure)
        | _shares(alone, own, sure, unsure),
        "windows": windows,
        "parts": {
            part: _provenance(model) for part, model in (("encoder", reader), ("second", again), ("linear", counter)) if model
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
    if again is None:
        _copy(Path(encoder), target / "encoder", _ENCODER_FILES)
    else:
        manifest["second"] = {
            "weights": stages[1].weights,
            "unsure": {"mitre": unsure, "nvd": unsure_nvd},
            **stages[1].settings,
        }
    known = {
        file_sha256(folder / "manifest.json") for folder in (shipped or {}).values() if (folder / "manifest.json").is_file()
    }
    if counter.digest not in known:
        _copy(Path(linear), target / "linear", ("manifest.json", "vocabulary.txt", "weights.npz"))
    write_json(target / "manifest.json", manifest)
    made = load_blend(target, shipped or {})
    return BlendReport(target, made.digest, len(labels), manifest["development"])


def _refuse_later(folder: str | os.PathLike[str], manifest: Mapping[str, Any], cut: str) -> None:
    if manifest["recipe"]["split"]["development_from"] > cut:
        raise InputError(
            f"{folder} learnt from CVEs of the development split, which begins on {cut}", fix="train it with the same 'split'"
        )


def _provenance(model: EncoderModel | SecondEncoder | LinearModel) -> dict[str, Any]:
    """Return what a part is; ``made_from`` is the digest of the encoder as it was trained, where its graph was changed."""
    found = {"name": model.name, "digest": model.digest, "git_revision": model.manifest.get("git_revision")}
    return found | ({"made_from": model.manifest["made_from"]} if "made_from" in model.manifest else {})


def _copy(source: Path, target: Path, names: Sequence[str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).resolve() != (target / name).resolve():
            shutil.copyfile(source / name, target / name)


def _linear_scores(model: LinearModel, texts: Sequence[str]) -> Floats:
    return np.concatenate([model.scores(model.features(texts[i : i + _TEXTS])) for i in range(0, len(texts), _TEXTS)])


def _unseen(material: EncoderMaterial) -> list[Example]:
    return [material.windows[i].example for i in material.unseen_by(None)]


def _other_examples(recipe: EncoderRecipe, second: SecondEncoder) -> EncoderRecipe | None:
    """Return the recipe of the second encoder where it has learnt other examples than `recipe` says."""
    other = EncoderRecipe.model_validate(second.manifest["recipe"])
    same = other.model_dump(include=_SAME_EXAMPLES) == recipe.model_dump(include=_SAME_EXAMPLES)
    return None if same else other


def _window(readers: _Readers, linear: Path, unseen: Sequence[Example], labels: Sequence[str]) -> BlendedSplit | None:
    """Return NVD's window examples that no part has learnt; None where there are none."""
    file = linear / "run" / WINDOW_SCORES
    if not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as arrays:
        row = {str(cve): i for i, cve in enumerate(arrays["cve_ids"])}
        known = arrays["scores"]
    chosen = [each for each in unseen if each.cve_id in row and "nvd" in each.by_party]
    if not chosen:
        return None
    assigned = [each.by_party["nvd"] for each in chosen]
    scores, again = readers.scores([each.text for each in chosen])
    return BlendedSplit(scores, known[[row[each.cve_id] for each in chosen]], hit_matrix(labels, assigned), assigned, again)


def _shares(alone: Doubles, blended: Sequence[Doubles], sure: float, unsure: float | None) -> dict[str, float]:
    """Return the share of texts that go no further than the linear model, and of those that reach the second encoder."""
    passed = alone.max(axis=1) < sure
    found = {"left_to_the_linear_model": round(float((~passed).mean()), 4)}
    if len(blended) > 1:
        found["read_by_the_second_encoder"] = round(float((passed & (blended[0].max(axis=1) < unsure)).mean()), 4)
    return found


def _thresholds(
    mixed: Doubles, nvd: tuple[Doubles, Hits], hits: Hits, labels: Sequence[str], catalogue: CweCatalogue, precision: float
) -> dict[str, float]:
    offered = np.array([catalogue.is_suggestable(label) for label in labels])
    allowed = np.where(offered, mixed, 0)
    return {
        "mitre": lowest_threshold(allowed.max(axis=1), right_within(allowed, hits), precision),
        "nvd": lowest_threshold(nvd[0].max(axis=1), right_within(*nvd), precision),
    }


def _development(
    split: BlendedSplit, mixed: Doubles, stages: Sequence[Stage], places: Places, labels: Sequence[str], unsure: float | None
) -> dict[str, Any]:
    """Return scores of the blend as it answers, and of its parts alone."""
    error = expected_calibration_error(mixed.max(axis=1), right_within(mixed, split.hits))
    parts = {}
    for name, scores, place in (
        ("encoder", split.encoder, places.encoder),
        ("second", split.second, places.second),
        ("linear", split.linear, places.linear),
    ):
        if scores is not None:
            parts[name] = split_scores(scores, split.assigned, [labels[i] for i in place])
    again = stages[1].own.scores if len(stages) > 1 else None
    return split_scores(mixed.astype(np.float32), split.assigned, labels) | {
        "expected_calibration_error_15_bins": round(error, 4),
        "half_fitted_calibration_error": round(half_fitted_error(stages[0].own.scores, split.hits, again, unsure or 0), 4),
        "parts_alone": parts,
    }


def _windows(
    window: BlendedSplit | None,
    stages: Sequence[Stage],
    places: Places,
    labels: Sequence[str],
    traits: Doubles,
    sure: float,
    unsure: float | None,
    mixed: Doubles,
) -> tuple[list[dict[str, Any]], tuple[Doubles, Hits]]:
    """Return the manifest's ``windows``, and the probabilities, with what is right, that policy nvd's threshold comes from.

    With a second encoder, those are of what the model answers: its linear part, too, by a shift that was fitted to other
    examples of the window. Where the window fits nothing they are the development split's, `mixed`.
    """
    first = stages[0]
    fallback = (first.nvd.probabilities, first.nvd.hits) if len(stages) == 1 else (mixed, first.own.hits)
    if window is None or first.window is None:
        return [], fallback
    plain = [each.window for each in stages if each.window is not None]
    read_again = first.own.calibration.probabilities(first.window).max(axis=1, keepdims=True) < (unsure or 0)
    found = {"party": "nvd", "as_it_is": split_scores(np.where(read_again, plain[-1], plain[0]), window.assigned, labels)}
    if first.nvd.shift is None:
        return [found], fallback
    probabilities = [each.nvd.probabilities for each in stages]
    read_again = probabilities[0].max(axis=1, keepdims=True) < (unsure or 0)
    shifted = np.where(read_again, stages[-1].nvd.scores, first.nvd.scores)
    found["shifted"] = split_scores(shifted, window.assigned, labels)
    if len(stages) == 1:
        return [found], fallback
    alone = np.zeros(probabilities[0].shape)
    own = calibrate_with_shift(window.linear, window.hits[:, places.linear], traits[:, places.linear])
    alone[:, places.linear] = own.probabilities
    answered = mixed_answers([alone, mixed_answers(probabilities, unsure)], sure)
    found["answered"] = split_scores(answered.astype(np.float32), window.assigned, labels)
    return [found | _shares(alone, probabilities, sure, unsure)], (answered, window.hits)
