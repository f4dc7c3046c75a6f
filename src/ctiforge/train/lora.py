"""From a corpus and a base model to a LoRA adapter, in stages that go on after a kill as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from datasets import Dataset
from trl import SFTConfig  # type: ignore[attr-defined]

from ctiforge import __version__
from ctiforge.core.errors import InputError, ModelError, SettingError
from ctiforge.core.files import file_sha256, sha256, write_json
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.models.adapters import attach_adapter
from ctiforge.train.chat_examples import EncodedExamples, TurnEncoder, encode_examples
from ctiforge.train.lora_base import add_adapter, base_folder, check_base, explain_memory, load_base
from ctiforge.train.lora_corpus import LoraCorpus, kinds_of, load_lora_corpus
from ctiforge.train.lora_labels import measure_labels
from ctiforge.train.lora_memory import check_memory
from ctiforge.train.lora_recipe import LoraRecipe, Stage
from ctiforge.train.lora_trainer import CompletionTrainer, GroupCollator, example_order, last_checkpoint, rows
from ctiforge.train.lora_watch import Watch

__all__ = ["MadeAdapter", "run_train_lora"]

_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers")
_HOW_ONLY = frozenset({"name", "description", "evaluation", "checkpoint_steps", "device", "activation_checkpointing"})
"""Settings that do not change what is learnt."""


@dataclass(frozen=True, slots=True)
class MadeAdapter:
    """A finished fine-tuning.

    Attributes:
        folder: of the adapter.
        digest: SHA-256 of its weights.
        seconds: spent fitting, over all runs and stages.
    """

    folder: Path
    digest: str
    examples: int
    seconds: float
    evaluation_loss: float | None


def run_train_lora(
    recipe: LoraRecipe,
    base: str | os.PathLike[str],
    corpus: Path,
    out: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    restart: bool = False,
    report_to: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> MadeAdapter:
    """Fine-tune a base by a recipe; the same call goes on from the last checkpoint of an earlier one.

    On a CPU with the same number of threads the adapter is the same to the bit, however often it was interrupted.

    Args:
        base: folder of the base model, or one of `ctiforge.train.lora_base.BASE_MADE_HERE`.
        corpus: folder that `ctiforge corpus build` wrote.
        out: ``adapter`` and ``manifest.json`` are the result, ``stages`` what led to it.
        device: ``auto``, ``cpu``, ``cuda`` (CUDA or ROCm).
        report_to: ``tensorboard``, ``wandb``.

    Raises:
        ModelError: the base cannot be used, memory does not suffice, or the loss is not a number.
        InputError: the corpus or a checkpoint cannot be used, or the disk is full.
        SettingError: there is no such device.
    """
    fitted_on = None if restart else _fitted_on(recipe, out)
    chosen = _choose_device(device, recipe, finished=fitted_on is not None)
    if threads is not None:
        torch.set_num_threads(threads)
    folder = base_folder(base, out)
    check_base(folder, recipe)
    material = load_lora_corpus(corpus, recipe)
    checkpointing = False if fitted_on else check_memory(str(folder), recipe, chosen, report)
    # What is finished is only read: a CPU does that in fp32.
    reading = recipe if fitted_on is None or chosen != "cpu" else recipe.model_copy(update={"precision": "fp32"})
    loaded = load_base(folder, reading, "cpu")
    fitted_on = fitted_on or chosen.partition(":")[0]
    fingerprint = _fingerprint(recipe, loaded.digest, material, fitted_on)
    _prepare(out, fingerprint, fitted_on, restart=restart)
    encoder = TurnEncoder(loaded.tokenizer, str(folder))
    try:
        stages = _Stages(
            recipe,
            loaded.model.to(chosen),
            loaded.tokenizer,
            encoder,
            material,
            out,
            report_to,
            report,
            checkpointing=checkpointing,
        )
        done = stages.run()
    except (RuntimeError, MemoryError) as error:
        raise explain_memory(error) or error from error
    adapter = out / "adapter"
    shutil.rmtree(adapter, ignore_errors=True)
    shutil.copytree(done[-1].folder, adapter)
    if recipe.base.chat_template != "own":
        (adapter / "chat_template.jinja").write_text(loaded.tokenizer.chat_template, "utf-8")
    digest = file_sha256(adapter / "adapter_model.safetensors")
    labels: dict[str, Any] = {"labels": [], "calibration": None, "threshold": None, "label_scoring": None}
    if recipe.evaluation.labels and any("rcm" in stage.limits for stage in recipe.stages):
        labels = _measured_once(
            out / "labels.json",
            digest,
            lambda: measure_labels(
                attach_adapter(stages.model, adapter),
                loaded.tokenizer,
                encoder,
                material,
                recipe.evaluation.labels,
                report=report,
            ),
        )
    seconds = sum(each.words["seconds"] for each in done)
    _write_manifest(out, recipe, folder, loaded.digest, material, done, digest, fingerprint, labels)
    return MadeAdapter(
        adapter, digest, sum(each.words["examples"] for each in done), seconds, done[-1].words["evaluation"].get("eval_loss")
    )


@dataclass(frozen=True, slots=True)
class _Done:
    folder: Path
    words: dict[str, Any]


class _Stages:
    """The fits of a recipe, one after the other."""

    def __init__(
        self,
        recipe: LoraRecipe,
        model: Any,
        tokenizer: Any,
        encoder: TurnEncoder,
        corpus: LoraCorpus,
        out: Path,
        report_to: Sequence[str],
        report: Callable[[str], None],
        *,
        checkpointing: bool,
    ) -> None:
        self._checkpointing = checkpointing
        self._recipe = recipe
        self.model = model
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._corpus = corpus
        self._out = out
        self._report_to = list(report_to)
        self._report = report

    def run(self) -> list[_Done]:
        """Run what is not done yet, and return all stages."""
        done: list[_Done] = []
        for number, stage in enumerate(self._recipe.stages, 1):
            folder = self._out / "stages" / f"{number:02d}-{stage.name}"
            words = folder / "done.json"
            if words.is_file():
                self._report(f"{stage.name}: done before, skipped")
            else:
                self._fit(stage, folder, done[-1].folder if done else None)
            done.append(_Done(folder / "adapter", orjson.loads(words.read_bytes())))
        return done

    def _fit(self, stage: Stage, folder: Path, before: Path | None) -> None:
        recipe, batches = self._recipe, self._recipe.batches
        folder.mkdir(parents=True, exist_ok=True)
        chosen = self._corpus.stage_rows(stage, recipe.seed)
        encoded = self._encode(chosen, stage)
        lengths = [len(each.input_ids) for each in encoded.examples]
        order = example_order(lengths, stage.epochs, batches.size, recipe.seed, by_length=batches.group_by_length)
        watched = self._corpus.development_rows(stage, recipe.evaluation.examples)
        held = encode_examples(watched, self._encoder, batches.max_tokens).examples
        torch.manual_seed(recipe.seed)
        model = attach_adapter(self.model, before, trainable=True) if before else add_adapter(self.model, recipe)
        checkpoint = last_checkpoint(folder / "checkpoints")
        done_steps = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
        watch = Watch(
            folder,
            stage.name,
            self._report,
            done_steps=done_steps,
            tokenizer=self._tokenizer,
            prompts=[
                (row["id"], self._encoder.prompt(row["prompt"]), row["completion"])
                for row in watched[: recipe.evaluation.samples]
            ],
            sample_tokens=recipe.evaluation.sample_tokens,
            end_token=self._encoder.ending[-1],
        )
        self._report(
            f"{stage.name}: {len(lengths):,} examples, {sum(lengths):,} tokens, {stage.epochs} epoch(s)"
            + (f", on from step {done_steps:,}" if checkpoint else "")
        )
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # libraries among themselves
            trainer = CompletionTrainer(
                model=model,
                args=self._settings(folder, with_evaluation=bool(held)),
                train_dataset=Dataset.from_dict(rows(encoded.examples)).select(order),
                eval_dataset=Dataset.from_dict(rows(held)) if held else None,
                processing_class=self._tokenizer,
                data_collator=GroupCollator(self._tokenizer.pad_token_id, packing=batches.packing),
                callbacks=[watch],
            )
            trainer.remove_callback(_printer())
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            scores = trainer.evaluate() if held else {}
        if not trainer.is_world_process_zero():
            return
        model.save_pretrained(folder / "adapter", safe_serialization=True)
        (folder / "adapter" / "README.md").unlink(missing_ok=True)
        words = {
            "stage": stage.model_dump(mode="json"),
            "examples": len(encoded.examples),
            "kinds": kinds_of(chosen),
            "changes": encoded.counts,
            "tokens": sum(lengths),
            "steps": trainer.state.global_step,
            "seconds": round(watch.seconds, 1),
            "evaluation": {name: value for name, value in scores.items() if name in ("eval_loss", "eval_token_accuracy")},
            "evaluation_examples": len(held),
            "sha256": file_sha256(folder / "adapter" / "adapter_model.safetensors"),
            "device": torch.cuda.get_device_name() if self.model.device.type == "cuda" else "cpu",
            "versions": {"ctiforge": __version__, **package_versions(_PACKAGES)},
        }
        write_json(folder / "done.json", words)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        self.model = model.unload()

    def _encode(self, chosen: Sequence[Any], stage: Stage) -> EncodedExamples:
        encoded = encode_examples(chosen, self._encoder, self._recipe.batches.max_tokens)
        if not encoded.examples:
            raise InputError(
                f"no example of stage {stage.name!r} fits into {self._recipe.batches.max_tokens} tokens",
                fix="raise batches.max_tokens in the recipe",
            )
        for reason, count in encoded.counts.items():
            self._report(f"{stage.name}: {count:,} of {len(chosen):,} records: {reason}")
        return encoded

    def _settings(self, folder: Path, *, with_evaluation: bool) -> SFTConfig:
        recipe = self._recipe
        return SFTConfig(
            output_dir=str(folder / "checkpoints"),
            per_device_train_batch_size=recipe.batches.size,
            per_device_eval_batch_size=recipe.batches.size,
            gradient_accumulation_steps=recipe.batches.accumulation,
            num_train_epochs=1,  # the order of the examples has the epochs
            learning_rate=recipe.optimization.learning_rate,
            lr_scheduler_type={"constant": "constant_with_warmup"}.get(
                recipe.optimization.schedule, recipe.optimization.schedule
            ),
            warmup_steps=recipe.optimization.warmup_ratio,
            weight_decay=recipe.optimization.weight_decay,
            max_grad_norm=recipe.optimization.max_gradient_norm,
            optim="adamw_torch",
            bf16=recipe.precision == "bf16",
            use_cpu=self.model.device.type == "cpu",
            gradient_checkpointing=self._checkpointing,
            logging_steps=5,
            logging_nan_inf_filter=False,
            save_steps=recipe.checkpoint_steps,
            save_total_limit=2,
            eval_strategy="steps" if with_evaluation else "no",
            eval_steps=recipe.evaluation.every_steps,
            prediction_loss_only=True,
            seed=recipe.seed,
            data_seed=recipe.seed,
            report_to=self._report_to or "none",
            disable_tqdm=True,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            dataloader_pin_memory=self.model.device.type != "cpu",
        )


def _printer() -> Any:
    from transformers import PrinterCallback

    return PrinterCallback


def _measured_once(file: Path, digest: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what was measured of an adapter before, or measure it now."""
    if file.is_file():
        words: dict[str, Any] = orjson.loads(file.read_bytes())
        if words.pop("adapter_sha256", None) == digest:
            return words
    found = measure()
    write_json(file, found | {"adapter_sha256": digest})
    return found


