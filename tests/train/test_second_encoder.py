"""A second encoder over the embeddings of the first: graphs that fit together, and what a blend makes of them."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("transformers")

import onnx
import torch
import zstandard

from ctiforge.core.errors import InputError, ModelError
from ctiforge.core.files import file_sha256
from ctiforge.models.blend import ALWAYS_UNSURE, NEVER_SURE, BlendModel, Places, blend_scores, load_blend
from ctiforge.models.encoder import load_encoder
from ctiforge.models.onnx_runtime import open_session
from ctiforge.models.second_encoder import SECOND_ENCODER_MODEL, load_second_encoder
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train import blend_fitting
from ctiforge.train.blend import run_train_blend
from ctiforge.train.distillation import judge_unlabelled
from ctiforge.train.encoder_base import BaseModel, build_network, find_base_model
from ctiforge.train.encoder_export import export_encoder
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.second_encoder import cut_embeddings, with_token_embeddings, write_joined_encoders

pytestmark = pytest.mark.usefixtures("one_thread")

MODEL = "model.int8.onnx"
TEXTS = [
    "SQL injection in Blorbmail before 2.1 lets attackers run database queries through the login form.",
    "Path traversal in Snarkshop lets attackers read any file.",
    "An out-of-bounds write in Plughd corrupts heap memory.",
    "Something.",
]


def write_manifest(folder: Path, manifest: dict[str, Any], **changes: Any) -> None:
    files = {name: file_sha256(folder / name) for name in (MODEL, "head.npz", "tokenizer.json")}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"files": files} | changes))


@pytest.fixture(scope="module")
def second(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with the embeddings of `encoder`, but not its layers and head."""
    out = tmp_path_factory.mktemp("models") / "second"
    manifest = json.loads((encoder / "manifest.json").read_bytes())
    network = build_network(find_base_model(str(encoder), 24), manifest["labels"], rows=None, dropout=0.0, seed=3)
    torch.manual_seed(4)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "embeddings" not in name:
                weight += 0.3 * weight.std() * torch.randn_like(weight)
    export_encoder(network.eval(), out)
    shutil.copyfile(encoder / "tokenizer.json", out / "tokenizer.json")
    write_manifest(out, manifest, name="second")
    return out


