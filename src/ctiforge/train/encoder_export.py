"""A trained encoder as ONNX: fp32 for reference, and 8-bit weights for use, with what the change costs.

Inputs: ``input_ids`` and ``attention_mask``, int64, (B, T). Outputs, all float32: ``logits`` (B, K), ``text_embedding`` (B, H),
which is the mean of a text's ``token_states`` (B, T, H). The head is linear, so a token's share of a label's logit is the
product of its state and the label's row in ``head.npz``, divided by the number of tokens.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import ModelError
from ctiforge.core.files import write_bytes
from ctiforge.models.onnx_runtime import import_onnxruntime, open_session
from ctiforge.models.token_batches import TokenizedTexts, padded, sorted_batches
from ctiforge.train.development_scores import split_scores
from ctiforge.train.encoder_base import EXTRA, embed, token_states
from ctiforge.train.encoder_checkpoint import writing
from ctiforge.train.encoder_onnx import FP32, INT8

if TYPE_CHECKING:
    import torch

__all__ = ["HEAD", "INPUTS", "OUTPUTS", "export_encoder", "onnx_scores", "parity"]

HEAD = "head.npz"
INPUTS = ("input_ids", "attention_mask")
OUTPUTS = ("logits", "text_embedding", "token_states")

Floats = npt.NDArray[np.float32]

_OPSET = 18
_NOTES = ("doc_string", "metadata_props")


def export_encoder(network: torch.nn.ModuleDict, folder: Path) -> None:
    """Write `FP32`, `INT8` (weights of the matrix products and embeddings in 8 bits, a scale for each output channel; the head
    stays as it is) and `HEAD` (``weight`` (K, H) and ``bias`` (K), float16 and float32).

    Raises:
        InputError: the folder cannot be written.
        ModelError: torch cannot express the network in ONNX.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        plain, small = Path(scratch) / FP32, Path(scratch) / INT8
        with writing(folder / FP32, folder):
            _export(network, plain)
            _strip_notes(plain)
            _quantize(plain, small)
            _strip_notes(small)
            for file in (plain, small):
                os.replace(file, folder / file.name)  # noqa: PTH105 - the folder may hold an older export
    buffer = io.BytesIO()
    head: Any = network["head"]
    np.savez(buffer, weight=head.weight.detach().cpu().numpy().astype(np.float16), bias=head.bias.detach().cpu().numpy())
    with writing(folder / HEAD, folder):
        write_bytes(folder / HEAD, buffer.getvalue())


def _export(network: torch.nn.ModuleDict, file: Path) -> None:
    import torch

    class Exported(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
            states = token_states(self.network, input_ids, attention_mask)
            pooled = embed(states, attention_mask)
            head: Any = self.network["head"]
            return head(pooled), pooled, states

    network.to("cpu")
    wrapper = Exported().eval()  # or dropout would be exported
    mask = torch.ones((2, 16), dtype=torch.int64)
    mask[1, 9:] = 0
    free = {0: torch.export.Dim("texts", min=1, max=4096), 1: torch.export.Dim("tokens", min=2, max=8192)}
    try:
        with _quiet():
            torch.onnx.export(
                wrapper, (torch.ones_like(mask), mask), str(file), dynamo=True, external_data=False, opset_version=_OPSET,
                input_names=list(INPUTS), output_names=list(OUTPUTS), dynamic_shapes=dict.fromkeys(INPUTS, free), verbose=False,
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise ModelError(
            f"this encoder cannot be exported to ONNX ({first})", fix="use a BERT, RoBERTa or ModernBERT encoder as base_model"
        ) from error


def _quantize(plain: Path, small: Path) -> None:
    import onnx

    quantization = import_onnxruntime("onnxruntime.quantization", extra=EXTRA)
    graph = onnx.load(plain, load_external_data=False).graph
    head = [node.name for node in graph.node if OUTPUTS[0] in node.output]
    with _quiet():
        quantization.quantize_dynamic(
            plain, small, per_channel=True, weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=[*head, *(f"{name}_MatMul" for name in head)],
        )  # fmt: skip


def _strip_notes(file: Path) -> None:
    """Remove from a model what no runtime reads: the exporter's notes hold stack traces with paths of this machine."""
    import onnx

    model = onnx.load(file, load_external_data=False)
    _clear_notes(model)
    onnx.save(model, file)


def _clear_notes(message: Any) -> None:
    """Clear ``doc_string`` and ``metadata_props`` of a protobuf message and of all that it holds."""
    for field, value in message.ListFields():
        if field.name in _NOTES:
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            for each in value if field.is_repeated else (value,):
                _clear_notes(each)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the chatter of the exporters: warnings about their own insides, progress on stdout."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def onnx_scores(file: Path, texts: TokenizedTexts, pad_id: int, *, threads: int = 0, batch_size: int = 1) -> Floats:
    """Return the logits of an exported model: float32, shape (n, K).

    One text at a time, as the classifier reads them: the 8-bit scale of activations is that of what is computed together.

    Args:
        threads: for onnxruntime; 0 lets it choose.

    Raises:
        ModelError: onnxruntime cannot load the file.
    """
    session = open_session(str(file), threads=threads, extra=EXTRA)
    labels = session.get_outputs()[0].shape[1]
    scores = np.zeros((len(texts.ids), labels), dtype=np.float32)
    for rows in sorted_batches(texts.lengths, batch_size):
        ids, mask = padded(texts, rows, pad_id)
        scores[rows] = session.run([OUTPUTS[0]], dict(zip(INPUTS, (ids, mask), strict=True)))[0]
    return scores


def parity(
    reference: Floats, plain: Floats, small: Floats, assigned: Sequence[tuple[str, ...]], labels: Sequence[str]
) -> dict[str, Any]:
    """Return what the export costs on the development split.

    Args:
        reference: logits by torch in fp32 of the first m examples, shape (m, K); `plain` and `small`: of all n, by ONNX in fp32
            and with 8-bit weights.
    """
    ours = slice(0, len(reference))
    first = plain.argmax(axis=1), small.argmax(axis=1)
    fp32, int8 = (split_scores(scores, assigned, labels) for scores in (plain, small))
    return {
        "fp32": {
            "texts": len(reference),
            "max_logit_difference": float(np.abs(plain[ours] - reference).max()),
            "same_first": float((plain[ours].argmax(axis=1) == reference.argmax(axis=1)).mean()),
        },
        "int8": {
            "texts": len(plain),
            "max_logit_difference": float(np.abs(small - plain).max()),
            "mean_logit_difference": float(np.abs(small - plain).mean()),
            "same_first": float((first[0] == first[1]).mean()),
            "top1_fp32": fp32["top1"],
            "top1_int8": int8["top1"],
            "top1_difference": round(int8["top1"] - fp32["top1"], 4),
            "top3_difference": round(int8["top3"] - fp32["top3"], 4),
            "macro_f1_difference": round(int8["macro_f1"] - fp32["macro_f1"], 4),
        },
    }
