"""An importance matrix: how strongly each column of a weight is used on text like the training corpus.

For a linear layer y = W x the error that quantization makes in y is that of each column of W times x's entry for it, so
columns with a large mean square of x deserve more precision (llama.cpp's ``imatrix``). Only the training corpus is read:
text of a benchmark here would be a leak.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ctiforge.core.errors import MissingExtraError
from ctiforge.export.model_folder import load_model, load_tokenizer

__all__ = ["measure_importance"]


def measure_importance(
    folder: Path, texts: Sequence[str], *, max_tokens: int = 256, report: Callable[[str], None] = lambda _: None
) -> dict[str, npt.NDArray[np.float32]]:
    """Return, by GGUF tensor name, the mean square of each input column of every linear layer over the texts' tokens.

    Raises:
        ModelError: the model cannot be loaded.
        MissingExtraError: gguf is not installed.
    """
    try:
        import gguf
    except ImportError:
        raise MissingExtraError("gguf", "export") from None
    model = load_model(folder, "fp32")
    tokenizer = load_tokenizer(folder)
    config = model.config.get_text_config()
    arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == config.model_type.removesuffix("_text"))
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}

    def watch(name: str) -> Any:
        def hook(_module: Any, given: tuple[torch.Tensor, ...], _out: Any) -> None:
            values = given[0].detach().reshape(-1, given[0].shape[-1]).double()
            sums[name] = sums.get(name, 0) + values.square().sum(0)
            counts[name] = counts.get(name, 0) + len(values)

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and (known := names.get_name(name)):
            module.register_forward_hook(watch(f"{known}.weight"))
    for number, text in enumerate(texts, 1):
        tokens = tokenizer(text, truncation=True, max_length=max_tokens, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            model(tokens, use_cache=False, logits_to_keep=1)
        if number % 50 == 0:
            report(f"importance matrix: {number} of {len(texts)} texts")
    sums.pop("output.weight", None)  # its input is seen at one position only
    return {name: (total / counts[name]).numpy().astype(np.float32) for name, total in sums.items()}
