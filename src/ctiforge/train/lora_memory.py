"""Before a weight is loaded: what the fine-tuning will need, and whether that is there."""

from __future__ import annotations

from collections.abc import Callable

from ctiforge.core.errors import ModelError
from ctiforge.models.memory_plan import Shape, Training, available_memory, load_shape, plan_training
from ctiforge.train.lora_recipe import LoraRecipe

__all__ = ["check_memory", "plan_recipe"]

_COMPLETION_SHARE = 8
"""Of an example's tokens, one in so many is taken to be of the completion."""


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
