"""A cheaper encoder from a finished one: its weights, some of its layers, pairs of tokens instead of tokens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from safetensors.torch import load_file, save_file

from ctiforge.core.errors import InputError, ModelError
from ctiforge.models.encoder import ENCODER_FORMAT
from ctiforge.models.token_batches import TokenizedTexts
from ctiforge.train.encoder_base import BaseModel, build_network, embed, find_base_model, token_states
from ctiforge.train.encoder_fitting import Device
from ctiforge.train.encoder_objectives import logits_of
from ctiforge.train.encoder_recipe import load_encoder_recipe
from ctiforge.train.encoder_start import find_fitted_run

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = Device(torch.device("cpu"), "fp32")
LABELS = ["CWE-22", "CWE-79", "CWE-89"]
SHORT, LONG = np.arange(2, 7, dtype=np.int32), np.arange(2, 20, dtype=np.int32)


@pytest.fixture
def run(base: BaseModel, tmp_path: Path) -> Path:
    """What a training leaves: here of two of three layers and of a part of the vocabulary, whose padding is number 3."""
    rows = np.array([5, 6, 7, 0, *range(8, 40)])
    network = build_network(base, LABELS, rows=rows, dropout=0.0, seed=2, layers=[0, 2])
    for parameter in network.parameters():
        parameter.data += 0.01
    (tmp_path / "run" / "training").mkdir(parents=True)
    save_file(network.state_dict(), tmp_path / "run" / "training" / "weights.safetensors")
    words = {
        "format": ENCODER_FORMAT,
        "labels": LABELS,
        "pad_id": 3,
        "recipe": {"base_model": str(base.folder)},
        "base_model": {},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(words))
    (tmp_path / "tokenizer.json").write_bytes((base.folder / "tokenizer.json").read_bytes())
    return tmp_path


def scores(network: torch.nn.ModuleDict, *texts: np.ndarray, pad_id: int = 0) -> torch.Tensor:
    with torch.inference_mode():
        return logits_of(network.eval(), TokenizedTexts(list(texts)), np.arange(len(texts)), pad_id, CPU.device)


class TestHalved:
    @pytest.mark.parametrize("after", [[0], [1], [2], [0, 1], [1, 2]])
    def test_padding_and_neighbours_change_nothing(self, base: BaseModel, after: list[int]) -> None:
        network = build_network(base, LABELS, rows=None, dropout=0.0, seed=1, halved=after)
        together = scores(network, SHORT, LONG)
        assert torch.allclose(together[0], scores(network, SHORT)[0], atol=1e-5)
        assert torch.allclose(together[1], scores(network, LONG)[0], atol=1e-5)

    @pytest.mark.parametrize("tokens", [4, 5])
    def test_every_token_has_the_state_of_its_pair(self, base: BaseModel, tokens: int) -> None:
        network = build_network(base, LABELS, rows=None, dropout=0.0, seed=1, halved=[2]).eval()
        ids = torch.arange(2, 2 + tokens)[None]
        with torch.inference_mode():
            states = token_states(network, ids, torch.ones_like(ids))
        assert states.shape == (1, tokens, 16)
        assert torch.equal(states[:, 0], states[:, 1])
        assert torch.equal(states[:, 2], states[:, 3])
        assert not torch.allclose(states[:, 1], states[:, 2])

    def test_without_layers_above_the_mean_stays_what_it_was(self, base: BaseModel) -> None:
        """Averaging in pairs and fours and then over all is averaging over all; nothing but means before anything is learnt."""
        network = build_network(base, LABELS, rows=None, dropout=0.0, seed=1, halved=[1, 2])
        whole = build_network(base, LABELS, rows=None, dropout=0.0, seed=1, layers=[0])
        for layer in network["encoder"].encoder.layer[1:]:
            layer.forward = lambda states, mask: states
        ids = torch.arange(2, 9)[None]
        mask = torch.ones_like(ids)
        mask[:, 4:] = 0
        with torch.inference_mode():
            found, expected = (embed(token_states(each.eval(), ids, mask), mask) for each in (network, whole))
        assert torch.allclose(found, expected, atol=1e-6)

    def test_a_pair_tells_which_came_first_once_that_is_learnt(self, base: BaseModel) -> None:
        network = build_network(base, LABELS, rows=None, dropout=0.0, seed=1, halved=[2]).eval()
        merge = network["encoder"].merges[0]
        with torch.no_grad():
            merge.weight.copy_(torch.cat([torch.eye(16), torch.zeros(16, 16)], dim=1))
        for layer in network["encoder"].encoder.layer[2:]:
            layer.forward = lambda states, mask: states
        whole = build_network(base, LABELS, rows=None, dropout=0.0, seed=1, layers=[0, 1]).eval()
        ids = torch.arange(2, 7)[None]
        with torch.inference_mode():
            found, expected = (token_states(each, ids, torch.ones_like(ids)) for each in (network, whole))
        assert torch.allclose(found[:, [0, 1, 2, 3, 4]], expected[:, [0, 0, 2, 2, 4]], atol=1e-6)

    def test_the_names_of_the_weights_stay(self, base: BaseModel) -> None:
        halved = build_network(base, LABELS, rows=None, dropout=0.0, seed=1, halved=[1]).state_dict()
        plain = build_network(base, LABELS, rows=None, dropout=0.0, seed=1).state_dict()
        assert set(halved) - set(plain) == {"encoder.merges.0.weight", "encoder.merges.0.bias"}
        assert all(torch.equal(halved[name], plain[name]) for name in plain)

    @pytest.mark.parametrize("after", [[3], [2, 1], [1, 1]])
    def test_no_layer_is_left_above(self, base: BaseModel, after: list[int]) -> None:
        with pytest.raises(ModelError, match="cannot be halved after") as caught:
            build_network(base, LABELS, rows=None, dropout=0.0, seed=1, halved=after)
        assert "numbers from 0 to 2" in str(caught.value.fix)


class TestStart:
    def test_it_goes_on_from_the_fitted_weights(self, run: Path) -> None:
        start = find_base_model(str(run), 24)
        network = build_network(start, LABELS, rows=None, dropout=0.0, seed=1)
        stored = load_file(run / "run" / "training" / "weights.safetensors")
        assert {name: tensor.shape for name, tensor in network.state_dict().items()} == {
            name: tensor.shape for name, tensor in stored.items()
        }
        assert all(torch.equal(tensor, stored[name]) for name, tensor in network.state_dict().items())
        assert start.pad_id == 3
        assert network["encoder"].get_input_embeddings().padding_idx == 3
        assert start.load_tokenizer(24).encode("sql").ids

    def test_the_head_goes_by_label(self, run: Path) -> None:
        network = build_network(find_base_model(str(run), 24), ["CWE-89", "CWE-1", "CWE-22"], rows=None, dropout=0.0, seed=1)
        stored = load_file(run / "run" / "training" / "weights.safetensors")
        assert torch.equal(network["head"].weight[[0, 2]], stored["head.weight"][[2, 0]])
        assert torch.equal(network["head"].bias[[0, 2]], stored["head.bias"][[2, 0]])
        assert network["head"].bias[1] == 0

    def test_fewer_layers_and_pairs(self, run: Path) -> None:
        start = find_base_model(str(run), 24)
        network = build_network(start, LABELS, rows=None, dropout=0.0, seed=1, halved=[1])
        assert scores(network, SHORT, LONG, pad_id=start.pad_id).isfinite().all()
        smaller = build_network(start, LABELS, rows=None, dropout=0.0, seed=1, layers=[1])
        layer = "encoder.encoder.layer.{}.output.dense.weight"
        stored = load_file(run / "run" / "training" / "weights.safetensors")
        assert torch.equal(smaller.state_dict()[layer.format(0)], stored[layer.format(1)])

    @pytest.mark.parametrize("halved", [[1], [0]])
    def test_what_became_of_pairs_is_taken_over_where_the_pairs_are_the_same(
        self, run: Path, base: BaseModel, halved: list[int]
    ) -> None:
        before = build_network(base, LABELS, rows=np.arange(40), dropout=0.0, seed=2, layers=[0, 2], halved=[1])
        before["encoder"].merges[0].bias.data += 1
        save_file(before.state_dict(), run / "run" / "training" / "weights.safetensors")
        words = json.loads((run / "manifest.json").read_text())
        words["recipe"]["halve_after"] = [1]
        (run / "manifest.json").write_text(json.dumps(words))
        after = build_network(find_base_model(str(run), 24), LABELS, rows=None, dropout=0.0, seed=1, halved=halved)
        assert (after["encoder"].merges[0].bias == float(halved == [1])).all()

    def test_its_digest_is_that_of_its_weights(self, run: Path, base: BaseModel) -> None:
        before = find_base_model(str(run), 24).digest
        assert before != base.digest
        weights = load_file(run / "run" / "training" / "weights.safetensors")
        weights["head.bias"] += 1
        save_file(weights, run / "run" / "training" / "weights.safetensors")
        assert find_base_model(str(run), 24).digest != before

    def test_it_must_not_be_judged_by_what_the_start_has_learnt(self, run: Path) -> None:
        recipe = load_encoder_recipe("encoder-student")
        fitted = find_fitted_run(run)
        assert fitted is not None
        with pytest.raises(InputError, match="another sources and exclude and party_order and split and shift"):
            fitted.check_split(recipe)
        same = replace(fitted, recipe=recipe.model_dump(mode="json"))
        same.check_split(recipe.model_copy(update={"halve_after": None, "max_length": 64}))
        with pytest.raises(InputError, match="another seed, so"):
            same.check_split(recipe.model_copy(update={"seed": 43}))

    def test_weights_of_something_else(self, run: Path) -> None:
        weights = load_file(run / "run" / "training" / "weights.safetensors")
        del weights["encoder.encoder.layer.1.output.dense.weight"]
        save_file(weights, run / "run" / "training" / "weights.safetensors")
        with pytest.raises(ModelError, match="are not those of a"):
            build_network(find_base_model(str(run), 24), LABELS, rows=None, dropout=0.0, seed=1)
        (run / "run" / "training" / "weights.safetensors").write_bytes(b"cut short")
        with pytest.raises(ModelError, match="cannot read the weights"):
            build_network(find_base_model(str(run), 24), LABELS, rows=None, dropout=0.0, seed=1)
        (run / "run" / "training" / "weights.safetensors").unlink()
        with pytest.raises(ModelError, match="nothing to go on from"):
            find_base_model(str(run), 24)
