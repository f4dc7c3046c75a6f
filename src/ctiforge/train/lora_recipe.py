"""The recipe of a LoRA fine-tuning: commented YAML in, checked settings out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from ctiforge.recipes.reading import StrictModel, bundled_recipes, load_recipe_file

__all__ = [
    "Base",
    "Batches",
    "Evaluation",
    "Lora",
    "LoraRecipe",
    "Optimization",
    "RecordKind",
    "Stage",
    "is_lora_recipe",
    "load_lora_recipe",
]

_Share = Annotated[float, Field(ge=0, lt=1)]
_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]
RecordKind = Literal["rcm", "qa"]
_Projection = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Base(StrictModel):
    """The model that is tuned. It is read from a folder that the user names; nothing is downloaded."""

    model: str
    """Its name on the hub, for the card and for messages; ``gemma3-270m`` and ``tiny-random`` are made here."""
    licence: str
    architectures: Annotated[list[str], Field(min_length=1)]
    """What ``architectures`` in its config.json may be: another base under the same name is refused."""
    chat_template: Literal["own", "gemma"] = "own"
    """``own``: the base's. ``gemma``: turns as Gemma 2 and 3 write them, for a base model without a template."""


class Lora(StrictModel):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) on linear layers of the language model, never of other towers."""

    rank: _Count
    alpha: _Positive
    dropout: _Share
    targets: Annotated[list[_Projection], Field(min_length=1)]


class Optimization(StrictModel):
    """AdamW with a linear warm-up."""

    learning_rate: _Positive
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: _Share
    """Of a stage's steps."""
    weight_decay: Annotated[float, Field(ge=0)]
    max_gradient_norm: _Positive = 1.0


class Batches(StrictModel):
    """What one step sees."""

    size: _Count
    """Examples that one device computes at once."""
    accumulation: _Count
    """Such groups that one step adds up."""
    max_tokens: Annotated[int, Field(ge=16)]
    """Of an example, prompt and completion. Longer prompts are shortened, longer completions left out, and both counted."""
    group_by_length: bool = False
    """Whether examples of a group have about the same length: less padding, and a fixed order all the same."""
    packing: bool = False
    """Whether a group is one row without padding, with attention kept within each example: exact, faster on a GPU."""


class Evaluation(StrictModel):
    """What is looked at on the development split while it trains."""

    every_steps: _Count
    examples: _Count
    """For the loss; the newest of them are taken."""
    samples: Annotated[int, Field(ge=0)] = 3
    """Completions that are generated and shown."""
    sample_tokens: _Count = 48
    labels: Annotated[int, Field(ge=0)] = 256
    """Records that the probabilities of labels are calibrated on when all is done; 0: the model will not rank labels."""


class Stage(StrictModel):
    """One fit with a schedule of its own; it begins with the adapter of the stage before."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    epochs: _Count
    limits: Annotated[dict[RecordKind, _Count | Literal["all"]], Field(min_length=1)]
    """Kinds of the corpus' records that it learns from, with how many at most, drawn by the seed."""


class LoraRecipe(StrictModel):
    """A whole recipe."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    description: str
    seed: int
    base: Base
    completions: Literal["whole", "last-line"] = "whole"
    """``last-line``: of records with evidence, only the answer itself is learnt."""
    lora: Lora
    optimization: Optimization
    batches: Batches
    precision: Literal["bf16", "fp32"]
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    activation_checkpointing: bool | Literal["auto"] = "auto"
    """``auto``: where the planner says that the activations do not fit without it."""
    device: Literal["any", "gpu"] = "any"
    """``gpu``: refuse to begin without one."""
    stages: Annotated[list[Stage], Field(min_length=1)]
    evaluation: Evaluation
    checkpoint_steps: _Count
    """Steps between two checkpoints."""

    @field_validator("stages")
    @classmethod
    def _check_names(cls, stages: list[Stage]) -> list[Stage]:
        names = [stage.name for stage in stages]
        if len(set(names)) < len(names):
            raise ValueError("two stages have the same name")
        return stages

    @field_validator("attention")
    @classmethod
    def _check_attention(cls, attention: str, info: ValidationInfo) -> str:
        base = info.data.get("base")
        if attention == "flash_attention_2" and base is not None and any("Gemma4" in name for name in base.architectures):
            raise ValueError("Gemma 4 has heads of 256 and 512, and FlashAttention-2 ends at 256: use sdpa")
        return attention


def load_lora_recipe(name_or_path: str | os.PathLike[str]) -> LoraRecipe:
    """Read a recipe by bundled name (with or without ``lora-``) or by path.

    Raises:
        RecipeError: unknown name, unreadable YAML, or faults in the settings - all of them in one message.
    """
    return load_recipe_file(name_or_path, "lora", LoraRecipe)


def is_lora_recipe(name_or_path: str) -> bool:
    """Say whether a bundled name, or a file, is a recipe for LoRA: only such a one has a line that begins with ``lora:``."""
    names = bundled_recipes("lora")
    if name_or_path in names or f"lora-{name_or_path}" in names:
        return True
    try:
        return "\nlora:" in "\n" + Path(name_or_path).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
