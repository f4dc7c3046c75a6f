"""Perplexity of a model and of its GGUF files: the weights that a file stands for are put into the model it was made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ctiforge.core.errors import MissingExtraError, ModelError
from ctiforge.export.model_folder import load_model, load_tokenizer

__all__ = ["measure_perplexities"]

_PERMUTED = ("llama",)
"""Architectures whose converter changes the order of rows, so that weights cannot be put back."""


def measure_perplexities(
    folder: Path,
    files: Sequence[Path],
    texts: Sequence[str],
    *,
    max_tokens: int = 512,
    report: Callable[[str], None] = lambda _: None,
) -> list[float]:
    """Return the perplexity of the model itself, then of each file: e to the mean negative log-likelihood of a token.

    Args:
        texts: held out from training; each is read from its start, at most `max_tokens` tokens of it.

    Raises:
        ModelError: the model cannot be loaded, or weights of its architecture cannot be put back.
        MissingExtraError: gguf is not installed.
    """
    model, tokenizer = load_model(folder, "fp32"), load_tokenizer(folder)
    rows = [tokenizer(text, truncation=True, max_length=max_tokens, return_tensors="pt")["input_ids"] for text in texts]
    rows = [row for row in rows if row.shape[1] > 1]
    found = [_perplexity(model, rows)]
    report(f"{folder.name}: perplexity {found[0]:.3f}")
    for file in files:
        _put_weights(model, file)
        found.append(_perplexity(model, rows))
        report(f"{file.name}: perplexity {found[-1]:.3f}")
    return found


def _perplexity(model: Any, rows: Sequence[torch.Tensor]) -> float:
    total, count = 0.0, 0
    for row in rows:
        with torch.no_grad():
            logits = model(row, use_cache=False).logits[0, :-1].float()
        total += float(torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum"))
        count += row.shape[1] - 1
    return math.exp(total / max(count, 1))


def _put_weights(model: Any, file: Path) -> None:
    """Replace the model's matrices with what a file has for them; norms, which no file quantizes, stay."""
    try:
        import gguf
    except ImportError:
        raise MissingExtraError("gguf", "export") from None
    config = model.config.get_text_config()
    kind = config.model_type.removesuffix("_text")
    if kind in _PERMUTED:
        raise ModelError(f"perplexity of a GGUF file is not measured for {kind}", fix="leave --perplexity-corpus out")
    arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == kind)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    replaced = 0
    for name, parameter in model.named_parameters():
        known = names.get_name(name.removesuffix(".weight"))
        tensor = stored.get(f"{known}.weight") if known and parameter.ndim == 2 else None
        if tensor is not None:
            values = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()).reshape(-1)
            if values.numel() != parameter.numel():
                raise ModelError(
                    f"{file}: {tensor.name} is not a weight of this model", fix="give the files made of this folder"
                )
            with torch.no_grad():
                parameter.copy_(values.reshape(parameter.shape))
            replaced += 1
    if not replaced:
        raise ModelError(f"{file} has no weight of this model", fix="give the files made of this folder")
