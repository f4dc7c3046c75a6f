"""What a step holds, found without numbers: the same bytes as of the step with numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ctiforge.models.adapters import adapted_layers
from ctiforge.models.tiny_random import write_tiny_random

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

TARGETS = adapted_layers(["q_proj", "o_proj", "down_proj"])
BATCH, TOKENS, KEPT = 3, 40, 5


def real_peak(folder: Path, *, checkpointing: bool) -> int:
    """Take the step with numbers and count."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    from ctiforge.train.step_memory import LiveBytes

    config = AutoConfig.from_pretrained(folder).get_text_config()
    base = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model: Any = get_peft_model(base, LoraConfig(r=4, target_modules=TARGETS, task_type="CAUSAL_LM"))
    if checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable()
    model.train()
    counted = LiveBytes()
    for weight in model.parameters():
        counted.add(weight)
        if weight.requires_grad:
            weight.grad = torch.zeros_like(weight)
            counted.add(weight.grad)
    with counted:
        ids = torch.zeros((BATCH, TOKENS), dtype=torch.long)
        mask = torch.ones_like(ids)
        mask[0, -1] = 0  # a batch with padding, as the planner assumes: without any, transformers leaves the mask out
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=KEPT).logits.flatten(0, 1).float()
        torch.nn.functional.cross_entropy(logits, torch.zeros(BATCH * KEPT, dtype=torch.long)).backward()
    return counted.peak


@pytest.mark.parametrize("family", ["gemma3", "gemma4", "qwen3"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_peak_is_that_of_the_real_step(family: Any, checkpointing: bool, tmp_path: Path) -> None:
    from transformers import AutoConfig

    from ctiforge.train.step_memory import trace_step

    folder = write_tiny_random(tmp_path / family, family)
    traced = trace_step(
        AutoConfig.from_pretrained(folder).get_text_config(),
        rank=4,
        targets=TARGETS,
        tokens=TOKENS,
        batch=BATCH,
        precision="fp32",
        completion_tokens=KEPT,
        checkpointing=checkpointing,
    )
    assert traced.peak == pytest.approx(real_peak(folder, checkpointing=checkpointing), rel=0.02)


def test_what_autograd_keeps_is_counted_once_and_let_go() -> None:
    from ctiforge.train.step_memory import LiveBytes

    counted = LiveBytes()
    with counted:
        first = torch.zeros(1000)
        view = first.view(10, 100)
        second = first + 1
        assert counted.now == 8000
        del first, view, second
        assert (counted.now, counted.peak) == (0, 8000)


def test_training_takes_less_where_activations_are_computed_again() -> None:
    from ctiforge.models.memory_plan import load_shape
    from ctiforge.train.lora_memory import plan_training

    shape = load_shape("Qwen/Qwen3-4B-Instruct-2507")
    kept, again = (
        plan_training(
            shape,
            rank=64,
            targets=["q_proj", "down_proj"],
            tokens=4096,
            batch=2,
            precision="bf16",
            completion_tokens=100,
            checkpointing=each,
        )
        for each in (False, True)
    )
    assert again.activations < kept.activations / 5
    assert kept.trainable == 36 * 64 * ((2560 + 4096) + (9728 + 2560))
