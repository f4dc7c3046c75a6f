"""What the factory's own ways of computing save, and how well its memory planner foretells; results/factory.json.

.venv/bin/python benchmarks/factory.py --corpus runs/card-2021 [--base FOLDER] [--only step,memory,labels] [--device cuda]
                                       [--adapter FOLDER --recipe NAME --items 200 --batch 8]

step     a training step of ours and of TRL's SFTTrainer as it is, on the same examples and model, in turn
memory   the planner's figure for a step and the peak that a process really had
labels   scoring all labels against generating the protocol's answer, same prompts and model, in turn
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe_machine

from ctiforge.core.files import write_json
from ctiforge.models.gemma import gemma_folder
from ctiforge.models.memory_plan import load_shape
from ctiforge.train.chat_examples import TurnEncoder, encode_examples, last_line
from ctiforge.train.lora_base import add_adapter, load_base
from ctiforge.train.lora_corpus import load_lora_corpus
from ctiforge.train.lora_memory import plan_training
from ctiforge.train.lora_recipe import LoraRecipe, load_lora_recipe
from ctiforge.train.lora_trainer import CompletionTrainer, GroupCollator, rows

RESULTS = Path(__file__).parent / "results" / "factory.json"
PARTS = ("step", "memory", "labels")
_WORDING = 60
_RANDOM: dict[str, dict[str, Any]] = {
    "Qwen3, 0.2 billion random weights": {
        "model_type": "qwen3", "vocab_size": 50_000, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 12,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
    },
    "Llama, 0.1 billion random weights": {
        "model_type": "llama", "vocab_size": 32_000, "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12,
        "num_attention_heads": 12, "num_key_value_heads": 12, "max_position_embeddings": 4096, "tie_word_embeddings": True,
    },
}  # fmt: skip
_STEPS = (
    ("Gemma 3 270M", 1, 128, False), ("Gemma 3 270M", 4, 256, False), ("Gemma 3 270M", 8, 256, False),
    ("Gemma 3 270M", 8, 256, True), ("Qwen3, 0.2 billion random weights", 4, 256, False),
    ("Qwen3, 0.2 billion random weights", 8, 384, False), ("Qwen3, 0.2 billion random weights", 8, 256, True),
    ("Llama, 0.1 billion random weights", 6, 320, False), ("Llama, 0.1 billion random weights", 6, 320, True),
    ("Llama, 0.1 billion random weights", 2, 512, False),
)  # fmt: skip


def load(base: Path, corpus: Path, recipe: LoraRecipe, count: int, device: str = "cpu") -> tuple[Any, Any, list[Any]]:
    """Return a model with an adapter, its tokenizer and examples that are as long as each other."""
    loaded = load_base(base, recipe, device)
    torch.manual_seed(recipe.seed)
    model = add_adapter(loaded.model, recipe)
    material = load_lora_corpus(corpus, recipe)
    encoder = TurnEncoder(loaded.tokenizer, str(base))
    records = [row for row in material.train if row["kind"] == "rcm"][: 50 * count]
    encoded = encode_examples(records, encoder, recipe.batches.max_tokens).examples
    middle = sorted(encoded, key=lambda each: len(each.input_ids))[len(encoded) // 2 :]
    return model, loaded.tokenizer, middle[:count]


def measure_step(base: Path, corpus: Path, device: str, size: int = 4, repeats: int = 5) -> dict[str, Any]:
    """Time training steps of both trainers in turn, with completions as the corpus has them and with the answer alone."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer  # type: ignore[attr-defined]

    found: dict[str, Any] = {}
    for completions in ("whole", "last-line"):
        recipe = load_lora_recipe("gemma3-270m").model_copy(update={"completions": completions})
        model, tokenizer, examples = load(base, corpus, recipe, size, device)
        with tempfile.TemporaryDirectory() as folder:
            settings = SFTConfig(
                output_dir=folder,
                use_cpu=device == "cpu",
                report_to="none",
                disable_tqdm=True,
                per_device_train_batch_size=size,
                max_length=None,
                gradient_checkpointing=False,
                bf16=False,
                dataset_kwargs={"skip_prepare_dataset": True},
            )
            data = Dataset.from_dict(rows(examples))
            batch = GroupCollator(tokenizer.pad_token_id, packing=False)([dict(each) for each in data])
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            common = {"model": model, "args": settings, "train_dataset": data, "processing_class": tokenizer}
            trainers = {"plain": SFTTrainer(**common), "ours": CompletionTrainer(**common)}
        model.eval()  # no dropout: the losses must be equal
        losses: dict[str, list[float]] = {name: [] for name in trainers}
        seconds: dict[str, list[float]] = {name: [] for name in trainers}
        for _ in range(repeats):
            name: str
            trainer: Any
            for name, trainer in trainers.items():
                model.zero_grad()
                began = time.perf_counter()
                loss = trainer.compute_loss(model, dict(batch))
                loss.backward()
                if device != "cpu":
                    torch.cuda.synchronize()
                seconds[name].append(time.perf_counter() - began)
                losses[name].append(float(loss.detach()))
        tokens = batch["input_ids"].numel()
        found[completions] = {
            "examples": size,
            "tokens": tokens,
            "completion_tokens": int((batch["labels"] != -100).sum()),
            "tokens_per_second": {name: round(tokens / statistics.median(each[1:]), 1) for name, each in seconds.items()},
            "ratio": round(statistics.median(seconds["plain"][1:]) / statistics.median(seconds["ours"][1:]), 2),
            "largest_relative_loss_difference": max(
                abs(a - b) / abs(b) for a, b in zip(losses["ours"], losses["plain"], strict=True)
            ),
            "repeats": repeats,
        }
    return found


