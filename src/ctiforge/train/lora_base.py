"""The base of a fine-tuning: from a folder, checked against the recipe, with a chat template, and an adapter on it."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ctiforge.core.errors import CtiforgeError, MissingExtraError, ModelError, did_you_mean
from ctiforge.models.adapters import adapted_layers
from ctiforge.models.gemma import gemma_folder
from ctiforge.models.tiny_random import write_tiny_random
from ctiforge.models.transformers_local import check_model_folder, folder_digest
from ctiforge.train.lora_recipe import LoraRecipe

__all__ = [
    "BASE_MADE_HERE",
    "LoadedBase",
    "add_adapter",
    "base_folder",
    "check_base",
    "explain_memory",
    "load_base",
]

BASE_MADE_HERE = ("gemma3-270m", "tiny-random")
"""Names that stand for a base that needs no folder."""


@dataclass(slots=True)
class LoadedBase:
    """A model, its tokenizer with the chat template of the recipe, and the digest of the folder that they came from."""

    model: Any
    tokenizer: Any
    digest: str


def base_folder(base: str | os.PathLike[str], scratch: Path) -> Path:
    """Return the folder of a base: the one named, or that of a base made here (in the user's data folder, or in `scratch`).

    Raises:
        ModelError: there is no such folder; a name on a hub is not one.
    """
    name = os.fspath(base)
    if name == "gemma3-270m":
        return gemma_folder()
    if name == "tiny-random":
        folder = scratch / "tiny-random"
        return folder if (folder / "tokenizer.json").is_file() else write_tiny_random(folder)
    path = Path(name).expanduser()
    if not path.is_dir():
        hint = did_you_mean(name, BASE_MADE_HERE)
        raise ModelError(
            f"{name}: there is no such folder, and models are never downloaded",
            fix=hint or f"accept the model's terms on its hub, download it there, and give its folder; or {BASE_MADE_HERE[0]}",
        )
    return path


def check_base(folder: Path, recipe: LoraRecipe) -> dict[str, Any]:
    """Return config.json after checking that it is the base that the recipe is for, without loading a weight.

    Raises:
        ModelError: no model in the Hugging Face layout, weights in a form that can carry code, or another architecture.
    """
    check_model_folder(folder)
    file = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: {error}", fix="copy the file again") from None
    found = config.get("architectures") or ["(none named)"]
    if found[0] not in recipe.base.architectures:
        raise ModelError(
            f"{folder} holds a {found[0]}, but recipe {recipe.name!r} is for {recipe.base.model} "
            f"({' or '.join(recipe.base.architectures)})",
            fix="give the folder of that base, or change base.model and base.architectures in a copy of the recipe",
        )
    return config


def load_base(folder: Path, recipe: LoraRecipe, device: str) -> LoadedBase:
    """Load a checked base in the recipe's precision.

    Raises:
        ModelError: the files do not make a model, or not all of its weights are there.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as progress

    progress.disable_progress_bar()  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    kind: Any = AutoModelForCausalLM
    dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model, loading = kind.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation=recipe.attention,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    except ImportError as error:
        if recipe.attention == "flash_attention_2":
            raise MissingExtraError("flash-attn", "train") from error
        raise
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"transformers cannot load {folder}: {first}", fix="check that the folder is complete") from error
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} weights of a {type(model).__name__}, such as {missing[0]}: they would be random",
            fix="copy the folder again, or extract the text model first: ctiforge export text-only",
        )
    if recipe.base.chat_template != "own":
        template = resources.files("ctiforge.recipes") / "templates" / f"{recipe.base.chat_template}.jinja"
        tokenizer.chat_template = template.read_text("utf-8").rstrip("\n")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.use_cache = False
    return LoadedBase(model.to(device), tokenizer, folder_digest(folder))


def add_adapter(model: Any, recipe: LoraRecipe) -> Any:
    """Return the model with a fresh adapter: A drawn from torch's generator, B zero.

    Raises:
        ModelError: the recipe's targets match no layer.
    """
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,  # type: ignore[arg-type]
        lora_dropout=recipe.lora.dropout,
        target_modules=adapted_layers(recipe.lora.targets),
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # libraries among themselves
            return get_peft_model(model, settings)
    except ValueError as error:
        raise ModelError(f"no adapter can be put on this base: {error}", fix="change lora.targets in the recipe") from error


def explain_memory(error: BaseException) -> CtiforgeError | None:
    """Return what to change where an error says that memory did not suffice, else None."""
    text = str(error)
    if type(error).__name__ == "OutOfMemoryError" or "out of memory" in text or "can't allocate memory" in text:
        return ModelError(
            f"memory did not suffice: {text.partition(chr(10))[0]}",
            fix="halve batches.size and double batches.accumulation (the same steps), lower batches.max_tokens, or set "
            "activation_checkpointing: true; the same command then goes on if only these two changed",
        )
    return None
