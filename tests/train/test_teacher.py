"""An ensemble judges every description, each by fits that have not learnt it, and a smaller encoder learns from that."""

from __future__ import annotations

import json
import random
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from ctiforge.core.errors import InputError, ModelError
from ctiforge.core.files import file_sha256
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.encoder import run_train_encoder
from ctiforge.train.encoder_fitting import Controls
from ctiforge.train.encoder_recipe import EncoderRecipe, load_encoder_recipe
from ctiforge.train.teacher import MadeTeacher, run_train_teacher

Recipes = Callable[..., EncoderRecipe]


@pytest.fixture(scope="module")
def recipes(corpus: Any, tmp_path_factory: pytest.TempPathFactory) -> Recipes:
    module = runpy.run_path(str(Path(__file__).with_name("tiny_encoder.py")))
    rng = random.Random(1)
    texts = [corpus.module["sentence"](cwe_id, rng) for cwe_id in corpus.module["TEMPLATES"] for _ in range(200)]
    base = module["write_tiny_encoder"](tmp_path_factory.mktemp("base") / "bert", texts, layers=3)
    folder = tmp_path_factory.mktemp("recipes")

    def make(called: str = "tiny", **changes: Any) -> EncoderRecipe:
        file = module["write_tiny_recipe"](folder, corpus.module["RECIPE"], base, "recipe.yaml", **changes)
        return load_encoder_recipe(file).model_copy(update={"name": called})

    return make


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def teacher(
    corpus: Any, recipes: Recipes, catalogue: CweCatalogue, lines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> MadeTeacher:
    ensemble = [recipes("first"), recipes("second", seed=8)]
    return run_train_teacher(
        ensemble, corpus.folder, tmp_path_factory.mktemp("teacher"), folds=2, catalogue=catalogue, device="cpu", threads=1,
        controls=Controls(report_seconds=0, report=lines.append),
    )  # fmt: skip


def test_it_judges_labelled_and_unlabelled_descriptions(teacher: MadeTeacher) -> None:
    with np.load(teacher.file) as arrays:
        cve_ids = set(arrays["cve_ids"].tolist())
        probabilities = arrays["probabilities"]
    assert len(probabilities) == teacher.texts == len(cve_ids) > 200
    assert "CVE-2099-30002" in cve_ids, "nobody labelled it"
    assert not cve_ids & {f"CVE-2099-{20_000 + i}" for i in range(0, 15, 3)}, "a benchmark's"
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=0.01)
    assert file_sha256(teacher.file) == teacher.digest


def test_what_it_says_of_a_labelled_text_is_no_memory_of_its_label(
    teacher: MadeTeacher, corpus: Any, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path
) -> None:
    """One label in ten of the corpus is wrong: fits that had learnt them would know."""
    wrong = {f"CVE-2099-{10_000 + i}" for i in range(0, 180, 10)}
    truth = list(corpus.module["TEMPLATES"])
    with np.load(teacher.file) as arrays:
        labels = arrays["labels"].tolist()
        said = {cve: labels[row.argmax()] for cve, row in zip(arrays["cve_ids"], arrays["probabilities"], strict=True)}
    right = [said[cve] == truth[int(cve[-5:]) % 4] for cve in wrong if cve in said]
    assert len(right) > 10
    assert np.mean(right) > 0.35, "a quarter is chance; who had learnt the labels would have a quarter of them right"


def test_the_ensemble_is_measured_on_what_it_never_learns(teacher: MadeTeacher, lines: list[str]) -> None:
    assert set(teacher.scores) == {"first", "second", "ensemble"}
    assert all(each["n"] > 90 and each["top1"] > 0.6 for each in teacher.scores.values())
    assert teacher.scores["ensemble"]["loss"] <= max(teacher.scores[name]["loss"] for name in ("first", "second"))
    assert any(line.startswith("second: fold 2 of 2") for line in lines)
    assert json.loads((teacher.file.parent / "development.json").read_bytes())["sha256"] == teacher.digest