@pytest.fixture
def changed(second: Path, tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that copies the second encoder and changes its manifest."""

    def change(**changes: Any) -> Path:
        copy = shutil.copytree(second, tmp_path / "changed")
        write_manifest(copy, json.loads((copy / "manifest.json").read_bytes()), **changes)
        return copy

    return change


@pytest.fixture(scope="module")
def joined(encoder: Path, second: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "joined"
    write_joined_encoders(encoder, second, out)
    return out


class TestGraphs:
    def test_the_first_encoder_answers_as_before(self, encoder: Path, joined: Path) -> None:
        before, after = (
            load_encoder(encoder).encode(TEXTS, states=True),
            load_encoder(joined / "encoder").encode(TEXTS, states=True),
        )
        np.testing.assert_array_equal(before.logits, after.logits)
        np.testing.assert_array_equal(before.embeddings, after.embeddings)
        for states, same in zip(before.states, after.states, strict=True):
            np.testing.assert_array_equal(states, same)

    def test_the_second_answers_over_the_first_one_s_embeddings_as_it_does_alone(self, second: Path, joined: Path) -> None:
        read = load_encoder(joined / "encoder").encode(TEXTS, token_embeddings=True)
        assert [each.shape for each in read.token_embeddings] == [(len(each.ids), 16) for each in read.encodings]
        cut = load_second_encoder(joined / "second").logits(read.token_embeddings)
        np.testing.assert_array_equal(cut, load_encoder(second).encode(TEXTS).logits)
        assert np.abs(cut - read.logits).max() > 0.02

    def test_it_has_no_embeddings(self, second: Path, joined: Path) -> None:
        packed = (joined / "second" / SECOND_ENCODER_MODEL).read_bytes()
        graph = onnx.load_from_string(zstandard.ZstdDecompressor().decompress(packed)).graph
        assert [each.name for each in graph.input] == ["token_embeddings", "attention_mask"]
        assert [each.name for each in graph.output] == ["logits"]
        assert not any("embeddings" in each.name for each in graph.initializer)
        assert len(packed) < (second / MODEL).stat().st_size

    def test_the_manifests_say_what_was_joined(self, encoder: Path, second: Path, joined: Path) -> None:
        first, cut = (json.loads((joined / part / "manifest.json").read_bytes()) for part in ("encoder", "second"))
        before = json.loads((encoder / "manifest.json").read_bytes())
        assert first["made_from"] == file_sha256(encoder / "manifest.json")
        assert first["outputs"] == [*before["outputs"], "token_embeddings"]
        assert {name for name in before if first[name] != before[name]} == {"outputs", "files"}
        assert cut["made_from"] == file_sha256(second / "manifest.json")
        assert cut["reads"] == {"name": before["name"], "digest": first["made_from"]}
        assert cut["cut"] == {"token_embeddings_difference": 0.0, "logits_difference": 0.0}

    def test_what_was_joined_before_can_be_joined_again(self, second: Path, joined: Path, tmp_path: Path) -> None:
        for out in (tmp_path / "new", shutil.copytree(joined, tmp_path / "old")):
            write_joined_encoders(joined / "encoder" if out.name == "new" else out / "encoder", second, out)
            for name in ("encoder/manifest.json", f"encoder/{MODEL}", "second/manifest.json", f"second/{SECOND_ENCODER_MODEL}"):
                assert file_sha256(out / name) == file_sha256(joined / name)

    def test_states_that_are_halved(self, base: BaseModel, tmp_path: Path) -> None:
        network = build_network(base, ["a", "b"], rows=None, dropout=0.0, seed=1, layers=[0], halved=[0]).eval()
        export_encoder(network, tmp_path)
        model = (tmp_path / MODEL).read_bytes()
        whole = open_session(with_token_embeddings(model), threads=1, extra="accurate")
        cut = open_session(cut_embeddings(model), threads=1, extra="accurate")
        for tokens in (2, 3, 8, 23):
            given = {"input_ids": np.arange(5, 5 + tokens)[None] % 20, "attention_mask": np.ones((1, tokens), dtype=np.int64)}
            given["attention_mask"][0, tokens - tokens // 3 :] = 0
            logits, embedded = whole.run(["logits", "token_embeddings"], given)
            (found,) = cut.run(["logits"], {"token_embeddings": embedded, "attention_mask": given["attention_mask"]})
            np.testing.assert_array_equal(found, logits)


class TestRefused:
    @pytest.mark.parametrize("change", [{"max_length": 23}, {"pad_id": 1}])
    def test_other_settings(self, encoder: Path, changed: Callable[..., Path], change: dict[str, Any], tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=rf"does not read the embeddings of .*: it has {next(iter(change))}"):
            write_joined_encoders(encoder, changed(**change), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_another_tokenizer(self, encoder: Path, changed: Callable[..., Path], tmp_path: Path) -> None:
        other = changed()
        (other / "tokenizer.json").write_bytes((other / "tokenizer.json").read_bytes() + b" ")
        write_manifest(other, json.loads((other / "manifest.json").read_bytes()))
        with pytest.raises(ModelError, match=r"it has another tokenizer\.json"):
            write_joined_encoders(encoder, other, tmp_path / "out")

    @pytest.mark.parametrize("part", ["LayerNorm.bias", "position_embeddings.weight_scale", "word_embeddings.weight_quantized"])
    def test_other_embeddings(self, encoder: Path, changed: Callable[..., Path], part: str, tmp_path: Path) -> None:
        """Nobody's eyes would tell: a bias, a scale, one token's vector."""
        other = changed()
        parsed = onnx.load(other / MODEL)
        (stored,) = (each for each in parsed.graph.initializer if each.name.endswith(f"embeddings.{part}"))
        values = onnx.numpy_helper.to_array(stored).copy()
        if part.endswith("quantized"):
            values[7, 3] ^= 15
        else:
            values += np.float32(0.01)
        stored.CopyFrom(onnx.numpy_helper.from_array(values, stored.name))
        onnx.save(parsed, other / MODEL)
        write_manifest(other, json.loads((other / "manifest.json").read_bytes()))
        with pytest.raises(ModelError, match=r"embeddings that are up to .* away") as refused:
            write_joined_encoders(encoder, other, tmp_path / "out")
        assert "embeddings" in str(refused.value.fix)
        assert not (tmp_path / "out").exists()

    def test_a_damaged_encoder(self, encoder: Path, second: Path, tmp_path: Path) -> None:
        copy = shutil.copytree(second, tmp_path / "copy")
        (copy / MODEL).write_bytes((copy / MODEL).read_bytes()[:-1])
        with pytest.raises(ModelError, match="SHA-256 differs"):
            write_joined_encoders(encoder, copy, tmp_path / "out")

    def test_a_graph_whose_embeddings_end_nowhere(self, second: Path, tmp_path: Path) -> None:
        module = runpy.run_path(str(Path(__file__).parents[1] / "classify" / "tiny_encoder_model.py"))
        other = module["write_encoder"](tmp_path / "other", ["sql"], ["CWE-79", "CWE-89"])
        with pytest.raises(ModelError, match=r"model\.int8\.onnx: no place in the graph where the embeddings end"):
            write_joined_encoders(other, other, tmp_path / "out")

    def test_one_that_has_learnt_the_development_split(
        self, encoder: Path, model: Any, corpus: Any, changed: Callable[..., Path], catalogue: CweCatalogue, tmp_path: Path
    ) -> None:
        recipe = json.loads((encoder / "manifest.json").read_bytes())["recipe"]
        late = changed(recipe=recipe | {"split": recipe["split"] | {"development_from": "2099-08-01"}})
        with pytest.raises(InputError, match="learnt from CVEs of the development split"):
            run_train_blend(
                encoder, model.report.folder, corpus.folder, tmp_path / "out", second=late, catalogue=catalogue, threads=1
            )

    def test_a_threshold_without_a_second_encoder(self, encoder: Path, model: Any, corpus: Any, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="there is no second encoder"):
            run_train_blend(encoder, model.report.folder, corpus.folder, tmp_path / "out", unsure=0.5)


@pytest.fixture(scope="module")
def blended(
    encoder: Path, second: Path, model: Any, corpus: Any, catalogue: CweCatalogue, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("models") / "blend"
    linear = model.report.folder
    return run_train_blend(
        encoder, linear, corpus.folder, out, second=second, sure=0.9, unsure=0.5, unsure_nvd=0.7, catalogue=catalogue, threads=1
    ).folder


class TestBlend:
    @pytest.fixture
    def loaded(self, blended: Path) -> BlendModel:
        return load_blend(blended, {})

    def test_the_manifest_says_what_was_fitted_and_measured(self, blended: Path, encoder: Path, second: Path) -> None:
        manifest = json.loads((blended / "manifest.json").read_bytes())
        assert manifest["sure"] == 0.9
        assert manifest["second"]["unsure"] == {"mitre": 0.5, "nvd": 0.7}
        assert set(manifest["second"]["weights"]) == {"encoder", "second", "linear"}
        assert set(manifest["second"]["calibration"]) == {"mitre", "nvd"}
        assert set(manifest["weights"]) == {"encoder", "linear"}
        development = manifest["development"]
        assert set(development["parts_alone"]) == {"encoder", "second", "linear"}
        assert 0 <= development["read_by_the_second_encoder"] <= 1 - development["left_to_the_linear_model"]
        assert manifest["parts"]["encoder"]["made_from"] == file_sha256(encoder / "manifest.json")
        assert manifest["parts"]["second"]["made_from"] == file_sha256(second / "manifest.json")
        assert manifest["parts"]["second"]["digest"] == file_sha256(blended / "second" / "manifest.json")

    def test_without_a_second_encoder_the_first_is_copied_as_it_is(
        self, encoder: Path, model: Any, corpus: Any, catalogue: CweCatalogue, tmp_path: Path
    ) -> None:
        made = run_train_blend(encoder, model.report.folder, corpus.folder, tmp_path / "out", catalogue=catalogue, threads=1)
        manifest = json.loads((made.folder / "manifest.json").read_bytes())
        assert "second" not in manifest
        assert set(manifest["parts"]) == {"encoder", "linear"}
        assert set(manifest["parts"]["encoder"]) == {"name", "digest", "git_revision"}
        assert "read_by_the_second_encoder" not in manifest["development"]
        assert not (made.folder / "second").exists()
        for name in ("manifest.json", MODEL):
            assert file_sha256(made.folder / "encoder" / name) == file_sha256(encoder / name)

    def test_three_answers_side_by_side(self, loaded: BlendModel, second: Path) -> None:
        """What the linear model leaves is the blend of two, and what that leaves the blend of three."""
        loaded.sure, loaded.unsure = NEVER_SURE, dict.fromkeys(loaded.unsure, ALWAYS_UNSURE)
        assert loaded.second is not None
        places = Places.of(loaded.labels, loaded.encoder.labels, loaded.linear.labels, loaded.second.labels)
        logits = loaded.encoder.encode(TEXTS).logits
        plain = loaded.linear.scores(loaded.linear.features(TEXTS))
        alone = load_encoder(second).encode(TEXTS).logits
        weights = loaded.manifest["second"]["weights"]
        found = loaded.score(TEXTS)
        np.testing.assert_allclose(found.scores, blend_scores(logits, plain, places, weights, alone), atol=1e-5)
        loaded.unsure = dict.fromkeys(loaded.unsure, 0.0)
        expected = blend_scores(logits, plain, places, loaded.manifest["weights"])
        np.testing.assert_allclose(loaded.score(TEXTS).scores, expected, atol=1e-5)
        loaded.sure = 0.0
        assert loaded.score(TEXTS).asked == {}

    def test_the_share_it_reads_is_that_of_the_development_split(
        self, loaded: BlendModel, corpus: Any, catalogue: CweCatalogue
    ) -> None:
        from ctiforge.train.encoder_material import collect_material

        recipe = EncoderRecipe.model_validate(loaded.encoder.manifest["recipe"])
        texts = [each.text for each in collect_material(recipe, corpus.folder, catalogue).development]
        found = loaded.score(texts)
        development = loaded.manifest["development"]
        assert len(found.read_twice) / len(texts) == pytest.approx(development["read_by_the_second_encoder"], abs=1e-4)
        assert 1 - len(found.asked) / len(texts) == pytest.approx(development["left_to_the_linear_model"], abs=1e-4)

    def test_both_thresholds_are_chosen_where_none_is_given(
        self, encoder: Path, second: Path, model: Any, corpus: Any, catalogue: CweCatalogue, tmp_path: Path
    ) -> None:
        made = run_train_blend(
            encoder, model.report.folder, corpus.folder, tmp_path / "out", second=second, catalogue=catalogue, threads=1
        )
        manifest = json.loads((made.folder / "manifest.json").read_bytes())
        chosen = manifest["second"]["unsure"]
        assert chosen["nvd"] == chosen["mitre"] in (*blend_fitting.UNSURE, ALWAYS_UNSURE)  # there is no window
        assert manifest["sure"] in (*blend_fitting.SURE, NEVER_SURE)

    def test_as_a_teacher_it_reads_every_text_with_all_its_parts(
        self, loaded: BlendModel, encoder: Path, corpus: Any, catalogue: CweCatalogue, tmp_path: Path
    ) -> None:
        settings = load_encoder(encoder).manifest["recipe"]
        recipe = EncoderRecipe.model_validate(settings | {"teacher": {"share": 0.5, "unlabelled_since": "2099-01-01"}})
        judge_unlabelled([loaded], recipe, corpus.folder, tmp_path, catalogue)
        assert loaded.score(TEXTS).read_twice == {0, 1, 2, 3}


def test_policy_nvd_has_a_shift_and_a_calibration_for_three_parts(
    windowed: tuple[Path, Path, Path],
    changed: Callable[..., Path],
    catalogue: CweCatalogue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blend_fitting, "MIN_SHIFT_EXAMPLES", 100)
    encoder, linear, data = windowed
    second = changed(recipe=json.loads((encoder / "manifest.json").read_bytes())["recipe"])
    made = run_train_blend(
        encoder, linear, data, tmp_path / "blend", second=second, sure=0.9, unsure=0.01, catalogue=catalogue, threads=1
    )
    manifest = json.loads((made.folder / "manifest.json").read_bytes())
    settings = manifest["second"]
    assert settings["calibration"]["nvd"] not in (settings["calibration"]["mitre"], manifest["calibration"]["nvd"])
    assert settings["shift"]["nvd"] != manifest["shift"]["nvd"]
    assert settings["unsure"]["mitre"] == 0.01
    assert settings["unsure"]["nvd"] in (*blend_fitting.UNSURE, ALWAYS_UNSURE)  # by the window
    (window,) = manifest["windows"]
    assert window["as_it_is"]["n"] == window["shifted"]["n"] == window["answered"]["n"] == 120
    assert 0 <= window["read_by_the_second_encoder"] <= 1 - window["left_to_the_linear_model"]

    model = load_blend(made.folder, {})
    model.sure, model.unsure = NEVER_SURE, dict.fromkeys(model.unsure, ALWAYS_UNSURE)
    difference = model.score(TEXTS, "nvd").scores - model.score(TEXTS, "mitre").scores
    np.testing.assert_allclose(difference, np.tile(np.array(settings["shift"]["nvd"]), (len(TEXTS), 1)), atol=1e-5)


def test_window_examples_that_the_second_encoder_has_learnt_are_left_out(
    windowed: tuple[Path, Path, Path], changed: Callable[..., Path], catalogue: CweCatalogue, tmp_path: Path
) -> None:
    encoder, linear, data = windowed
    recipe = json.loads((encoder / "manifest.json").read_bytes())["recipe"]
    second = changed(recipe=recipe | {"shift": {"fit": "window", "window_share": 0.5}})
    made = run_train_blend(encoder, linear, data, tmp_path / "blend", second=second, catalogue=catalogue, threads=1)
    (window,) = json.loads((made.folder / "manifest.json").read_bytes())["windows"]
    assert window["as_it_is"]["n"] == 60
