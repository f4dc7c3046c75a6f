"""An ensemble judges every description, each by fits that have not learnt it, and a smaller encoder learns from that."""

from __future__ import annotations

import json
import random
import runpy
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from ctiforge.core.errors import InputError, ModelError
from ctiforge.core.files import file_sha256
from ctiforge.models.linear import LinearModel, load_linear_model
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.encoder import run_train_encoder
from ctiforge.train.encoder_checkpoint import FitFolder, Progress
from ctiforge.train.encoder_fitting import Controls
from ctiforge.train.encoder_recipe import EncoderRecipe, load_encoder_recipe
from ctiforge.train.encoder_run import EncoderRun
from ctiforge.train.teacher import MadeTeacher, run_train_teacher

Recipes = Callable[..., EncoderRecipe]


@dataclass(frozen=True)
class Data:
    """The tiny corpus with more descriptions that nobody labelled, by CVE ID."""

    folder: Path
    unlabelled: dict[str, str]


@pytest.fixture(scope="module")
def data(corpus: Any, tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("data") / "corpus"
    shutil.copytree(corpus.folder, folder)
    rng = random.Random(2)
    templates = list(corpus.module["TEMPLATES"])
    texts = {f"CVE-2099-{31_000 + i}": corpus.module["sentence"](templates[i % 4], rng) for i in range(24)}
    with (folder / "feeds" / "records.jsonl").open("a", encoding="utf-8") as file:
        for cve_id, text in texts.items():
            file.write(json.dumps(corpus.module["record"](cve_id, text, date(2099, 3, 2), None)) + "\n")
    return Data(folder, texts)


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
    data: Data, recipes: Recipes, catalogue: CweCatalogue, lines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> MadeTeacher:
    ensemble = [recipes("first"), recipes("second", seed=8)]
    return run_train_teacher(
        ensemble, data.folder, tmp_path_factory.mktemp("teacher"), folds=2, catalogue=catalogue, device="cpu", threads=1,
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


def test_what_it_says_of_a_labelled_text_is_no_memory_of_its_label(teacher: MadeTeacher, corpus: Any) -> None:
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


def test_the_same_call_goes_on(teacher: MadeTeacher, data: Data, recipes: Recipes, catalogue: CweCatalogue) -> None:
    weights = teacher.file.parent / "first" / "run" / "fold-0" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    again = run_train_teacher(
        [recipes("first"), recipes("second", seed=8)], data.folder, teacher.file.parent, folds=2,
        catalogue=catalogue, device="cpu", threads=1,
    )  # fmt: skip
    assert again.digest == teacher.digest
    assert weights.stat().st_mtime_ns == before


@dataclass(frozen=True)
class Scripted:
    """A finished model that says the same of every text."""

    probabilities: Sequence[float]
    labels: tuple[str, ...]
    manifest: dict[str, Any] = field(default_factory=lambda: {"recipe": {"split": {"development_from": "2099-07-01"}}})
    name: str = "scripted"
    digest: str = "5c" * 32

    def score(self, texts: list[str], policy: str | None = None) -> Any:
        return SimpleNamespace(probabilities=np.tile(np.array(self.probabilities, dtype=np.float64), (len(texts), 1)))


Join = Callable[..., MadeTeacher]


@pytest.fixture
def join(teacher: MadeTeacher, data: Data, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path) -> Join:
    """Make the teacher again in a copy of its folder, where its fits are finished, with models beside it."""

    def make(*beside: Any) -> MadeTeacher:
        out = tmp_path / "beside"
        shutil.copytree(teacher.file.parent, out, dirs_exist_ok=True)
        return run_train_teacher(
            [recipes("first"), recipes("second", seed=8)], data.folder, out, folds=2, beside=beside,
            catalogue=catalogue, device="cpu", threads=1,
        )  # fmt: skip

    return make


@pytest.fixture(scope="module")
def linear(model: Any) -> LinearModel:
    return load_linear_model(model.report.folder)


class TestBeside:
    @staticmethod
    def _read(made: MadeTeacher) -> tuple[list[str], list[str], npt.NDArray[np.float32]]:
        with np.load(made.file) as arrays:
            return arrays["cve_ids"].tolist(), arrays["labels"].tolist(), arrays["probabilities"].astype(np.float32)

    def test_a_linear_model_has_its_share_in_what_nobody_labelled(
        self, teacher: MadeTeacher, join: Join, data: Data, linear: LinearModel
    ) -> None:
        made = join(linear)
        cve_ids, labels, before = self._read(teacher)
        same_ids, same_labels, after = self._read(made)
        assert (same_ids, same_labels) == (cve_ids, labels)
        labelled = [i for i, cve_id in enumerate(cve_ids) if cve_id not in {*data.unlabelled, "CVE-2099-30002"}]
        assert (after[labelled] == before[labelled]).all()
        rows = [cve_ids.index(cve_id) for cve_id in data.unlabelled]
        said = linear.score(list(data.unlabelled.values())).probabilities
        said = said[:, [linear.labels.index(label) for label in labels]]
        said /= said.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(after[rows], 0.6 * before[rows] + 0.4 * said, atol=1e-3)
        np.testing.assert_allclose(after.sum(axis=1), 1, atol=0.01)
        assert np.abs(after[rows] - before[rows]).max() > 0.05

    def test_it_is_measured_alone_and_with_the_ensemble(self, teacher: MadeTeacher, join: Join, linear: LinearModel) -> None:
        made = join(linear)
        assert set(made.scores) == {"first", "second", "ensemble", linear.name, "all"}
        assert {name: made.scores[name] for name in teacher.scores} == teacher.scores
        assert len({each["n"] for each in made.scores.values()}) == 1
        alone, ensemble, together = (made.scores[name]["loss"] for name in (linear.name, "ensemble", "all"))
        assert together < 0.4 * alone + 0.6 * ensemble, "a mean's cross-entropy is never above the mean of them"
        words = json.loads((made.file.parent / "development.json").read_bytes())
        assert words["scores"] == made.scores
        assert words["beside"] == [{"name": linear.name, "digest": linear.digest}]

    def test_only_labels_that_both_know_are_shared(self, teacher: MadeTeacher, join: Join, data: Data) -> None:
        """0.3 and 0.1 of what it believes in are labels of the recipes: three quarters and one quarter of its share."""
        made = join(Scripted([0.6, 0.1, 0.3], ("CWE-1390", "CWE-89", "CWE-22")))
        cve_ids, labels, before = self._read(teacher)
        rows = [cve_ids.index(cve_id) for cve_id in data.unlabelled]
        expected = 0.6 * before[rows]
        expected[:, labels.index("CWE-22")] += 0.3
        expected[:, labels.index("CWE-89")] += 0.1
        np.testing.assert_allclose(self._read(made)[2][rows], expected, atol=1e-3)

    def test_several_have_the_share_together_and_scores_of_their_own(
        self, teacher: MadeTeacher, join: Join, data: Data
    ) -> None:
        made = join(Scripted([1.0], ("CWE-22",)), Scripted([1e-12], ("CWE-89",), digest="7d" * 32))
        cve_ids, labels, before = self._read(teacher)
        rows = [cve_ids.index(cve_id) for cve_id in data.unlabelled]
        gained = self._read(made)[2][rows] - 0.6 * before[rows]
        np.testing.assert_allclose(gained.mean(axis=0), [0.2 * (label in ("CWE-22", "CWE-89")) for label in labels], atol=1e-3)
        assert {"scripted", f"scripted {'7d' * 6}"} < set(made.scores)

    @pytest.mark.parametrize(
        ("manifest", "why"),
        [
            ({"recipe": {"split": {"development_from": "2099-07-02"}}}, "learnt until 2099-07-02"),
            ({"recipe": {}}, "may have learnt"),
            ({}, "may have learnt"),
        ],
    )
    def test_one_that_knows_the_development_split_is_refused(
        self, data: Data, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path, manifest: dict[str, Any], why: str
    ) -> None:
        model = Scripted([1.0], ("CWE-22",), manifest)
        with pytest.raises(InputError, match=rf"^scripted \(5c5c5c5c5c5c\) {why}.* begins on 2099-07-01"):
            run_train_teacher([recipes()], data.folder, tmp_path / "out", beside=[model], catalogue=catalogue, device="cpu")
        assert not (tmp_path / "out").exists(), "before anything is fitted"

    def test_one_that_knows_no_label_is_refused(self, join: Join) -> None:
        with pytest.raises(InputError, match=r"^scripted \(5c5c5c5c5c5c\) knows none"):
            join(Scripted([1.0], ("CWE-1390",)))


def test_a_finished_fit_is_completed_without_its_targets(
    data: Data, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path
) -> None:
    (tmp_path / "teacher.npz").write_bytes(b"no probabilities")
    run = EncoderRun(
        recipes(teacher={"share": 1.0}), data.folder, tmp_path / "out", catalogue, Controls(), "cpu",
        teacher=tmp_path / "teacher.npz",
    )  # fmt: skip
    fitted, loaded = run.network(), run.network()
    fitted["head"].bias.data += 1
    FitFolder(run.out / "run" / "training", run.fingerprint).finish(Progress(step=3), fitted.state_dict())
    examples = run.material.learnt_by(None)
    assert run.fit(loaded, examples, folder="training", name="training").step == 3
    assert all((tensor == loaded.state_dict()[name]).all() for name, tensor in fitted.state_dict().items())
    with pytest.raises(InputError, match="cannot read the teacher's probabilities"):
        run.fit(loaded, examples, folder="fold-0", name="training")


def test_recipes_with_different_examples_are_refused(
    data: Data, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path
) -> None:
    ensemble = [recipes("first"), recipes("second", max_per_label=20)]
    with pytest.raises(InputError, match="different examples"):
        run_train_teacher(ensemble, data.folder, tmp_path / "out", folds=1, catalogue=catalogue, device="cpu", threads=1)


def test_a_smaller_encoder_learns_from_it_alone(
    teacher: MadeTeacher, data: Data, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path
) -> None:
    fit = {"epochs": 8, "batch_size": 16, "learning_rate": 3e-3, "head_learning_rate": 1e-2}
    recipe = recipes(layers=[0, 2], fit=fit, teacher={"share": 1.0, "unlabelled_since": "2099-01-01"})
    lines: list[str] = []
    options: dict[str, Any] = {"catalogue": catalogue, "device": "cpu", "threads": 1, "teacher": teacher.file}
    made = run_train_encoder(recipe, data.folder, tmp_path / "out", controls=Controls(report=lines.append), **options)
    manifest = json.loads((made.folder / "manifest.json").read_bytes())
    assert made.development["top1"] > 0.5, "a quarter is chance"
    assert manifest["data"][-1] == {"path": "teacher.npz", "use": "soft targets of a teacher", "sha256": teacher.digest}
    assert any("descriptions without a label are learnt" in line for line in lines)


def test_nothing_but_what_the_teacher_says_of_unlabelled_ones(
    teacher: MadeTeacher, data: Data, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path
) -> None:
    def classification(**changes: Any) -> Any:
        words = {"share": 1.0, "unlabelled_since": "2099-01-01", "unlabelled_alone": True} | changes
        run = EncoderRun(
            recipes(teacher=words), data.folder, tmp_path / "out", catalogue, Controls(), "cpu", teacher=teacher.file
        )
        return run._classification(run.material.learnt_by(None))

    alone, both = classification(), classification(unlabelled_alone=False)
    assert len(data.unlabelled) <= len(alone.texts.ids) < len(both.texts.ids)
    np.testing.assert_array_equal(alone.targets, both.targets[-len(alone.targets) :])
    assert alone.example_weights.mean() == pytest.approx(1)
    with pytest.raises(InputError, match="knows none of the descriptions without a label"):
        classification(unlabelled_since="2099-12-01")


def test_the_start_has_its_share_in_what_is_written(
    data: Data, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path
) -> None:
    fit = {"epochs": 1, "batch_size": 16, "learning_rate": 3e-3, "head_learning_rate": 1e-2, "start_share": 0.25}
    run = EncoderRun(recipes(fit=fit), data.folder, tmp_path / "out", catalogue, Controls(), "cpu")
    start = {name: tensor.clone() for name, tensor in run.network().state_dict().items()}
    examples = run.material.learnt_by(None)
    first, again = run.network(), run.network()
    run.fit(first, examples, folder="training", name="training")
    run.fit(again, examples, folder="training", name="training")
    fitted = FitFolder(run.out / "run" / "training", run.fingerprint).load_weights()
    for name, tensor in first.state_dict().items():
        np.testing.assert_allclose(tensor, 0.75 * fitted[name] + 0.25 * start[name], rtol=1e-5, atol=1e-7)
        assert (tensor == again.state_dict()[name]).all()
    assert not (fitted["head.weight"] == start["head.weight"]).all()


def test_what_a_gpu_machine_fitted_is_exported_on_another(
    teacher: MadeTeacher, data: Data, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options: dict[str, Any] = {"catalogue": catalogue, "device": "cpu", "threads": 1}
    made = run_train_encoder(recipes(), data.folder, out, **options)
    manifest = json.loads((out / "manifest.json").read_bytes())
    elsewhere = tmp_path / "elsewhere" / "run"
    (elsewhere / "training").mkdir(parents=True)
    run = EncoderRun(recipes(), data.folder, tmp_path / "other", catalogue, Controls(), "cpu")
    from ctiforge.train import encoder_run

    print_of = encoder_run._fingerprint(run.recipe, run.provenance, run.base_digest, catalogue, ("cuda", "bf16"))
    done = json.loads((out / "run" / "training" / "done.json").read_bytes())
    (elsewhere / "training" / "done.json").write_text(json.dumps(done | {"fingerprint": print_of}), "utf-8")
    (elsewhere / "training" / "weights.safetensors").write_bytes(
        (out / "run" / "training" / "weights.safetensors").read_bytes()
    )
    (elsewhere / "device.json").write_text('{"device": "cuda", "precision": "bf16"}', "utf-8")
    exported = run_train_encoder(recipes(), data.folder, elsewhere.parent, **options)
    words = json.loads((exported.folder / "manifest.json").read_bytes())
    assert (words["fit"]["device"], words["fit"]["precision"]) == ("cuda", "bf16")
    assert words["files"] == manifest["files"]
    assert exported.development == made.development


def test_trouble_is_named(data: Data, recipes: Recipes, catalogue: CweCatalogue, tmp_path: Path, teacher: MadeTeacher) -> None:
    options: dict[str, Any] = {"catalogue": catalogue, "device": "cpu", "threads": 1}
    with pytest.raises(InputError, match="none is given"):
        run_train_encoder(recipes(teacher={"share": 0.5}), data.folder, tmp_path / "a", **options)
    with pytest.raises(InputError, match="no 'teacher'"):
        run_train_encoder(recipes(), data.folder, tmp_path / "a", teacher=teacher.file, **options)
    with pytest.raises(ModelError, match="3 layers"):
        run_train_encoder(recipes(layers=[0, 3]), data.folder, tmp_path / "a", **options)
