"""Train an encoder classifier: one command, one recipe, one folder; killed at any moment, the same command goes on."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ctiforge.core.errors import InputError, MissingExtraError
from ctiforge.core.files import file_sha256, sha256, write_json
from ctiforge.models.token_batches import TokenizedTexts, sorted_batches, tokenize_texts
from ctiforge.models.transformers_local import folder_digest
from ctiforge.sources.cwe import CweCatalogue, load_catalogue
from ctiforge.train.descriptions import read_descriptions
from ctiforge.train.development_scores import ScoredWindow, hit_matrix, mean_loss, split_scores
from ctiforge.train.encoder_artefact import EncoderReport, write_encoder
from ctiforge.train.encoder_base import (
    EXTRA,
    BaseModel,
    build_network,
    find_base_model,
    load_tokenizer,
    trim_vocabulary,
)
from ctiforge.train.encoder_checkpoint import FitFolder, Progress
from ctiforge.train.encoder_fitting import Controls, Device, Evaluate, Schedule, choose_device, run_fit
from ctiforge.train.encoder_material import EncoderMaterial, collect_material
from ctiforge.train.encoder_metrics import duration
from ctiforge.train.encoder_objectives import Classification, MaskedLanguage, build_masked_head, logits_of
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.encoder_targets import (
    Floats,
    build_targets,
    class_weights,
    example_weights,
    load_teacher,
    log_prior,
    relatives_matrix,
    soften,
)
from ctiforge.train.examples import Example

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

__all__ = ["run_train_encoder"]

_FORMAT = 1
_SCORED_AT_ONCE = 64
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
    controls: Controls | None = None,
) -> EncoderReport:
    """Train, export, calibrate, measure and write the classifier; go on from the checkpoint in `out` where there is one.

    Args:
        data: folder that holds the recipe's files.
        out: folder to write the model to; checkpoints and metrics go to its folder ``run``.
        device: ``auto``, ``cpu``, ``cuda`` (CUDA or ROCm) or ``cuda:1``.
        threads: of the CPU; None leaves it to torch.
        restart: throw away what an earlier run left in `out`.

    Raises:
        MissingExtraError: a package is not installed.
        InputError: files are missing, there is nothing to learn, `out` cannot be written or holds another run, or memory or
            disk does not suffice.
        ModelError: the base model cannot be loaded or exported.
        RecipeError: the loss is not a number.
    """
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, EXTRA)
    run = _Run(recipe, Path(data), Path(out), catalogue or load_catalogue(), controls or Controls())
    return run.run(device, threads, restart=restart)


@dataclass(frozen=True, slots=True)
class _Tokens:
    tokenizer: Tokenizer
    rows: Any
    pad_id: int
    development: TokenizedTexts
    unlabelled: TokenizedTexts | None


class _Run:
    def __init__(self, recipe: EncoderRecipe, data: Path, out: Path, catalogue: CweCatalogue, controls: Controls) -> None:
        self.recipe = recipe
        self.data = data
        self.out = out
        self.catalogue = catalogue
        self.controls = controls
        self.report = controls.report

    def run(self, device_name: str, threads: int | None, *, restart: bool) -> EncoderReport:
        import torch

        if threads:
            torch.set_num_threads(threads)
        recipe = self.recipe
        device = choose_device(device_name, recipe.precision)
        base = find_base_model(recipe.base_model, recipe.max_length)
        _prepare_folder(self.out, restart=restart)
        self.report("reading the feeds")
        material = collect_material(recipe, self.data, self.catalogue)
        provenance = _provenance(recipe, self.data)
        digest = folder_digest(base.folder)
        self.report(
            f"{len(material.learnt_by(None)):,} examples, {len(material.labels)} labels; development "
            f"{len(material.development):,}; {device.device} in {device.precision}, {torch.get_num_threads()} threads"
        )
        tokens = self._tokenize(base, material)
        fingerprint = _fingerprint(recipe, provenance, digest, self.catalogue, device)
        start, pretraining = self._pretrain(base, material, tokens, device, fingerprint)

        scored = np.zeros((len(material.windows), len(material.labels)), dtype=np.float32)
        for fold in range(material.folds):
            network = self._network(base, material, tokens, start)
            self._fit(network, material, tokens, device, f"{fingerprint}-fold-{fold}", fold)
            places = material.unseen_by(fold)
            texts = tokenize_texts(tokens.tokenizer, [material.windows[i].example.text for i in places])
            scored[places] = _scores(network, texts, tokens.pad_id, device)
        network = self._network(base, material, tokens, start)
        progress = self._fit(network, material, tokens, device, fingerprint, None)
        self.report(f"fitted in {duration(progress.seconds)}, best after step {progress.best_step:,}; exporting")
        return write_encoder(
            self.out, network, recipe, material, tokens.tokenizer, tokens.pad_id, self.catalogue,
            reference=_scores(network, _head(tokens.development), tokens.pad_id, Device(torch.device("cpu"), "fp32")),
            development=tokens.development,
            cross_fitted=_by_window(recipe, material, scored) if material.folds else None,
            facts={
                "data": provenance,
                "base_model": {
                    "name": recipe.base_model, "digest": digest, "licence": recipe.base_licence,
                    "model_type": base.config.get("model_type"), "vocabulary": tokens.tokenizer.get_vocab_size(),
                },
                "fit": {
                    "device": device.device.type, "precision": device.precision, "threads": torch.get_num_threads(),
                    "steps": progress.step, "best_step": progress.best_step, "best": progress.best_scores,
                    "stopped_early": progress.stopped, "pretraining_steps": pretraining.step if pretraining else 0,
                },
            },
            seconds={"fit": progress.seconds, "pretraining": pretraining.seconds if pretraining else 0.0},
            threads=threads or 0, report=self.report,
        )  # fmt: skip

    def _tokenize(self, base: BaseModel, material: EncoderMaterial) -> _Tokens:
        recipe = self.recipe
        tokenizer = load_tokenizer(base.folder, recipe.max_length)
        unlabelled: list[str] = []
        if recipe.pretraining is not None:
            found, left_out = read_descriptions(recipe, self.data, self.catalogue, recipe.pretraining.sources)
            unlabelled = [each.text for each in found]
            self.report(f"{len(unlabelled):,} descriptions for pretraining, left out: {dict(sorted(left_out.items()))}")
        rows, pad_id = None, base.pad_id
        if recipe.keep_tokens_in:
            texts = dict.fromkeys([*(each.text for each in material.learnt_by(None)), *unlabelled])
            before = tokenizer.get_vocab_size()
            trimmed = trim_vocabulary(tokenizer, list(texts), recipe.keep_tokens_in)
            tokenizer, rows = trimmed.tokenizer, trimmed.rows
            pad_id = int(np.flatnonzero(rows == pad_id)[0])
            self.report(f"vocabulary: {len(rows):,} of {before:,} tokens kept")
        development = tokenize_texts(tokenizer, [each.text for each in material.development])
        return _Tokens(
            tokenizer, rows, pad_id, development, tokenize_texts(tokenizer, unlabelled) if recipe.pretraining else None
        )

    def _network(
        self, base: BaseModel, material: EncoderMaterial, tokens: _Tokens, start: dict[str, torch.Tensor] | None
    ) -> torch.nn.ModuleDict:
        recipe = self.recipe
        network = build_network(base, len(material.labels), rows=tokens.rows, dropout=recipe.fit.dropout, seed=recipe.seed)
        if start is not None:
            network["encoder"].load_state_dict(start)
        return network

    def _pretrain(
        self, base: BaseModel, material: EncoderMaterial, tokens: _Tokens, device: Device, fingerprint: str
    ) -> tuple[dict[str, torch.Tensor] | None, Progress | None]:
        """Return the encoder's weights after pretraining, or None where the recipe has none."""
        settings = self.recipe.pretraining
        if settings is None or tokens.unlabelled is None:
            return None, None
        network = self._network(base, material, tokens, None)
        network["masked"] = build_masked_head(network, self.recipe.seed)
        vocabulary = tokens.tokenizer.get_vocab()
        mask_id = next((vocabulary[name] for name in ("[MASK]", "<mask>") if name in vocabulary), None)
        if mask_id is None:
            raise InputError(f"{self.recipe.base_model} has no mask token", fix="remove 'pretraining' from the recipe")
        special = np.array(sorted(tokens.tokenizer.get_added_tokens_decoder()), dtype=np.int64)
        objective = MaskedLanguage(
            tokens.unlabelled, settings.mask_share, mask_id, special, tokens.tokenizer.get_vocab_size(), tokens.pad_id
        )
        rates = {
            "learning_rate": settings.learning_rate,
            "head_learning_rate": settings.learning_rate,
            "layer_decay": 1.0,
            "freeze_layers": 0,
        }
        schedule = self._schedule(epochs=settings.epochs, batch_size=settings.batch_size, **rates)
        folder = FitFolder(self.out / "run" / "pretraining", f"{fingerprint}-pretraining")
        progress = run_fit(network, objective, schedule, folder, device, name="pretraining", controls=self.controls)
        return {name: tensor.cpu() for name, tensor in network["encoder"].state_dict().items()}, progress

    def _fit(
        self,
        network: torch.nn.ModuleDict,
        material: EncoderMaterial,
        tokens: _Tokens,
        device: Device,
        fingerprint: str,
        fold: int | None,
    ) -> Progress:
        name = "training" if fold is None else f"fold {fold + 1} of {material.folds}"
        examples = material.learnt_by(fold)
        objective = self._classification(examples, material.labels, tokens)
        folder = FitFolder(self.out / "run" / ("training" if fold is None else f"fold-{fold}"), fingerprint)
        evaluate = _evaluation(material, tokens, device, self.recipe.fit.choose_by)
        return run_fit(
            network, objective, self._schedule(), folder, device, name=name, evaluate=evaluate, controls=self.controls
        )

    def _schedule(self, **changes: Any) -> Schedule:
        settings = self.recipe.fit.model_dump(exclude={"dropout", "choose_by"}) | changes
        return Schedule(**settings, seed=self.recipe.seed)

    def _classification(self, examples: Sequence[Example], labels: list[str], tokens: _Tokens) -> Classification:
        recipe = self.recipe
        teacher, share = None, 0.0
        if recipe.teacher is not None:
            teacher, share = load_teacher(self.data / recipe.teacher.path, labels), recipe.teacher.share
            known = sum(each.cve_id in teacher.row for each in examples)
            self.report(f"the teacher knows {known:,} of the {len(examples):,} examples")
        targets = build_targets(examples, labels, self.catalogue, recipe.weights, teacher, share)
        settings = recipe.targets
        relatives = relatives_matrix(labels, self.catalogue, settings.relatives) if settings.hierarchy_share else None
        adjustment = (settings.logit_adjustment * log_prior(targets)).astype(np.float32)
        return Classification(
            tokenize_texts(tokens.tokenizer, [each.text for each in examples]),
            soften(targets, settings, relatives),
            example_weights(examples, recipe.weights),
            class_weights(targets, settings.class_weight_power),
            adjustment,
            tokens.pad_id,
        )


