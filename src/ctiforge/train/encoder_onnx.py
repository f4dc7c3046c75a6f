"""The weights of an encoder that was exported to ONNX, 8-bit ones included, by the names that they had in torch."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["FP32", "INT8", "read_onnx_weights"]

FP32, INT8 = "model.onnx", "model.int8.onnx"

_NETWORK = "network."
_HEAD = "network.head.weight"
_QUANTIZED, _SCALE, _ZERO = "_quantized", "_scale", "_zero_point"
_ON_THE_WAY = ("MatMulInteger", "MatMul", "Cast", "Mul", "Add")

Floats = npt.NDArray[np.float32]


def read_onnx_weights(file: Path) -> dict[str, torch.Tensor]:
    """Return the weights in fp32 that `ctiforge.train.encoder_export` wrote, those in 8 bits as the numbers they stand for.

    An exporter keeps the names of biases and embeddings. A matrix has the name of the bias that is added to its product.

    Raises:
        ModelError: the file cannot be read, or holds a matrix whose product no bias is added to.
    """
    import onnx
    import torch
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load(file).graph
    except (OSError, DecodeError) as error:
        raise ModelError(f"{file}: cannot read the weights ({error})", fix="copy the model folder again") from None
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    readers: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    weights: dict[str, Floats] = {}
    for name, array in stored.items():
        if name.endswith((_SCALE, _ZERO)):
            continue
        plain = name.removesuffix(_QUANTIZED)
        values = array
        if name.endswith(_QUANTIZED):
            values = (array.astype(np.float32) - stored[plain + _ZERO].astype(np.float32)) * stored[plain + _SCALE]
        if values.dtype != np.float32:  # shapes and positions
            continue
        if plain.startswith(_HEAD):
            weights["head.weight"] = values.T if plain != _HEAD else values
        elif plain.startswith(_NETWORK):
            weights[plain.removeprefix(_NETWORK)] = values
        elif values.ndim == 2 and readers[name]:
            weights[_matrix_name(name, readers, file)] = values.T
    return {name: torch.from_numpy(np.array(values, order="C")) for name, values in weights.items()}


def _matrix_name(matrix: str, readers: dict[str, list[Any]], file: Path) -> str:
    """Return what a matrix was called: follow its product to the first bias that is added."""
    name = matrix
    for _ in range(len(_ON_THE_WAY) + 1):
        node = next((each for each in readers[name] if each.op_type in _ON_THE_WAY), None)
        if node is None:
            break
        bias = next((each for each in node.input if each.startswith(_NETWORK) and each.endswith(".bias")), None)
        if bias is not None:
            return f"{bias.removeprefix(_NETWORK).removesuffix('bias')}weight"
        name = node.output[0]
    raise ModelError(
        f"{file}: whose weights {matrix} is cannot be told",
        fix="start from the folder that holds run/training/weights.safetensors",
    )
