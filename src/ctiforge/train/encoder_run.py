"""What a fit of an encoder needs, made once: device, base model, examples, tokens, pretrained weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, sha256, write_json
from ctiforge.models.token_batches import TokenizedTexts, sorted_batches, tokenize_texts
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.descriptions import Description, read_descriptions
from ctiforge.train.development_scores import hit_matrix, mean_loss, split_scores
from ctiforge.train.encoder_base import build_network, find_base_model, trim_vocabulary
from ctiforge.train.encoder_checkpoint import FitFolder, Progress
from ctiforge.train.encoder_fitting import Controls, Device, Evaluate, Schedule, choose_device, run_fit
from ctiforge.train.encoder_material import collect_material
from ctiforge.train.encoder_objectives import Classification, MaskedLanguage, build_masked_head, logits_of
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.encoder_targets import (
    Floats,
    TeacherProbabilities,
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

__all__ = ["EncoderRun", "score_texts"]

_FORMAT = 1
_SCORED_AT_ONCE, _ON_A_GPU = 64, 512


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The tokenizer, perhaps with fewer tokens than the base model's (`rows` of its embeddings stay), and texts through it."""

    tokenizer: Tokenizer
    rows: Any
    pad_id: int
    development: TokenizedTexts
    unlabelled: TokenizedTexts | None


