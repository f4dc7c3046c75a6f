"""Weights read back from an exported encoder: to look at, and to go on training from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

import onnx
import torch

from ctiforge.core.errors import ModelError
from ctiforge.models.encoder import ENCODER_FORMAT
from ctiforge.models.token_batches import TokenizedTexts
from ctiforge.train.encoder_base import BaseModel, build_network, find_base_model
from ctiforge.train.encoder_export import export_encoder
from ctiforge.train.encoder_objectives import logits_of
from ctiforge.train.encoder_onnx import FP32, INT8, read_onnx_weights
from ctiforge.train.encoder_start import find_fitted_run

LABELS = ["CWE-22", "CWE-79", "CWE-89"]
TEXTS = TokenizedTexts([np.arange(2, 7, dtype=np.int32), np.arange(2, 20, dtype=np.int32)])


@pytest.fixture(scope="module")
def network(base: BaseModel) -> torch.nn.ModuleDict:
    """Two of three layers over pairs of tokens; every weight is another, and the token types are told apart."""
    made = build_network(base, LABELS, rows=np.array([*range(40)]), dropout=0.0, seed=2, layers=[0, 2], halved=[1])
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made.eval()


@pytest.fixture(scope="module")
def exported(network: torch.nn.ModuleDict, base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export_encoder(network, folder)
    words: dict[str, Any] = {
        "format": ENCODER_FORMAT, "labels": LABELS, "pad_id": 0, "base_model": {"architecture": str(base.folder)},
        "recipe": {"base_model": "gone/since", "halve_after": [1]},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(words))
    (folder / "tokenizer.json").write_bytes((base.folder / "tokenizer.json").read_bytes())
    return folder


def test_every_weight_has_its_name_back(network: torch.nn.ModuleDict, exported: Path) -> None:
    found = read_onnx_weights(exported / FP32)
    expected = network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_8_bits_stand_for_numbers_half_a_step_away_at_most(network: torch.nn.ModuleDict, exported: Path) -> None:
    found = read_onnx_weights(exported / INT8)
    expected = network.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        span = float(tensor.max() - tensor.min()) + float(tensor.abs().max())
        assert torch.allclose(found[name], tensor, atol=span / 255), name
    assert not torch.equal(found["encoder.merges.0.weight"], expected["encoder.merges.0.weight"])


@pytest.mark.parametrize("files", [[INT8], [FP32, INT8]])
def test_a_training_goes_on_from_what_was_exported(
    network: torch.nn.ModuleDict, exported: Path, base: BaseModel, tmp_path: Path, files: list[str]
) -> None:
    for file in ["manifest.json", "tokenizer.json", *files]:
        (tmp_path / file).write_bytes((exported / file).read_bytes())
    start = find_base_model(str(tmp_path), 24)
    assert (start.name, start.architecture) == (str(tmp_path), str(base.folder))
    again = build_network(start, [*LABELS, "CWE-918"], rows=None, dropout=0.0, seed=5, halved=[1]).eval()
    rows = np.arange(2)
    with torch.inference_mode():
        expected, found = (logits_of(each, TEXTS, rows, 0, torch.device("cpu")) for each in (network, again))
    assert torch.allclose(found[:, :3], expected, atol=0.05 if files == [INT8] else 1e-5)
    assert start.fitted is not None
    assert find_base_model(str(tmp_path), 24, str(base.folder)).fitted == start.fitted
    before = start.digest
    (tmp_path / files[0]).write_bytes(b"changed")
    assert find_base_model(str(tmp_path), 24).digest != before


def test_a_manifest_that_does_not_say_what_it_is_the_weights_of(exported: Path, base: BaseModel, tmp_path: Path) -> None:
    words = json.loads((exported / "manifest.json").read_text())
    del words["base_model"]["architecture"]
    (tmp_path / "manifest.json").write_text(json.dumps(words))
    (tmp_path / INT8).write_bytes((exported / INT8).read_bytes())
    with pytest.raises(ModelError, match="gone/since"):
        find_base_model(str(tmp_path), 24)
    assert find_base_model(str(tmp_path), 24, str(base.folder)).architecture == str(base.folder)


def test_weights_that_were_mixed_afterwards_are_not_those_of_the_run(exported: Path, tmp_path: Path) -> None:
    words = json.loads((exported / "manifest.json").read_text())
    (tmp_path / "run" / "training").mkdir(parents=True)
    (tmp_path / "run" / "training" / "weights.safetensors").write_bytes(b"of the fit alone")
    (tmp_path / INT8).write_bytes((exported / INT8).read_bytes())
    for share, file in ((0.0, Path("run", "training", "weights.safetensors")), (0.5, Path(INT8))):
        words["recipe"]["fit"] = {"start_share": share}
        (tmp_path / "manifest.json").write_text(json.dumps(words))
        found = find_fitted_run(tmp_path)
        assert found is not None
        assert found.file == file


def test_a_matrix_without_a_name_is_not_guessed(exported: Path, tmp_path: Path) -> None:
    model = onnx.load(exported / FP32)
    for node in model.graph.node:
        if node.op_type == "Add":
            node.op_type = "Sub"
    onnx.save(model, tmp_path / FP32)
    with pytest.raises(ModelError, match="cannot be told"):
        read_onnx_weights(tmp_path / FP32)


def test_a_file_cut_short(exported: Path, tmp_path: Path) -> None:
    (tmp_path / INT8).write_bytes((exported / INT8).read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot read the weights"):
        read_onnx_weights(tmp_path / INT8)
    with pytest.raises(ModelError, match="cannot read the weights"):
        read_onnx_weights(tmp_path / FP32)
