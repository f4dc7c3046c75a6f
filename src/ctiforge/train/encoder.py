"""Train an encoder classifier: one command, one recipe, one folder; killed at any moment, the same command goes on."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np

from ctiforge.core.errors import MissingExtraError
from ctiforge.models.token_batches import TokenizedTexts, tokenize_texts
from ctiforge.sources.cwe import CweCatalogue, load_catalogue
from ctiforge.train.development_scores import ScoredWindow
from ctiforge.train.encoder_artefact import EncoderReport, write_encoder
from ctiforge.train.encoder_base import EXTRA
from ctiforge.train.encoder_fitting import Controls, Device
from ctiforge.train.encoder_material import EncoderMaterial
from ctiforge.train.encoder_metrics import duration
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.encoder_run import EncoderRun
from ctiforge.train.encoder_targets import Floats

__all__ = ["check_packages", "run_train_encoder"]

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "onnx", "onnxscript", "onnxruntime")


def run_train_encoder(
    recipe: EncoderRecipe,
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    catalogue: CweCatalogue | None = None,
    device: str = "auto",
    threads: int | None = None,
    restart: bool = False,
    teacher: Path | None = None,
    controls: Controls | None = None,
) -> EncoderReport:
    """Train, export, calibrate, measure and write the classifier; go on from the checkpoint in `out` where there is one.

    Args:
        data: folder that holds the recipe's files.
        out: folder to write the model to; checkpoints and metrics go to its folder ``run``.
        device: ``auto``, ``cpu``, ``cuda`` (CUDA or ROCm) or ``cuda:1``.
        threads: of the CPU; None leaves it to torch.
        restart: throw away what an earlier run left in `out`.
        teacher: what `ctiforge.train.teacher.run_train_teacher` wrote, for a recipe that has one.

    Raises:
        MissingExtraError: a package is not installed.
        InputError: files are missing, there is nothing to learn, `out` cannot be written or holds another run, or memory or
            disk does not suffice.
        ModelError: the base model cannot be loaded or exported.
        RecipeError: the loss is not a number.
    """
    check_packages()
    import torch

    if threads:
        torch.set_num_threads(threads)
    out = Path(out)
    run = EncoderRun(
        recipe, Path(data), out, catalogue or load_catalogue(), controls or Controls(), device, teacher=teacher, restart=restart
    )
    material, tokens, pad_id = run.material, run.tokens, run.tokens.pad_id
    scored = np.zeros((len(material.windows), len(material.labels)), dtype=np.float32)
    for fold in range(material.folds):
        network = run.network()
        run.fit(
            network, material.learnt_by(fold), folder=f"fold-{fold}", name=f"fold {fold + 1} of {material.folds}",
            fingerprint=f"-fold-{fold}",
        )  # fmt: skip
        places = material.unseen_by(fold)
        scored[places] = run.scores(
            network, tokenize_texts(tokens.tokenizer, [material.windows[i].example.text for i in places])
        )
    network = run.network()
    progress = run.fit(network, material.learnt_by(None), folder="training", name="training")
    run.report(f"fitted in {duration(progress.seconds)}, best after step {progress.best_step:,}; exporting")
    pretraining = run.pretraining
    return write_encoder(
        out, network, recipe, material, tokens.tokenizer, pad_id, run.catalogue,
        reference=run.scores(network, _head(tokens.development), Device(torch.device("cpu"), "fp32")),
        development=tokens.development,
        cross_fitted=_by_window(recipe, material, scored) if material.folds else None,
        facts={
            "data": run.provenance,
            "base_model": {
                "name": recipe.base_model, "architecture": run.base.architecture, "digest": run.base_digest,
                "licence": recipe.base_licence, "model_type": run.base.config.get("model_type"),
                "vocabulary": tokens.tokenizer.get_vocab_size(),
            },
            "fit": {
                "device": run.fitted_on[0], "precision": run.fitted_on[1], "threads": torch.get_num_threads(),
                "steps": progress.step, "best_step": progress.best_step, "best": progress.best_scores,
                "stopped_early": progress.stopped, "pretraining_steps": pretraining.step if pretraining else 0,
            },
        },
        seconds={"fit": progress.seconds, "pretraining": pretraining.seconds if pretraining else 0.0},
        threads=threads or 0, report=run.report,
    )  # fmt: skip


def check_packages() -> None:
    """Check that what encoders are trained and exported with is installed.

    Raises:
        MissingExtraError: it is not.
    """
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, EXTRA)


def _head(texts: TokenizedTexts, n: int = 256) -> TokenizedTexts:
    return TokenizedTexts(texts.ids[:n])


def _by_window(recipe: EncoderRecipe, material: EncoderMaterial, scores: Floats) -> list[ScoredWindow]:
    found = []
    for number, window in enumerate(recipe.split.windows):
        places = [i for i, each in enumerate(material.windows) if each.window == number]
        assigned = [material.windows[i].example.by_party[window.party] for i in places]
        found.append(ScoredWindow(window, scores[places], assigned))
    return found
