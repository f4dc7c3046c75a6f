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
from transformers import BertConfig, BertModel

from ctiforge.core.errors import ModelError
from ctiforge.models.encoder import ENCODER_FORMAT
from ctiforge.models.token_batches import TokenizedTexts
from ctiforge.train.encoder_base import BaseModel, build_network, find_base_model
from ctiforge.train.encoder_checkpoint import FitFolder
from ctiforge.train.encoder_export import export_encoder
from ctiforge.train.encoder_fitting import Device, Schedule, run_fit
from ctiforge.train.encoder_objectives import Classification, logits_of
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


class TestSharedEmbeddings:
    """An encoder upon the embeddings of another."""

    def test_they_and_the_vocabulary_are_the_other_s_and_stay(
        self, network: torch.nn.ModuleDict, exported: Path, base: BaseModel
    ) -> None:
        start = find_base_model(str(base.folder), 24, embeddings=str(exported))
        made = build_network(start, LABELS, rows=None, dropout=0.0, seed=7, layers=[1])
        for name, parameter in made["encoder"].named_parameters():
            shared = name.startswith("embeddings.")
            assert parameter.requires_grad is not shared
            if shared:
                torch.testing.assert_close(parameter, network.state_dict()[f"encoder.{name}"], rtol=0, atol=0.02)
        assert start.load_tokenizer(24).get_vocab_size() == base.load_tokenizer(24).get_vocab_size()
        assert start.pad_id == 0
        before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
        schedule = Schedule(
            epochs=1, batch_size=2, learning_rate=0.1, head_learning_rate=0.1, layer_decay=1.0, warmup=0.0, weight_decay=0.1,
            clip=1.0, evaluations_per_epoch=1, patience=1, seed=1,
        )  # fmt: skip
        objective = Classification(TEXTS, *(np.ones(shape, np.float32) for shape in ((2, 3), 2, 3)), np.zeros(3, np.float32), 0)
        fitted = FitFolder(exported / "fit", "")
        run_fit(made, objective, schedule, fitted, Device(torch.device("cpu"), "fp32"), name="fit")
        changed = {name for name, tensor in made.state_dict().items() if not torch.equal(tensor, before[name])}
        assert changed == {name for name in before if not name.startswith("encoder.embeddings.")}

    def test_the_digest_depends_on_both(self, exported: Path, base: BaseModel) -> None:
        shared = find_base_model(str(base.folder), 24, embeddings=str(exported))
        assert len({base.digest, shared.digest, find_base_model(str(exported), 24).digest}) == 3

    def test_of_another_width(self, exported: Path, base: BaseModel, tmp_path: Path) -> None:
        wide = BertModel(BertConfig(vocab_size=40, hidden_size=64, num_hidden_layers=1, num_attention_heads=2))
        wide.save_pretrained(tmp_path)
        start = find_base_model(str(tmp_path), 24, embeddings=str(exported))
        with pytest.raises(ModelError, match="are not those of such an encoder") as caught:
            build_network(start, LABELS, rows=None, dropout=0.0, seed=7)
        assert "same kind and width" in str(caught.value.fix)

    def test_of_a_folder_that_is_no_training(self, base: BaseModel) -> None:
        with pytest.raises(ModelError, match="is no encoder that"):
            find_base_model(str(base.folder), 24, embeddings=str(base.folder))