def _evaluation(material: EncoderMaterial, tokens: _Tokens, device: Device, choose_by: str) -> Evaluate:
    assigned = [each.labels for each in material.development]
    hits = hit_matrix(material.labels, assigned)

    def evaluate(network: torch.nn.ModuleDict) -> tuple[float, dict[str, Any]]:
        scores = _scores(network, tokens.development, tokens.pad_id, device)
        measured = split_scores(scores, assigned, material.labels)
        return (-mean_loss(scores, hits) if choose_by == "loss" else float(measured[choose_by])), measured

    return evaluate


def _scores(network: torch.nn.ModuleDict, texts: TokenizedTexts, pad_id: int, device: Device) -> Floats:
    """Return the logits of texts, dropout off: float32, shape (n, K)."""
    import torch

    network.to(device.device).eval()
    head: Any = network["head"]
    scores = np.zeros((len(texts.ids), head.out_features), dtype=np.float32)
    with torch.inference_mode(), device.autocast():
        for rows in sorted_batches(texts.lengths, _SCORED_AT_ONCE):
            scores[rows] = logits_of(network, texts, rows, pad_id, device.device).cpu().numpy()
    return scores


def _head(texts: TokenizedTexts, n: int = 256) -> TokenizedTexts:
    return TokenizedTexts(texts.ids[:n])