def measure_memory(base: Path, corpus: Path) -> list[dict[str, Any]]:
    """Compare the planner with the peak of processes that take three steps of a given shape.

    What a step's tensors take is counted, what the allocator adds was fitted on these steps.
    """
    from transformers import AutoConfig

    found = []
    as_users_have_it = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    with tempfile.TemporaryDirectory() as scratch:
        for name, size, tokens, checkpointing in _STEPS:
            place = Path(scratch) / name if name in _RANDOM else base
            if name in _RANDOM:
                kind: Any = AutoConfig
                kind.for_model(**_RANDOM[name]).save_pretrained(place)
            given = json.dumps([str(place), str(corpus), size, tokens, checkpointing])
            done = subprocess.run(
                [sys.executable, __file__, "--child", given], check=True, capture_output=True, text=True, env=as_users_have_it
            )
            measured = json.loads(done.stdout.strip().splitlines()[-1])
            recipe = load_lora_recipe("gemma3-270m")
            planned = plan_training(
                load_shape(str(place)),
                rank=recipe.lora.rank,
                targets=recipe.lora.targets,
                tokens=tokens,
                batch=size,
                precision=recipe.precision,
                completion_tokens=measured["completion_tokens"],
                checkpointing=checkpointing,
                device="cpu",
            )
            found.append({
                "model": name,
                "examples": size,
                "tokens": tokens,
                "checkpointing": checkpointing,
                "planned": planned.total,
                "measured": measured["peak"],
                "planned_over_measured": round(planned.total / measured["peak"], 3),
            })  # fmt: skip
            print(json.dumps(found[-1]), file=sys.stderr)
    return found


def child(base: str, corpus: str, size: int, tokens: int, checkpointing: bool) -> None:
    """Take three steps and print the peak of this process."""
    recipe = load_lora_recipe("gemma3-270m")
    if any(Path(base).glob("*.safetensors")):
        model, _, _ = load(Path(base), Path(corpus), recipe, 1)
    else:
        import transformers

        kind: Any = transformers.AutoModelForCausalLM
        model = add_adapter(kind.from_config(transformers.AutoConfig.from_pretrained(base)), recipe)
    if checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable()
    model.train()
    completion = 8
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad])
    from ctiforge.train.lora_trainer import completion_loss

    for _ in range(3):
        ids = torch.randint(10, 1000, (size, tokens))
        labels = ids.clone()
        labels[:, :-completion] = -100
        summed, count, _ = completion_loss(model, {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)})
        (summed / count).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    status = Path("/proc/self/status").read_text("ascii")
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
    print(json.dumps({"peak": peak, "completion_tokens": completion}))


