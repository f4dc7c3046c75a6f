"""A small sentence encoder on the CPU: texts to unit vectors with onnxruntime and tokenizers, no torch.

The folder holds ``model.int8.onnx`` and ``tokenizer.json`` as `ctiforge.models.minilm_onnx.export_minilm` writes them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import MissingExtraError, ModelError
from ctiforge.models.onnx_runtime import import_onnxruntime, open_session

__all__ = ["ENCODER_FILES", "MAX_TOKENS", "SentenceEncoder"]

Floats = npt.NDArray[np.float32]

ENCODER_FILES: Final = ("model.int8.onnx", "tokenizer.json")
MAX_TOKENS: Final = 256
"""What all-MiniLM-L6-v2 was made to read; the exported tokenizer cuts longer texts, and those longer than the model reads."""

_MAX_BATCH_TOKENS: Final = 4096


class SentenceEncoder:
    """Mean-pooled, normalised sentence embeddings.

    Args:
        folder: with `ENCODER_FILES`.
        threads: for onnxruntime; 0 lets it choose.

    Raises:
        MissingExtraError: onnxruntime or tokenizers is not installed.
        ModelError: a file is missing or damaged.
    """

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        model, tokenizer = (folder / name for name in ENCODER_FILES)
        import_onnxruntime(extra="ask")
        try:
            tokenizers: Any = importlib.import_module("tokenizers")
        except ImportError:
            raise MissingExtraError("tokenizers", "ask") from None
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # tokenizers raises Exception itself
            raise ModelError(
                f"{folder}: the sentence encoder cannot be loaded ({error})", fix="build the index again"
            ) from None
        self._session = open_session(str(model), threads=threads, extra="ask")
        self.dimensions = int(self._session.get_outputs()[0].shape[1])

    def encode(self, texts: Sequence[str], on_texts: Callable[[int], None] = lambda count: None) -> Floats:
        """Return unit vectors, float32, shape (texts, dimensions).

        Texts of like length share a batch. The model quantizes activations batch by batch, so that a text's vector depends a
        little on the others: cosines of the same text in two batches are above 0.99, rarely below 0.995.

        Args:
            on_texts: takes how many texts were finished since its last call.
        """
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        vectors = np.zeros((len(rows), self.dimensions), dtype=np.float32)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and len(rows[order[end]]) * (end + 1 - start) <= _MAX_BATCH_TOKENS:
                end += 1
            batch = order[start:end]
            ids = np.zeros((len(batch), len(rows[batch[-1]])), dtype=np.int64)
            mask = np.zeros_like(ids)
            for i, row in enumerate(batch):
                ids[i, : len(rows[row])] = rows[row]
                mask[i, : len(rows[row])] = 1
            vectors[batch] = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
            on_texts(len(batch))
            start = end
        return vectors
