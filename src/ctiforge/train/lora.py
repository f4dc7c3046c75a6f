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
from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256, write_json
from ctiforge.core.manifest import package_versions
from ctiforge.models.adapters import attach_adapter
from ctiforge.train.chat_examples import EncodedExamples, TurnEncoder, encode_examples
from ctiforge.train.lora_base import add_adapter, base_folder, check_base, explain_memory, load_base
from ctiforge.train.lora_corpus import LoraCorpus, kinds_of, load_lora_corpus
from ctiforge.train.lora_labels import measure_labels
from ctiforge.train.lora_memory import check_memory
from ctiforge.train.lora_recipe import LoraRecipe, Stage
from ctiforge.train.lora_run import (
    FinishedStage,
    choose_device,
    fitted_on,
    measured_once,
    prepare_folder,
    run_fingerprint,
    starting_adapter,
    write_manifest,
)
from ctiforge.train.lora_trainer import CompletionTrainer, GroupCollator, example_order, last_checkpoint, rows
from ctiforge.train.lora_watch import Watch

__all__ = ["MadeAdapter", "run_train_lora"]

_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers")


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
    adapter: Path | None = None,
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
        adapter: a LoRA adapter of the base that the first stage goes on from, with the recipe's rank, alpha and targets.
        out: ``adapter`` and ``manifest.json`` are the result, ``stages`` what led to it.
        device: ``auto``, ``cpu``, ``cuda`` (CUDA or ROCm).
        report_to: ``tensorboard``, ``wandb``.

    Raises:
        ModelError: the base or the adapter cannot be used, memory does not suffice, or the loss is not a number.
        InputError: the corpus or a checkpoint cannot be used, or the disk is full.
        SettingError: there is no such device.
    """
    before = None if restart else fitted_on(recipe, out)
    chosen = choose_device(device, recipe, finished=before is not None)
    if threads is not None:
        torch.set_num_threads(threads)
    folder = base_folder(base, out)
    check_base(folder, recipe)
    material = load_lora_corpus(corpus, recipe)
    checkpointing = False if before else check_memory(str(folder), recipe, chosen, report)
    # What is finished is only read: a CPU does that in fp32.
    reading = recipe if before is None or chosen != "cpu" else recipe.model_copy(update={"precision": "fp32"})
    loaded = load_base(folder, reading, "cpu")
    start = starting_adapter(adapter, recipe, loaded.digest) if adapter else None
    kind = before or chosen.partition(":")[0]
    fingerprint = run_fingerprint(recipe, loaded.digest, material, kind, start)
    prepare_folder(out, fingerprint, kind, restart=restart)
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
        done = stages.run(start.folder if start else None)
    except (RuntimeError, MemoryError) as error:
        raise explain_memory(error) or error from error
    result = out / "adapter"
    shutil.rmtree(result, ignore_errors=True)
    shutil.copytree(done[-1].folder, result)
    if recipe.base.chat_template != "own":
        (result / "chat_template.jinja").write_text(loaded.tokenizer.chat_template, "utf-8")
    digest = file_sha256(result / "adapter_model.safetensors")
    labels: dict[str, Any] = {"labels": [], "calibration": None, "threshold": None, "label_scoring": None}
    if recipe.evaluation.labels and any("rcm" in stage.limits for stage in recipe.stages):
        labels = measured_once(
            out / "labels.json",
            digest,
            lambda: measure_labels(
                attach_adapter(stages.model, result),
                loaded.tokenizer,
                encoder,
                material,
                recipe.evaluation.labels,
                report=report,
            ),
        )
    seconds = sum(each.words["seconds"] for each in done)
    write_manifest(out, recipe, folder, loaded.digest, material, done, digest, fingerprint, labels, start)
    return MadeAdapter(
        result, digest, sum(each.words["examples"] for each in done), seconds, done[-1].words["evaluation"].get("eval_loss")
    )


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

    def run(self, start: Path | None) -> list[FinishedStage]:
        """Run what is not done yet, the first stage from an adapter where one is given, and return all stages."""
        done: list[FinishedStage] = []
        for number, stage in enumerate(self._recipe.stages, 1):
            folder = self._out / "stages" / f"{number:02d}-{stage.name}"
            words = folder / "done.json"
            if words.is_file():
                self._report(f"{stage.name}: done before, skipped")
            else:
                self._fit(stage, folder, done[-1].folder if done else start)
            done.append(FinishedStage(folder / "adapter", orjson.loads(words.read_bytes())))
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
