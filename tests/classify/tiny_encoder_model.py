"""A tiny encoder as an artefact, written by hand: a token's state is a row of a table, whatever stands beside it.

Read by tests with `runpy.run_path`. No torch: the ONNX graph is three lookups and a mean.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from ctiforge.core.files import sha256, write_bytes, write_json

CALIBRATION = {policy: {"temperature": 1.0, "slope": 1.0, "intercept": 0.0} for policy in ("mitre", "nvd")}


def _graph(states: np.ndarray, weight: np.ndarray, *, shares: bool = False) -> bytes:
    """A graph whose states are those of the table; if it `shares` them, they are an output of their own, too."""
    from onnx import TensorProto, helper

    table = helper.make_node("Gather", ["table", "input_ids"], ["token_states"], axis=0)
    shared = [helper.make_node("Identity", ["token_states"], ["token_embeddings"])] if shares else []
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"]) for name in ("input_ids", "attention_mask")]
    return _mean_and_head([table, *shared], inputs, weight, {"table": states}, ["token_embeddings"] if shares else [])


def _second_graph(weight: np.ndarray) -> bytes:
    """The same over states that are given."""
    from onnx import TensorProto, helper

    inputs = [
        helper.make_tensor_value_info("token_embeddings", TensorProto.FLOAT, ["b", "t", 8]),
        helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["b", "t"]),
    ]
    return _mean_and_head([helper.make_node("Identity", ["token_embeddings"], ["token_states"])], inputs, weight, {}, [])


def _mean_and_head(
    before: list[Any], inputs: list[Any], weight: np.ndarray, more: dict[str, np.ndarray], outputs: list[str]
) -> bytes:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        *before,
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["token_states", "wide"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "middle"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["wide", "middle"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["text_embedding"]),
        helper.make_node("MatMul", ["text_embedding", "head"], ["logits"]),
    ]
    given = more | {"head": weight.T.copy(), "last": np.array([2]), "middle": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs,
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (
                ("logits", "bk"),
                ("text_embedding", "bh"),
                ("token_states", "bth"),
                *((name, "bth") for name in outputs),
            )
        ],
        [numpy_helper.from_array(value, name) for name, value in given.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_encoder(folder: Path, words: list[str], labels: list[str], *, seed: int = 1, shares: bool = False) -> Path:
    """Write an encoder with 8 random dimensions that knows `words`; with `shares`, a second one can read its embeddings."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *sorted(set(words))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    random = np.random.default_rng(seed)
    states = random.normal(size=(len(vocabulary), 8)).astype(np.float32)
    weight = random.normal(size=(len(labels), 8)).astype(np.float32)
    head = io.BytesIO()
    np.savez(head, weight=weight)
    files = {
        "model.int8.onnx": _graph(states, weight, shares=shares),
        "head.npz": head.getvalue(),
        "tokenizer.json": tokenizer.to_str().encode(),
    }
    for name, data in files.items():
        write_bytes(folder / name, data)
    manifest: dict[str, Any] = {
        "format": "ctiforge-encoder/1",
        "name": "tiny-encoder",
        "labels": labels,
        "inputs": ["input_ids", "attention_mask"],
        "pad_id": 0,
        "max_length": 32,
        "calibration": CALIBRATION,
        "threshold": {"mitre": 0.2, "nvd": 0.2},
        "files": {name: sha256(data) for name, data in files.items()},
    }
    write_json(folder / "manifest.json", manifest)
    return folder


def write_second(folder: Path, labels: list[str], *, seed: int = 2) -> Path:
    """Write a second encoder with a random head over the mean of the first one's embeddings."""
    weight = np.random.default_rng(seed).normal(size=(len(labels), 8)).astype(np.float32)
    packed = zstandard.ZstdCompressor().compress(_second_graph(weight))
    write_bytes(folder / "model.int8.onnx.zst", packed)
    manifest = {
        "format": "ctiforge-second-encoder/1",
        "name": "tiny-second",
        "labels": labels,
        "files": {"model.int8.onnx.zst": sha256(packed)},
    }
    write_json(folder / "manifest.json", manifest)
    return folder


def write_blend(
    folder: Path, linear: Path, words: list[str], labels: list[str], *, sure: float = 0.9, second: dict[str, Any] | None = None
) -> Path:
    """Write a blend of a new encoder and a copy of the linear model at `linear`.

    Args:
        second: the manifest's settings of a second encoder, which is written as well; it has all labels but the first.
    """
    encoder = write_encoder(folder / "encoder", words, labels, shares=second is not None)
    for file in linear.iterdir():
        write_bytes(folder / "linear" / file.name, file.read_bytes())
    parts = {"encoder": encoder, "linear": linear}
    if second is not None:
        parts["second"] = write_second(folder / "second", labels[1:])
    digests = {part: sha256((path / "manifest.json").read_bytes()) for part, path in parts.items()}
    manifest: dict[str, Any] = {
        "format": "ctiforge-blend/1",
        "name": "tiny-blend",
        "labels": labels,
        "weights": {"encoder": 0.5, "linear": 0.5},
        "sure": sure,
        "calibration": CALIBRATION,
        "threshold": {"mitre": 0.2, "nvd": 0.2},
        "parts": {part: {"name": part, "digest": digest} for part, digest in digests.items()},
    }
    write_json(folder / "manifest.json", manifest | ({} if second is None else {"second": second}))
    return folder
