"""Text-only extraction: the language model out of a multimodal checkpoint, with proof that it computes the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ctiforge.core.errors import ModelError
from ctiforge.core.files import write_json
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.export.merge import save_model
from ctiforge.export.model_folder import (
    Precision,
    last_logits,
    load_model,
    load_tokenizer,
    new_folder,
    probe_tokens,
    read_config,
    relative_difference,
)
from ctiforge.models.transformers_local import check_model_folder, folder_digest

__all__ = ["TEXT_CLASSES", "Extracted", "extract_adapter", "run_extract_text"]

TEXT_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "Gemma3ForConditionalGeneration": "Gemma3ForCausalLM",
        "Gemma4ForConditionalGeneration": "Gemma4ForCausalLM",
    }
)
"""Multimodal architectures, and the class of their language model alone."""

_TOLERANCE = 1e-5
_RANKING = ("format", "labels", "calibration", "threshold", "label_scoring")
"""What `ctiforge classify` needs of a merged model's manifest."""
_PREFIX = "model.language_model."


@dataclass(frozen=True, slots=True)
class Extracted:
    """A text model, what it left behind, and how far its logits are from those of the whole."""

    folder: Path
    digest: str
    difference: float
    parameters: int
    left_out: int


def run_extract_text(folder: Path, out: Path, *, precision: Precision = "bf16") -> Extracted:
    """Write the language model of a multimodal checkpoint as a model of its own.

    Weights are renamed, never changed: ``model.language_model.*`` becomes ``model.*``. The text class must take every one of
    them and want no other, and give the same logits for the same text.

    Raises:
        ModelError: it is not such a checkpoint, or the extracted model computes something else.
        InputError: `out` exists or cannot be written.
    """
    import transformers as tf

    check_model_folder(folder)
    name = (read_config(folder).get("architectures") or ["(none named)"])[0]
    if name not in TEXT_CLASSES:
        raise ModelError(
            f"{folder} holds a {name}, which has no text model to extract",
            fix=f"give one of {', '.join(TEXT_CLASSES)}; a text model is used as it is",
        )
    whole = load_model(folder, precision, whole=True)
    kind = getattr(tf, TEXT_CLASSES[name])
    state = {key.replace(_PREFIX, "model.", 1): value for key, value in whole.state_dict().items() if key.startswith(_PREFIX)}
    state |= {key: value for key, value in whole.state_dict().items() if key.startswith("lm_head.")}
    text = kind(whole.config.get_text_config()).to(whole.dtype)
    missing, unexpected = text.load_state_dict(state, strict=False, assign=True)
    text.tie_weights()
    missing = [key for key in missing if key != "lm_head.weight" or not whole.config.get_text_config().tie_word_embeddings]
    if missing or unexpected:
        odd = sorted([*missing, *unexpected])
        raise ModelError(
            f"{folder}: {len(odd)} weights do not fit {kind.__name__}, such as {odd[0]}", fix="report this with config.json"
        )
    tokenizer = load_tokenizer(folder, folder / "chat_template.jinja")
    probes = probe_tokens(tokenizer)
    difference = relative_difference(last_logits(text.eval(), probes), last_logits(whole, probes))
    if not difference <= _TOLERANCE:
        raise ModelError(
            f"the extracted model's logits are off by {difference:.1e} of the largest, more than {_TOLERANCE:.0e}",
            fix="report this with config.json and the version of transformers",
        )
    kept = sum(each.numel() for each in text.parameters())
    everything = sum(each.numel() for each in whole.parameters())
    text.generation_config = whole.generation_config
    with new_folder(out) as part:
        save_model(text, tokenizer, part)
        words: dict[str, Any] = {
            "kind": "text-model",
            "source": {"folder": folder.name, "digest": folder_digest(folder), "architecture": name},
            "architecture": kind.__name__,
            "largest_logit_difference": difference,
            "parameters": kept,
            "parameters_left_out": everything - kept,
            "digest": folder_digest(part),
            "versions": package_versions(("ctiforge", "torch", "transformers", "safetensors")),
            "git_revision": git_revision(),
        }
        if (folder / "manifest.json").is_file():
            source = json.loads((folder / "manifest.json").read_text("utf-8"))
            words = {name: source[name] for name in _RANKING if name in source} | words | {"source_manifest": source}
        write_json(part / "manifest.json", words)
    return Extracted(out, str(words["digest"]), difference, kept, everything - kept)


def extract_adapter(adapter: Path, out: Path) -> Path:
    """Write an adapter of a multimodal model as one of its text model: the same tensors under the text model's names.

    Raises:
        ModelError: it has a tensor outside the language model.
        InputError: `out` exists or cannot be written.
    """
    from safetensors.torch import load_file, save_file

    check_model_folder(adapter, "adapter_config.json")
    tensors = load_file(adapter / "adapter_model.safetensors")
    renamed = {
        re.sub(r"^base_model\.model\.model\.language_model\.", "base_model.model.model.", key): each
        for key, each in tensors.items()
    }
    other = [key for key in tensors if ".language_model." not in key]
    if other:
        raise ModelError(
            f"{adapter}: {other[0]} is not a layer of the language model", fix="give an adapter of a multimodal model"
        )
    with new_folder(out) as part:
        save_file(renamed, part / "adapter_model.safetensors", {"format": "pt"})
        for name in ("adapter_config.json", "chat_template.jinja"):
            if (adapter / name).is_file():
                (part / name).write_bytes((adapter / name).read_bytes())
    return out
