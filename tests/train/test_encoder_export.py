"""Encoders of other families than BERT, tiny and random: loaded, given learning rates by layer, exported, compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

import torch
import transformers

from ctiforge.models.token_batches import TokenizedTexts
from ctiforge.train.encoder_base import build_network, find_base_model
from ctiforge.train.encoder_export import export_encoder, onnx_scores, parity
from ctiforge.train.encoder_fitting import Schedule, _optimizer
from ctiforge.train.encoder_objectives import logits_of
from ctiforge.train.encoder_onnx import FP32, INT8

SIZES: dict[str, Any] = {"vocab_size": 99, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
FAMILIES: dict[str, tuple[Any, Any]] = {
    "roberta": (transformers.RobertaModel, lambda: transformers.RobertaConfig(
        **SIZES, num_hidden_layers=2, max_position_embeddings=66,
    )),
    "modernbert": (transformers.ModernBertModel, lambda: transformers.ModernBertConfig(
        **SIZES, num_hidden_layers=2, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        cls_token_id=1, sep_token_id=2,
    )),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_other_encoders_are_exported_alike(family: str, tmp_path: Path) -> None:
    model, config = FAMILIES[family]
    torch.manual_seed(1)
    model(config()).save_pretrained(tmp_path / family)
    base = find_base_model(str(tmp_path / family), 24)
    network = build_network(base, list("abcd"), rows=None, dropout=None, seed=1).eval()
    schedule = Schedule(1, 8, 1e-3, 1e-2, 0.5, 0.1, 0.01, 1.0, 1, 1, 1)
    assert {1e-2, 1e-3, 5e-4, 2.5e-4} == set(_optimizer(network, schedule, torch.device("cpu"))[1])
    texts = TokenizedTexts([np.arange(5, 12, dtype=np.int32), np.arange(5, 26, dtype=np.int32)])
    with torch.inference_mode():
        reference = logits_of(network, texts, np.arange(2), base.pad_id, torch.device("cpu")).numpy()
    export_encoder(network, tmp_path / "out")
    assert onnx_scores(tmp_path / "out" / FP32, texts, base.pad_id) == pytest.approx(reference, abs=1e-5)
    assert onnx_scores(tmp_path / "out" / INT8, texts, base.pad_id) == pytest.approx(reference, abs=1e-2)


def test_parity_in_figures() -> None:
    labels = ["CWE-22", "CWE-79"]
    plain = np.array([[1, 0], [1, 0.5], [0, 1], [0, 1]], dtype=np.float32)
    small = np.array([[1, 0], [0.5, 0.75], [0, 1], [0, 1]], dtype=np.float32)
    found = parity(plain[:2] + np.float32(0.25), plain, small, [("CWE-22",), ("CWE-22",), ("CWE-79",), ("CWE-22",)], labels)
    assert found["fp32"] == {"texts": 2, "max_logit_difference": 0.25, "same_first": 1.0}
    int8 = found["int8"]
    assert (int8["texts"], int8["max_logit_difference"], int8["same_first"]) == (4, 0.5, 0.75)
    assert (int8["top1_fp32"], int8["top1_int8"], int8["top1_difference"]) == (0.75, 0.5, -0.25)
