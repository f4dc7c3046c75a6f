"""Merge an adapter into the weights of its base; the result must compute what the two computed together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctiforge.core.errors import InputError, ModelError
from ctiforge.core.files import file_sha256, write_json
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.export.model_folder import (
    Precision,
    last_logits,
    load_model,
    load_tokenizer,
    new_folder,
    probe_tokens,
    relative_difference,
)
from ctiforge.models.adapters import attach_adapter
from ctiforge.models.language_classifier import LANGUAGE_FORMAT
from ctiforge.models.transformers_local import check_model_folder, folder_digest

__all__ = ["TOLERANCE", "Merged", "adapter_folder", "run_merge", "save_model"]

TOLERANCE: dict[Precision, float] = {"fp32": 1e-5, "bf16": 2e-2}
"""Largest difference of logits, relative to the largest logit, between adapter and merged model. In bf16 a sum of weights is
rounded to 8 bits of mantissa."""

_PACKAGES = ("ctiforge", "torch", "transformers", "peft", "safetensors")


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged model and how far its logits are from those of base and adapter."""

    folder: Path
    digest: str
    difference: float


def adapter_folder(path: Path) -> Path:
    """Return the folder of an adapter: the one given, or ``adapter`` in the folder of a fine-tuning.

    Raises:
        ModelError: neither holds one.
    """
    inner = path / "adapter"
    folder = inner if (inner / "adapter_config.json").is_file() else path
    check_model_folder(folder, "adapter_config.json")
    return folder


def run_merge(adapter: Path, base: Path, out: Path, *, precision: Precision = "bf16") -> Merged:
    """Merge an adapter into its base and write the result as safetensors with tokenizer, chat template and manifest.

    Raises:
        ModelError: base or adapter cannot be used, do not belong together, or the merged model computes something else.
        InputError: `out` exists or cannot be written.
    """
    folder = adapter_folder(adapter)
    trained = _trained_on(folder)
    check_model_folder(base)
    digest = folder_digest(base)
    if trained is not None and trained["digest"] != digest:
        raise ModelError(
            f"{folder} was trained on {trained['model']}, digest {trained['digest'][:12]}..., and {base} has {digest[:12]}...",
            fix="give the folder of that base",
        )
    model = load_model(base, precision)
    tokenizer = load_tokenizer(base, folder / "chat_template.jinja")
    with_adapter = attach_adapter(model, folder)
    probes = probe_tokens(tokenizer)
    before = last_logits(with_adapter.eval(), probes)
    merged = with_adapter.merge_and_unload(safe_merge=True)
    difference = relative_difference(last_logits(merged, probes), before)
    if not difference <= TOLERANCE[precision]:
        raise ModelError(
            f"the merged model's logits are off by {difference:.1e} of the largest, more than {TOLERANCE[precision]:.0e}",
            fix="merge in fp32" if precision == "bf16" else "report this with the versions of torch and peft",
        )
    training = _manifest(folder)
    with new_folder(out) as part:
        save_model(merged, tokenizer, part)
        words = {
            "kind": "merged-model",
            "format": LANGUAGE_FORMAT,
            **{name: (training or {}).get(name) for name in ("calibration", "threshold", "label_scoring")},
            "labels": (training or {}).get("labels") or [],
            "base": {"folder": base.name, "digest": digest} | ({"model": trained["model"]} if trained else {}),
            "adapter": {"folder": folder.parent.name, "sha256": file_sha256(folder / "adapter_model.safetensors")},
            "precision": precision,
            "largest_logit_difference": difference,
            "digest": folder_digest(part),
            "training": training,
            "versions": package_versions(_PACKAGES),
            "git_revision": git_revision(),
        }
        write_json(part / "manifest.json", words)
    return Merged(out, str(words["digest"]), difference)


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write weights as safetensors, configuration and tokenizer; the end of a turn ends a completion."""
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    ends = {
        token for name in ("<end_of_turn>", "<turn|>", "<|im_end|>") if (token := tokenizer.get_vocab().get(name)) in special
    }
    known = model.generation_config.eos_token_id
    ends |= set(known if isinstance(known, list) else [known]) - {None}
    if isinstance(tokenizer.eos_token_id, int):
        ends.add(tokenizer.eos_token_id)
    model.generation_config.eos_token_id = sorted(ends)
    model.config.use_cache = True
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


def _manifest(folder: Path) -> dict[str, Any] | None:
    file = folder.parent / "manifest.json"
    if folder.name != "adapter" or not file.is_file():
        return None
    try:
        words: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise InputError(f"{file}: not JSON: {error}", fix="copy the folder again") from None
    return words


def _trained_on(folder: Path) -> dict[str, str] | None:
    words = _manifest(folder)
    return None if words is None else words["base"]
