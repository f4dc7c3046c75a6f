"""Before a weight is loaded: what the fine-tuning will need, and whether that is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ctiforge.core.errors import ModelError
from ctiforge.models.adapters import adapted_layers
from ctiforge.models.memory_plan import Shape, available_memory, load_shape, text_config
from ctiforge.train.lora_recipe import LoraRecipe
from ctiforge.train.step_memory import trace_step

__all__ = ["Training", "check_memory", "plan_recipe", "plan_training"]

_COMPLETION_SHARE = 8
"""Of an example's tokens, one in so many is taken to be of the completion."""
_RUNTIME = 0.5e9
"""Bytes that a process with torch takes without a tensor."""
_HELD = MappingProxyType({("gpu", False): 1.1, ("gpu", True): 1.1, ("cpu", False): 2.2, ("cpu", True): 6.2})
"""What an allocator holds for a byte of activations, by whether they are computed again. On a GPU blocks are rounded up. On a
CPU glibc before 2.38 leaves holes behind aligned blocks: the step itself needs as little as on a GPU, but the process keeps
more than twice as much, and recomputing leaves holes as large as what it saves is small."""


@dataclass(frozen=True, slots=True)
class Training:
    """Bytes to fine-tune a model with LoRA."""

    trainable: int
    weights: int
    adapter: int
    activations: int
    logits: int
    total: int
    checkpointing: bool


def plan_training(
    shape: Shape,
    *,
    rank: int,
    targets: Sequence[str],
    tokens: int,
    batch: int,
    precision: Literal["bf16", "fp32"],
    completion_tokens: int,
    checkpointing: bool = False,
    device: Literal["cpu", "gpu"] = "gpu",
) -> Training:
    """Return the bytes of a LoRA fine-tuning step.

    Args:
        targets: names of the layers with an adapter.
        tokens: of an example, padding included; `batch` of them are computed at once.
        completion_tokens: of an example, for which the head is computed.
        checkpointing: whether activations within a layer are computed again when they are needed.
    """
    traced = trace_step(
        text_config(shape.settings),
        rank=rank,
        targets=adapted_layers(targets),
        tokens=tokens,
        batch=batch,
        precision=precision,
        completion_tokens=completion_tokens,
        checkpointing=checkpointing,
    )
    number = 2 if precision == "bf16" else 4
    weights = shape.parameters.total * number
    adapter = 16 * traced.trainable  # fp32: weight, gradient, two moments
    logits = batch * completion_tokens * shape.vocabulary * (number + 3 * 4)
    held = _HELD[device, checkpointing] * (traced.peak - weights - 8 * traced.trainable)
    activations = max(int(held) - logits, 0)
    total = int(weights + adapter + activations + logits + _RUNTIME)
    return Training(traced.trainable, weights, adapter, activations, logits, total, checkpointing)


def plan_recipe(shape: Shape, recipe: LoraRecipe, *, checkpointing: bool, device: str) -> Training:
    """Return what a step of a recipe needs on a device when every example is as long as allowed."""
    return plan_training(
        shape,
        rank=recipe.lora.rank,
        targets=recipe.lora.targets,
        tokens=recipe.batches.max_tokens,
        batch=recipe.batches.size,
        precision=recipe.precision,
        completion_tokens=max(recipe.batches.max_tokens // _COMPLETION_SHARE, 1),
        checkpointing=checkpointing,
        device="cpu" if device.startswith("cpu") else "gpu",
    )


def check_memory(folder: str, recipe: LoraRecipe, device: str, report: Callable[[str], None]) -> bool:
    """Say what a step needs when every example is as long as allowed; return whether activations are computed again.

    Raises:
        ModelError: not even that would fit.
    """
    shape = load_shape(folder)

    free = available_memory(device)
    chosen = plan_recipe(shape, recipe, checkpointing=recipe.activation_checkpointing is True, device=device)
    if recipe.activation_checkpointing == "auto" and free is not None and chosen.total > free:
        chosen = plan_recipe(shape, recipe, checkpointing=True, device=device)
    how = " with activations computed again" if chosen.checkpointing else ""
    there = "" if free is None else f" of {free / 1e9:.1f} GB that are free"
    report(f"memory: {chosen.total / 1e9:.1f} GB at most{there}{how}; {chosen.trainable:,} weights are trained")
    if free is not None and chosen.total > free:
        again = "" if chosen.checkpointing else "set activation_checkpointing: true, "
        raise ModelError(
            f"{folder}: a step needs {chosen.total / 1e9:.1f} GB (weights {chosen.weights / 1e9:.1f}, activations "
            f"{chosen.activations / 1e9:.1f}, logits {chosen.logits / 1e9:.1f}), and {free / 1e9:.1f} GB are free",
            fix=f"in a copy of the recipe, {again}halve batches.size and double accumulation, or lower batches.max_tokens",
        )
    return chosen.checkpointing
