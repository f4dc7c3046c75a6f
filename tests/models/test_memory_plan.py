"""The planner: parameters as the models have them, the hardware table of a published card, and what a process really takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ctiforge.core.errors import ModelError
from ctiforge.models.memory_plan import load_shape, plan_serving
from ctiforge.models.tiny_random import write_tiny_random

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("family", ["gemma3", "gemma4", "qwen3"])
def test_parameters_and_cache_are_those_of_the_model(family: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = write_tiny_random(tmp_path / family, family)
    shape = load_shape(str(folder))
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert shape.parameters.total == sum(each.numel() for each in model.parameters())
    context = 40
    cache = model(torch.zeros((1, context), dtype=torch.long), use_cache=True).past_key_values
    kept = 0
    for layer in cache.layers:
        if layer.keys is not None:
            window = 16 if getattr(layer, "is_sliding", False) else context
            kept += 2 * layer.keys.shape[1] * layer.keys.shape[3] * min(window, context) * 4
    assert plan_serving(shape, context=context, quantization="fp32").cache == kept


def test_the_hardware_table_of_the_published_card() -> None:
    """Gemma4Defense-2B's card: 2.3 B effective of about 5 B, 9.3 GB on disk, 10 to 11 GB at 4,096 tokens; 8 B: 16, 17-18."""
    gemma = load_shape("google/gemma-4-E2B-it")
    assert round(gemma.parameters.effective / 1e9, 1) == 2.3
    assert round(gemma.parameters.total / 1e9) == 5
    served = plan_serving(gemma, context=4096, quantization="bf16")
    assert round(served.weights / 1e9, 1) == 9.3
    assert 10 <= served.total / 1e9 <= 11
    other = plan_serving(load_shape("fdtn-ai/Foundation-Sec-8B-Instruct"), context=4096, quantization="bf16")
    assert round(other.weights / 1e9) == 16
    assert 17 <= other.total / 1e9 <= 18


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such model"),
        ("{", "not JSON"),
        ("{}", "names no model_type"),
        ('{"model_type": "no-such"}', "cannot make"),
    ],
)
def test_what_is_no_model_is_said(content: str | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content, "utf-8")
        with pytest.raises(ModelError, match=words):
            load_shape(str(tmp_path))
    else:
        with pytest.raises(ModelError, match=words) as error:
            load_shape("google/gemma-4-E2B")
        assert "google/gemma-4-E2B-it" in str(error.value)


def test_a_folder_needs_no_weights(tmp_path: Path) -> None:
    folder = write_tiny_random(tmp_path / "tiny")
    (folder / "model.safetensors").unlink()
    assert json.loads((folder / "config.json").read_text("utf-8"))["vocab_size"] == load_shape(str(folder)).vocabulary
