"""The folder of a trained encoder: ONNX files, tokenizer, and a manifest that says how it was made and what it scores."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ctiforge import __version__
from ctiforge.core.files import file_sha256, write_bytes, write_json, write_text
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.models.linear import Floats
from ctiforge.models.token_batches import TokenizedTexts, tokenize_texts
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.development_scores import ScoredWindow, calibration_settings, window_scores
from ctiforge.train.encoder_checkpoint import writing
from ctiforge.train.encoder_export import HEAD, INPUTS, OUTPUTS, export_encoder, onnx_scores, parity
from ctiforge.train.encoder_material import EncoderMaterial
from ctiforge.train.encoder_onnx import FP32, INT8
from ctiforge.train.encoder_recipe import EncoderRecipe

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

__all__ = ["FORMAT", "EncoderReport", "write_encoder"]

FORMAT = "ctiforge-encoder/1"

_TOKENIZER = "tokenizer.json"
_NAMED = ("numpy", "onnx", "onnxruntime", "onnxscript", "safetensors", "scipy", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class EncoderReport:
    """What `ctiforge.train.encoder.run_train_encoder` made.

    Attributes:
        development, export: the manifest's parts of these names.
        int8_bytes: size of the model file that is meant for use.
    """

    folder: Path
    digest: str
    labels: int
    train_examples: int
    int8_bytes: int
    development: dict[str, Any]
    export: dict[str, Any]


def write_encoder(
    out: Path,
    network: torch.nn.ModuleDict,
    recipe: EncoderRecipe,
    material: EncoderMaterial,
    tokenizer: Tokenizer,
    pad_id: int,
    catalogue: CweCatalogue,
    *,
    reference: Floats,
    development: TokenizedTexts,
    cross_fitted: list[ScoredWindow] | None,
    facts: dict[str, Any],
    seconds: dict[str, float],
    threads: int,
    report: Callable[[str], None],
) -> EncoderReport:
    """Export the network, score the exported model, calibrate it and write everything; the manifest last.

    All scores and the calibration are those of the 8-bit model, which is the one in use, but for the cross-fitted windows.

    Args:
        reference: logits by torch of the first texts of the development split, to compare the export with.
        cross_fitted: scores of the windows by the folds' networks; None: the exported model scores what it has not learnt.

    Raises:
        InputError: the folder cannot be written.
        ModelError: the network cannot be exported.
    """
    labels = material.labels
    assigned = [each.labels for each in material.development]
    export_encoder(network, out)
    with writing(out / _TOKENIZER, out):
        write_text(out / _TOKENIZER, tokenizer.to_str())
    report("scoring the development splits with the exported models")
    plain, small = (onnx_scores(out / name, development, pad_id, threads=threads) for name in (FP32, INT8))
    windows = cross_fitted if cross_fitted is not None else _score_windows(out, recipe, material, tokenizer, pad_id, threads)
    export = parity(reference, plain, small, assigned, labels)
    calibrated = calibration_settings(small, assigned, windows, labels, catalogue, recipe.target_precision)
    learnt = material.learnt_by(None)
    manifest = {
        "format": FORMAT,
        "name": recipe.name,
        "description": recipe.description,
        "labels": labels,
        "max_length": recipe.max_length,
        "pad_id": pad_id,
        "inputs": list(INPUTS),
        "outputs": list(OUTPUTS),
        **calibrated,
        "development": calibrated["development"]
        | {
            "from": str(recipe.split.development_from),
            "until": str(recipe.split.test_from),
            "policy": "every weakness, without the shift of policy nvd",
            "right": "one of the entries that the preferred party assigned",
            "model": INT8,
        },
        "windows": [window_scores(window, labels, catalogue) for window in windows],
        "export": export | {"int8_bytes": (out / INT8).stat().st_size, "fp32_bytes": (out / FP32).stat().st_size},
        "left_out": dict(sorted(material.left_out.items())),
        "examples": {
            "train": len(learnt),
            "train_rare_label": material.rare,
            "development": len(material.development),
            "later": material.later,
            "windows": [sum(each.window == i for each in material.windows) for i in range(len(recipe.split.windows))],
            "windows_scored": [len(window.scores) for window in windows],
            "by_party": dict(sorted(Counter(example.party for example in learnt).items())),
            "by_label": {label: material.counts[label] for label in labels},
        },
        "recipe": recipe.model_dump(mode="json"),
        "cwe_version": catalogue.version,
        "cwe_digest": catalogue.digest,
        "licence": "Apache-2.0",
        "ctiforge": __version__,
        "git_revision": git_revision(),
        "packages": package_versions(_NAMED),
        "files": {name: file_sha256(out / name) for name in (INT8, HEAD, _TOKENIZER)},
        "reference": {FP32: file_sha256(out / FP32)},
        **facts,
    }
    with writing(out / "manifest.json", out):
        _write_logits(out / "run" / "development.npz", [each.cve_id for each in material.development], labels, small)
        write_json(out / "run" / "timing.json", {name: round(value, 1) for name, value in seconds.items()})
        write_json(out / "manifest.json", manifest)
    return EncoderReport(
        out, file_sha256(out / "manifest.json"), len(labels), len(learnt), (out / INT8).stat().st_size,
        manifest["development"], export,
    )  # fmt: skip


def _score_windows(
    out: Path, recipe: EncoderRecipe, material: EncoderMaterial, tokenizer: Tokenizer, pad_id: int, threads: int
) -> list[ScoredWindow]:
    """Score the examples of the windows that were kept from training; a window that was learnt is not scored."""
    found = []
    unseen = [material.windows[i] for i in material.unseen_by(None)]
    for number, window in enumerate(recipe.split.windows):
        examples = [each.example for each in unseen if each.window == number]
        if examples:
            texts = tokenize_texts(tokenizer, [example.text for example in examples])
            scores = onnx_scores(out / INT8, texts, pad_id, threads=threads)
            found.append(ScoredWindow(window, scores, [example.by_party[window.party] for example in examples]))
    return found


def _write_logits(file: Path, cve_ids: Sequence[str], labels: Sequence[str], logits: Floats) -> None:
    """Write the 8-bit model's logits of the development split: what a blend with another model is chosen by."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, cve_ids=np.array(cve_ids, dtype=np.str_), labels=np.array(labels, dtype=np.str_), logits=logits)
    write_bytes(file, buffer.getvalue())