def _by_window(recipe: EncoderRecipe, material: EncoderMaterial, scores: Floats) -> list[ScoredWindow]:
    found = []
    for number, window in enumerate(recipe.split.windows):
        places = [i for i, each in enumerate(material.windows) if each.window == number]
        assigned = [material.windows[i].example.by_party[window.party] for i in places]
        found.append(ScoredWindow(window, scores[places], assigned))
    return found


def _prepare_folder(out: Path, *, restart: bool) -> None:
    """Make the folder before the hours of fitting, not after."""
    try:
        if restart and (out / "run").exists():
            shutil.rmtree(out / "run")
        (out / "run").mkdir(parents=True, exist_ok=True)
        write_json(out / "run" / ".writable", None)
        (out / "run" / ".writable").unlink()
    except OSError as error:
        raise InputError(f"{out}: cannot write the model there ({error.strerror})", fix="name another --out") from None


def _provenance(recipe: EncoderRecipe, folder: Path) -> list[dict[str, str]]:
    entries = [{"path": s.path, "licence": s.licence, "use": "train"} for s in [*recipe.sources, *recipe.instructions]]
    if recipe.pretraining is not None:
        entries += [{"path": s.path, "licence": s.licence, "use": "pretraining"} for s in recipe.pretraining.sources]
    if recipe.teacher is not None:
        entries.append({"path": recipe.teacher.path, "use": "soft targets of a teacher"})
    entries += [{"path": e.path, "use": "left out of training"} for e in recipe.exclude]
    for entry in entries:
        file = folder / entry["path"]
        if not file.is_file():
            raise InputError(f"{file}: no such file, but the recipe names it", fix="--data DIR is the folder that holds it")
        entry["sha256"] = file_sha256(file)
    return entries


def _fingerprint(
    recipe: EncoderRecipe, provenance: list[dict[str, str]], base: str, catalogue: CweCatalogue, device: Device
) -> str:
    """Return the SHA-256 of all that the weights depend on."""
    settings = recipe.model_dump(mode="json", exclude={"description", "target_precision", "base_licence"})
    words = [_FORMAT, settings, provenance, base, catalogue.digest, device.device.type, device.precision]
    return sha256(json.dumps(words, sort_keys=True).encode())