class EncoderRun:
    """One recipe's fits; they differ in the examples that they learn.

    Args:
        out: checkpoints and metrics go to its folder ``run``.
        teacher: file of the teacher's probabilities, None where the recipe names it or has no teacher.
        restart: whether to throw away what an earlier run left in `out`.
        descriptions: whether to read descriptions without labels even if the recipe does not learn from them.

    Raises:
        InputError: files are missing, or there is nothing to learn.
        ModelError: the base model cannot be loaded.
    """

    def __init__(
        self,
        recipe: EncoderRecipe,
        data: Path,
        out: Path,
        catalogue: CweCatalogue,
        controls: Controls,
        device_name: str,
        *,
        teacher: Path | None = None,
        descriptions: bool = False,
        restart: bool = False,
    ) -> None:
        import torch

        self.recipe = recipe
        self.out = out
        self.catalogue = catalogue
        self.controls = controls
        self.report = controls.report
        self.device = choose_device(device_name, recipe.precision)
        self.base = find_base_model(recipe.base_model, recipe.max_length, recipe.architecture, recipe.embeddings)
        for earlier in (self.base.fitted, self.base.shared):
            if earlier is not None:
                earlier.check_split(recipe)
        self._teacher_file = _teacher_file(recipe, data, teacher)
        _prepare_folder(out, restart=restart)
        self.report("reading the feeds")
        self.material = collect_material(recipe, data, catalogue)
        self.descriptions: list[Description] = []
        if descriptions or recipe.pretraining is not None or (recipe.teacher and recipe.teacher.unlabelled_since):
            more = recipe.pretraining.sources if recipe.pretraining else []
            self.descriptions, left_out = read_descriptions(recipe, data, catalogue, more)
            self.report(f"{len(self.descriptions):,} descriptions, left out: {dict(sorted(left_out.items()))}")
        self.provenance = _provenance(recipe, data, self._teacher_file)
        self.base_digest = self.base.digest
        self.report(
            f"{len(self.material.learnt_by(None)):,} examples, {len(self.material.labels)} labels; development "
            f"{len(self.material.development):,}; {self.device.device} in {self.device.precision}, "
            f"{torch.get_num_threads()} threads"
        )
        self.tokens = self._tokenize()
        self.fitted_on = self._fitted_on()
        self.fingerprint = _fingerprint(recipe, self.provenance, self.base_digest, catalogue, self.fitted_on)
        self._start: dict[str, torch.Tensor] | None = None
        self._start, self.pretraining = self._pretrain()

    def _fitted_on(self) -> tuple[str, str]:
        """Return kind of device and precision of the fit: of a finished one those that it had, so that what a GPU machine has
        fitted can be exported on another."""
        file = self.out / "run" / "device.json"
        here = self.device.device.type, self.device.precision
        if (self.out / "run" / "training" / "done.json").is_file() and file.is_file():
            words = json.loads(file.read_text("utf-8"))
            return str(words["device"]), str(words["precision"])
        write_json(file, dict(zip(("device", "precision"), here, strict=True)))
        return here

    def _tokenize(self) -> _Tokens:
        recipe, material = self.recipe, self.material
        tokenizer = self.base.load_tokenizer(recipe.max_length)
        unlabelled = [each.text for each in self.descriptions]
        rows, pad_id = None, self.base.pad_id
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

    def network(self) -> torch.nn.ModuleDict:
        """Return a network to fit: the base model's weights or the pretrained ones, and a new head."""
        recipe = self.recipe
        network = build_network(
            self.base, self.material.labels, rows=self.tokens.rows, dropout=recipe.fit.dropout, seed=recipe.seed,
            layers=recipe.layers, halved=recipe.halve_after,
        )  # fmt: skip
        if self._start is not None:
            network["encoder"].load_state_dict(self._start)
        return network

    def _pretrain(self) -> tuple[dict[str, torch.Tensor] | None, Progress | None]:
        """Return the encoder's weights after pretraining, or None where the recipe has none."""
        settings, tokens = self.recipe.pretraining, self.tokens
        if settings is None or tokens.unlabelled is None:
            return None, None
        folder = FitFolder(self.out / "run" / "pretraining", f"{self.fingerprint}-pretraining")
        if (self.out / "run" / "training" / "done.json").is_file():
            return None, folder.finished()
        network = self.network()
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
        progress = run_fit(network, objective, schedule, folder, self.device, name="pretraining", controls=self.controls)
        return {name: tensor.cpu() for name, tensor in network["encoder"].state_dict().items()}, progress

    def fit(
        self, network: torch.nn.ModuleDict, examples: Sequence[Example], *, folder: str, name: str, fingerprint: str = ""
    ) -> Progress:
        """Fit a network to examples, in place, and mix in what it was before, by the recipe's share; go on from what an earlier
        run left in `folder` below ``run``.

        Args:
            fingerprint: what the examples depend on beside the recipe.
        """
        place = FitFolder(self.out / "run" / folder, self.fingerprint + fingerprint)
        share = self.recipe.fit.start_share
        start = {each: tensor.cpu().clone() for each, tensor in network.state_dict().items()} if share else {}
        progress = place.finished()
        if progress is not None:  # without the minutes that its targets take
            network.load_state_dict(place.load_weights())
        else:
            progress = run_fit(
                network, self._classification(examples), self._schedule(), place, self.device, name=name,
                evaluate=self._evaluation(), controls=self.controls,
            )  # fmt: skip
        if share:
            fitted = network.state_dict()
            network.load_state_dict({each: tensor.cpu().lerp(start[each], share) for each, tensor in fitted.items()})
        return progress

    def scores(self, network: torch.nn.ModuleDict, texts: TokenizedTexts, device: Device | None = None) -> Floats:
        """Return the logits of texts, dropout off: float32, shape (n, K)."""
        return score_texts(network, texts, self.tokens.pad_id, device or self.device)

    def _schedule(self, **changes: Any) -> Schedule:
        settings = self.recipe.fit.model_dump(exclude={"dropout", "choose_by", "start_share"}) | changes
        return Schedule(**settings, seed=self.recipe.seed)

    def _classification(self, examples: Sequence[Example]) -> Classification:
        recipe, labels = self.recipe, self.material.labels
        teacher, share = None, 0.0
        if recipe.teacher is not None and self._teacher_file is not None:
            teacher, share = load_teacher(self._teacher_file, labels), recipe.teacher.share
            known = sum(each.cve_id in teacher.row for each in examples)
            self.report(f"the teacher knows {known:,} of the {len(examples):,} examples")
        taught = self._taught(examples, teacher)
        if recipe.teacher is not None and recipe.teacher.unlabelled_alone:
            examples = []
            if not taught:
                raise InputError(
                    f"{recipe.name}: the teacher knows none of the descriptions without a label, and nothing else is learnt",
                    fix="give another --teacher, or check unlabelled_since",
                )
        targets = build_targets(examples, labels, self.catalogue, recipe.weights, teacher, share)
        if teacher is not None and taught:
            targets = np.concatenate([targets, teacher.probabilities[[teacher.row[each.cve_id] for each in taught]]])
        settings = recipe.targets
        relatives = relatives_matrix(labels, self.catalogue, settings.relatives) if settings.hierarchy_share else None
        adjustment = (settings.logit_adjustment * log_prior(targets)).astype(np.float32)
        learnt: list[Example | Description] = [*examples, *taught]
        return Classification(
            tokenize_texts(self.tokens.tokenizer, [each.text for each in learnt]),
            soften(targets, settings, relatives),
            example_weights([each.day for each in learnt], recipe.weights),
            class_weights(targets, settings.class_weight_power),
            adjustment,
            self.tokens.pad_id,
        )

    def _taught(self, examples: Sequence[Example], teacher: TeacherProbabilities | None) -> list[Description]:
        """Return the descriptions without a label that the recipe wants and the teacher knows."""
        since = self.recipe.teacher.unlabelled_since if self.recipe.teacher is not None else None
        if teacher is None or since is None:
            return []
        own = {each.cve_id for each in examples}
        taught: list[Description] = [
            each
            for each in self.descriptions
            if not each.labelled and each.day >= since and each.cve_id in teacher.row and each.cve_id not in own
        ]
        self.report(f"{len(taught):,} descriptions without a label are learnt from the teacher alone")
        return taught

    def _evaluation(self) -> Evaluate:
        material, choose_by = self.material, self.recipe.fit.choose_by
        assigned = [each.labels for each in material.development]
        hits = hit_matrix(material.labels, assigned)

        def evaluate(network: torch.nn.ModuleDict) -> tuple[float, dict[str, Any]]:
            scores = self.scores(network, self.tokens.development)
            measured = split_scores(scores, assigned, material.labels)
            return (-mean_loss(scores, hits) if choose_by == "loss" else float(measured[choose_by])), measured

        return evaluate