def test_the_same_call_goes_on(teacher: MadeTeacher, corpus: Any, recipes: Recipes, catalogue: CweCatalogue) -> None:
    weights = teacher.file.parent / "first" / "run" / "fold-0" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    again = run_train_teacher(
        [recipes("first"), recipes("second", seed=8)], corpus.folder, teacher.file.parent, folds=2,
        catalogue=catalogue, device="cpu", threads=1,
    )  # fmt: skip
    assert again.digest == teacher.digest
    assert weights.stat().st_mtime_ns == before


def test_recipes_with_different_examples_are_refused(
    corpus: Any, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path
) -> None:
    ensemble = [recipes("first"), recipes("second", max_per_label=20)]
    with pytest.raises(InputError, match="different examples"):
        run_train_teacher(ensemble, corpus.folder, tmp_path / "out", folds=1, catalogue=catalogue, device="cpu", threads=1)


def test_a_smaller_encoder_learns_from_it_alone(
    teacher: MadeTeacher, corpus: Any, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path
) -> None:
    fit = {"epochs": 8, "batch_size": 16, "learning_rate": 3e-3, "head_learning_rate": 1e-2}
    recipe = recipes(layers=[0, 2], fit=fit, teacher={"share": 1.0, "unlabelled_since": "2099-01-01"})
    lines: list[str] = []
    options: dict[str, Any] = {"catalogue": catalogue, "device": "cpu", "threads": 1, "teacher": teacher.file}
    made = run_train_encoder(recipe, corpus.folder, tmp_path / "out", controls=Controls(report=lines.append), **options)
    manifest = json.loads((made.folder / "manifest.json").read_bytes())
    assert made.development["top1"] > 0.5, "a quarter is chance"
    assert manifest["data"][-1] == {"path": "teacher.npz", "use": "soft targets of a teacher", "sha256": teacher.digest}
    assert any("descriptions without a label are learnt" in line for line in lines)


def test_what_a_gpu_machine_fitted_is_exported_on_another(
    teacher: MadeTeacher, corpus: Any, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options: dict[str, Any] = {"catalogue": catalogue, "device": "cpu", "threads": 1}
    made = run_train_encoder(recipes(), corpus.folder, out, **options)
    manifest = json.loads((out / "manifest.json").read_bytes())
    elsewhere = tmp_path / "elsewhere" / "run"
    (elsewhere / "training").mkdir(parents=True)
    from ctiforge.train.encoder_run import EncoderRun

    run = EncoderRun(recipes(), corpus.folder, tmp_path / "other", catalogue, Controls(), "cpu")
    from ctiforge.train import encoder_run

    print_of = encoder_run._fingerprint(run.recipe, run.provenance, run.base_digest, catalogue, ("cuda", "bf16"))
    done = json.loads((out / "run" / "training" / "done.json").read_bytes())
    (elsewhere / "training" / "done.json").write_text(json.dumps(done | {"fingerprint": print_of}), "utf-8")
    (elsewhere / "training" / "weights.safetensors").write_bytes(
        (out / "run" / "training" / "weights.safetensors").read_bytes()
    )
    (elsewhere / "device.json").write_text('{"device": "cuda", "precision": "bf16"}', "utf-8")
    exported = run_train_encoder(recipes(), corpus.folder, elsewhere.parent, **options)
    words = json.loads((exported.folder / "manifest.json").read_bytes())
    assert (words["fit"]["device"], words["fit"]["precision"]) == ("cuda", "bf16")
    assert words["files"] == manifest["files"]
    assert exported.development == made.development


def test_trouble_is_named(corpus: Any, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path, teacher: MadeTeacher) -> None:
    options: dict[str, Any] = {"catalogue": catalogue, "device": "cpu", "threads": 1}
    with pytest.raises(InputError, match="none is given"):
        run_train_encoder(recipes(teacher={"share": 0.5}), corpus.folder, tmp_path / "a", **options)
    with pytest.raises(InputError, match="no 'teacher'"):
        run_train_encoder(recipes(), corpus.folder, tmp_path / "a", teacher=teacher.file, **options)
    with pytest.raises(ModelError, match="3 layers"):
        run_train_encoder(recipes(layers=[0, 3]), corpus.folder, tmp_path / "a", **options)