def measure_labels(
    base: Path, adapter: Path | None, corpus: Path, recipe_name: str, device: str, count: int, batch: int
) -> dict[str, Any]:
    """Answer development records both ways, in turn: all labels at once, and by generating up to the protocol's 512 tokens."""
    from ctiforge.core.messages import ChatMessage
    from ctiforge.models.generation import GenerationRequest
    from ctiforge.models.transformers_batch import LoadedModel, answer_batch
    from ctiforge.train.lora_labels import corpus_labels

    recipe = load_lora_recipe(recipe_name)
    material = load_lora_corpus(corpus, recipe)
    labels = tuple(corpus_labels(material))
    known = [row for row in material.development if row["kind"] == "rcm" and last_line(row["completion"]) in labels]
    commonest = Counter(row["prompt"][:_WORDING] for row in known).most_common(1)[0][0]
    held = [row for row in known if row["prompt"].startswith(commonest)][-count:]  # one wording, as a benchmark has
    model = LoadedModel.load(base, adapter, dtype="auto", device=device)
    tokenizer = load_base(base, recipe, "cpu").tokenizer
    model.chat_template = model.tokenizer.chat_template = tokenizer.chat_template
    model.end_tokens = tuple({*model.end_tokens, *TurnEncoder(tokenizer, str(base)).ending[-1:]})
    right = {"labels": 0, "generated": 0}
    seconds = {"labels": 0.0, "generated": 0.0}
    tokens = 0
    for start in range(0, len(held), batch):
        some = held[start : start + batch]
        for name in right:
            choices = labels if name == "labels" else ()
            asked = [
                GenerationRequest(messages=(ChatMessage("user", row["prompt"]),), max_tokens=512, choices=choices)
                for row in some
            ]
            began = time.perf_counter()
            replies = answer_batch(model, asked)
            seconds[name] += time.perf_counter() - began
            right[name] += sum(
                last_line(reply.text) == last_line(row["completion"]) for reply, row in zip(replies, some, strict=True)
            )
            tokens += sum(reply.completion_tokens or 0 for reply in replies) if name == "generated" else 0
    return {
        "recipe": recipe_name,
        "device": torch.cuda.get_device_name() if device != "cpu" else "cpu",
        "batch": batch,
        "n": len(held),
        "labels": len(labels),
        "accuracy": {name: round(value / len(held), 4) for name, value in right.items()},
        "items_per_second": {name: round(len(held) / value, 3) for name, value in seconds.items()},
        "ratio": round(seconds["generated"] / seconds["labels"], 2),
        "generated_tokens_an_item": round(tokens / len(held), 1),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="folder that `ctiforge corpus build` wrote")
    parser.add_argument("--base", type=Path, help="folder of the base; Gemma 3 270M unless given")
    parser.add_argument("--adapter", type=Path, help="adapter for the part labels")
    parser.add_argument("--recipe", default="gemma3-270m", help="that the adapter was trained by, for the part labels")
    parser.add_argument("--items", type=int, default=200, help="for the part labels")
    parser.add_argument("--batch", type=int, default=8, help="prompts at once, for the part labels")
    parser.add_argument("--device", default="cpu", help="for the parts step and labels")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to add to")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(*json.loads(options.child))
        return
    base = options.base or gemma_folder()
    results = json.loads(options.results.read_text("utf-8")) if options.results.is_file() else {}
    wanted = options.only.split(",")
    if "step" in wanted:
        found = measure_step(base, options.corpus, options.device) | {"machine": describe_machine()}
        results["step" if options.device == "cpu" else "step_gpu"] = found | _gpu(options.device)
    if "memory" in wanted:
        results["memory"] = {"steps": measure_memory(base, options.corpus), "machine": describe_machine()}
    if "labels" in wanted:
        found = measure_labels(
            base, options.adapter, options.corpus, options.recipe, options.device, options.items, options.batch
        )
        results.setdefault("labels", {})[f"{options.recipe} on {options.device}"] = found | {"machine": describe_machine()}
    write_json(options.results, results)
    print(json.dumps({name: part for name, part in results.items() if name.partition("_")[0] in wanted}, indent=2))


def _gpu(device: str) -> dict[str, str]:
    return {"gpu": torch.cuda.get_device_name()} if device != "cpu" else {}


if __name__ == "__main__":
    np.random.seed(0)
    main()