def score_texts(network: torch.nn.ModuleDict, texts: TokenizedTexts, pad_id: int, device: Device) -> Floats:
    """Return the logits of texts, dropout off: float32, shape (n, K)."""
    import torch

    network.to(device.device).eval()
    head: Any = network["head"]
    scores = np.zeros((len(texts.ids), head.out_features), dtype=np.float32)
    size = _SCORED_AT_ONCE if device.device.type == "cpu" else _ON_A_GPU
    with torch.inference_mode(), device.autocast():
        for rows in sorted_batches(texts.lengths, size):
            scores[rows] = logits_of(network, texts, rows, pad_id, device.device).cpu().numpy()
    return scores


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


def _teacher_file(recipe: EncoderRecipe, data: Path, given: Path | None) -> Path | None:
    if recipe.teacher is None:
        if given is not None:
            raise InputError(f"{recipe.name}: the recipe has no 'teacher'", fix="add it to a copy, or leave --teacher out")
        return None
    if given is not None:
        return given
    if recipe.teacher.path is None:
        raise InputError(
            f"{recipe.name}: the recipe learns from a teacher, and none is given",
            fix="--teacher FILE; see `ctiforge train teacher`",
        )
    return data / recipe.teacher.path


def _provenance(recipe: EncoderRecipe, folder: Path, teacher: Path | None) -> list[dict[str, str]]:
    entries = [{"path": s.path, "licence": s.licence, "use": "train"} for s in [*recipe.sources, *recipe.instructions]]
    if recipe.pretraining is not None:
        entries += [{"path": s.path, "licence": s.licence, "use": "pretraining"} for s in recipe.pretraining.sources]
    entries += [{"path": e.path, "use": "left out of training"} for e in recipe.exclude]
    for entry in entries:
        entry["sha256"] = _digest(folder / entry["path"])
    if teacher is not None:
        entries.append({"path": teacher.name, "use": "soft targets of a teacher", "sha256": _digest(teacher)})
    return entries


def _digest(file: Path) -> str:
    if not file.is_file():
        raise InputError(f"{file}: no such file, but the recipe names it", fix="--data DIR is the folder that holds it")
    return file_sha256(file)


def _fingerprint(
    recipe: EncoderRecipe, provenance: list[dict[str, str]], base: str, catalogue: CweCatalogue, fitted_on: tuple[str, str]
) -> str:
    """Return the SHA-256 of all that the weights depend on."""
    settings = recipe.model_dump(mode="json", exclude={"description", "target_precision", "base_licence"})
    words = [_FORMAT, settings, provenance, base, catalogue.digest, *fitted_on]
    return sha256(json.dumps(words, sort_keys=True).encode())