def _fitted_on(recipe: LoraRecipe, out: Path) -> str | None:
    """Return the kind of device that all stages are finished on, None where they are not: what a GPU machine has fitted can be
    finished on another."""
    file = out / "run.json"
    last = f"{len(recipe.stages):02d}-{recipe.stages[-1].name}"
    if not file.is_file() or not (out / "stages" / last / "done.json").is_file():
        return None
    words: dict[str, Any] = orjson.loads(file.read_bytes())
    return str(words["device"]) if "device" in words else None


def _choose_device(device: str, recipe: LoraRecipe, *, finished: bool) -> str:
    found = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = found if device == "auto" else device
    if recipe.device == "gpu" and not finished and not chosen.startswith("cuda"):
        raise SettingError(
            f"recipe {recipe.name!r} is for a GPU, and "
            + ("torch finds none (CUDA or ROCm)" if device == "auto" else f"--device is {device}"),
            fix="run it on a machine with one, or set device: any in a copy of the recipe; gemma3-270m is for a CPU",
        )
    try:
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise SettingError(f"device {chosen!r} cannot be used: {error}", fix="choose auto, cpu or cuda") from None
    return chosen


def _fingerprint(recipe: LoraRecipe, base: str, corpus: LoraCorpus, device: str) -> str:
    settings = {name: value for name, value in recipe.model_dump(mode="json").items() if name not in _HOW_ONLY}
    words = [settings, base, corpus.digests["train.jsonl"], device]
    return sha256(orjson.dumps(words, option=orjson.OPT_SORT_KEYS))


