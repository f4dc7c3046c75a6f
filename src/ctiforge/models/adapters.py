"""LoRA adapters put on the base that they were made for, or refused: peft alone only warns where tensors do not fit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ctiforge.core.errors import ModelError

__all__ = ["adapted_layers", "attach_adapter"]


def adapted_layers(targets: Sequence[str]) -> str:
    """Return the regular expression of the layers that get an adapter: the language model's, in a multimodal model too.

    Bare names would match the vision and audio towers as well, whose layers PEFT cannot adapt in Gemma 4.
    """
    return rf"(?!.*(?:vision|audio|visual|image)).*layers\.\d+\.(?:self_attn|mlp)\.(?:{'|'.join(targets)})"


def attach_adapter(model: Any, folder: Path, *, trainable: bool = False) -> Any:
    """Return a model with the adapter of a folder on it.

    Raises:
        ModelError: the adapter is damaged, or has other layers or shapes than the model.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    try:
        with warnings.catch_warnings(action="ignore"):  # what they warn of is checked below
            adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable, local_files_only=True)
        with safe_open(folder / "adapter_model.safetensors", "pt") as stored:
            names = set(stored.keys())
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"{folder} is no adapter of this base: {first}", fix="give the base that it was trained on") from error
    odd = names ^ set(get_peft_model_state_dict(adapted))
    if odd:
        raise ModelError(
            f"{folder} is no adapter of this base: {len(odd)} tensors do not fit, such as {min(odd)}",
            fix="give the base that it was trained on",
        )
    return adapted
