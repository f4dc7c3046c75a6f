"""A tiny encoder as an artefact, written by hand: a token's state is a row of a table, whatever stands beside it.

Read by tests with `runpy.run_path`. No torch: the ONNX graph is three lookups and a mean.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ctiforge.core.files import sha256, write_bytes, write_json

CALIBRATION = {policy: {"temperature": 1.0, "slope": 1.0, "intercept": 0.0} for policy in ("mitre", "nvd")}


def _graph(states: np.ndarray, weight: np.ndarray) -> bytes:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["token_states"], axis=0),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["token_states", "wide"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "middle"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["wide", "middle"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["text_embedding"]),
        helper.make_node("MatMul", ["text_embedding", "head"], ["logits"]),
    ]
    given = {"table": states, "head": weight.T.copy(), "last": np.array([2]), "middle": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"]) for name in ("input_ids", "attention_mask")],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("logits", "bk"), ("text_embedding", "bh"), ("token_states", "bth"))
        ],
        [numpy_helper.from_array(value, name) for name, value in given.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def write_encoder(folder: Path, words: list[str], labels: list[str], *, seed: int = 1) -> Path:
    """Write an encoder with 8 random dimensions that knows `words`."""
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
        "model.int8.onnx": _graph(states, weight),
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


def write_blend(folder: Path, linear: Path, words: list[str], labels: list[str], *, sure: float = 0.9) -> Path:
    """Write a blend of a new encoder and a copy of the linear model at `linear`."""
    encoder = write_encoder(folder / "encoder", words, labels)
    for file in linear.iterdir():
        write_bytes(folder / "linear" / file.name, file.read_bytes())
    digests = {part: sha256((path / "manifest.json").read_bytes()) for part, path in (("encoder", encoder), ("linear", linear))}
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
    write_json(folder / "manifest.json", manifest)
    return folder