def _prepare(out: Path, fingerprint: str, device: str, *, restart: bool) -> None:
    """Make the folder of a run, or check that it is this run's."""
    file = out / "run.json"
    if restart:
        shutil.rmtree(out / "stages", ignore_errors=True)
        file.unlink(missing_ok=True)
    if file.is_file():
        if orjson.loads(file.read_bytes()).get("fingerprint") != fingerprint:
            raise InputError(
                f"{out} holds a run with another recipe, base, corpus or kind of device, so it cannot be continued",
                fix="name another --out, or start again with --restart",
            )
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(file, {"fingerprint": fingerprint, "device": device})
    except OSError as error:
        raise InputError(f"{out}: cannot write ({error.strerror})", fix="name a folder that can be written") from None


def _write_manifest(
    out: Path,
    recipe: LoraRecipe,
    folder: Path,
    base: str,
    corpus: LoraCorpus,
    done: Sequence[_Done],
    digest: str,
    fingerprint: str,
    labels: dict[str, Any],
) -> None:
    manifest = {
        "kind": "lora-adapter",
        "recipe": recipe.model_dump(mode="json"),
        "base": {"model": recipe.base.model, "folder": folder.name, "digest": base, "licence": recipe.base.licence},
        "corpus": {"folder": corpus.folder.name, "sha256": corpus.digests},
        "stages": [each.words for each in done],
        "adapter_sha256": digest,
        **labels,
        "device": done[-1].words["device"],
        "threads": torch.get_num_threads(),
        "fingerprint": fingerprint,
        "versions": done[-1].words["versions"],
        "git_revision": git_revision(),
    }
    try:
        write_json(out / "manifest.json", manifest)
    except OSError as error:
        raise ModelError(f"{out / 'manifest.json'}: cannot write ({error.strerror})", fix="make room") from None
