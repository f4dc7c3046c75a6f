from __future__ import annotations

import json
import lzma
import random
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytest.importorskip("transformers")

from ctiforge.classify import Classifier
from ctiforge.core.errors import CtiforgeError, InputError, ModelError
from ctiforge.core.files import file_sha256
from ctiforge.models.blend import NEVER_SURE, BlendModel, Places, blend_scores, load_blend
from ctiforge.models.cwe_model import CweModel
from ctiforge.models.encoder import load_encoder
from ctiforge.models.linear import load_linear_model
from ctiforge.models.loading import load_cwe_model
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train import blend_fitting
from ctiforge.train.blend import BlendReport, run_train_blend
from ctiforge.train.classifier import run_train_classifier
from ctiforge.train.descriptions import read_descriptions
from ctiforge.train.distillation import judge_unlabelled, teach
from ctiforge.train.encoder_recipe import EncoderRecipe
from ctiforge.train.recipe import Distillation

TEXT = "SQL injection in Blorbmail before 2.1 lets attackers run database queries through the login form."
TEXTS = [
    TEXT,
    "Path traversal in Snarkshop lets attackers read any file.",
    "An out-of-bounds write in Plughd corrupts heap memory.",
]


@pytest.fixture(scope="module")
def blended(
    encoder: Path, model: Any, corpus: Any, catalogue: CweCatalogue, tmp_path_factory: pytest.TempPathFactory
) -> BlendReport:
    out = tmp_path_factory.mktemp("models") / "blend"
    return run_train_blend(encoder, model.report.folder, corpus.folder, out, catalogue=catalogue, threads=1)


@pytest.fixture
def loaded(blended: BlendReport) -> BlendModel:
    return load_blend(blended.folder, {})


class TestScores:
    def test_log_probabilities_are_added_with_their_weights(self) -> None:
        places = Places.of(["CWE-1", "CWE-2", "CWE-3"], ["CWE-1", "CWE-2"], ["CWE-3", "CWE-1"])
        encoder = np.log(np.array([[0.75, 0.25]], dtype=np.float32)) + 5
        linear = np.log(np.array([[0.9, 0.1]], dtype=np.float32))
        (scores,) = blend_scores(encoder, linear, places, {"encoder": 1.0, "linear": 0.5})
        expected = [np.log(0.75) + 0.5 * np.log(0.1), np.log(0.25) + 0.5 * np.log(0.1), np.log(0.25) + 0.5 * np.log(0.9)]
        assert scores == pytest.approx(expected, abs=1e-5)

    def test_a_part_with_an_unknown_label_is_a_mistake(self) -> None:
        with pytest.raises(KeyError):
            Places.of(["CWE-1"], ["CWE-2"], ["CWE-1"])


class TestModel:
    def test_it_answers_as_its_parts_say(self, loaded: BlendModel) -> None:
        scored = loaded.score(TEXTS)
        assert [loaded.labels[i] for i in scored.scores.argmax(axis=1)] == ["CWE-89", "CWE-22", "CWE-787"]
        assert (scored.probabilities >= 0).all()
        assert (scored.probabilities <= 1).all()

    def test_where_the_linear_model_is_sure_the_encoder_is_not_asked(self, loaded: BlendModel) -> None:
        loaded.sure = 0.0
        scored = loaded.score(TEXTS)
        assert scored.asked == {}
        alone = loaded.linear.score(TEXTS)
        place = [loaded.labels.index(label) for label in loaded.linear.labels]
        np.testing.assert_allclose(scored.probabilities[:, place], alone.probabilities)
        loaded.sure = 1.01
        assert set(loaded.score(TEXTS).asked) == {0, 1, 2}

    def test_order_and_neighbours_change_little(self, loaded: BlendModel) -> None:
        loaded.sure = 1.01
        together, alone = loaded.score(TEXTS), [loaded.score([text]) for text in TEXTS]
        for i, one in enumerate(alone):
            assert together.scores[i] == pytest.approx(one.scores[0], abs=0.05)  # 8-bit activations depend on the batch

    def test_the_words_that_count_are_in_the_text(self, loaded: BlendModel) -> None:
        loaded.sure = 1.01
        label = loaded.labels.index("CWE-89")
        (found,) = loaded.score([TEXT]).contributions([(0, label)], 4)
        assert 0 < len(found.strongest) <= 4
        assert all(part.value > 0 for part in found.strongest)
        assert found.total >= sum(part.value for part in found.strongest) - 1e-6
        words = {TEXT[part.start : part.end] for part in found.strongest}
        assert words <= {*TEXT.replace(".", " . ").split()} | {"2", "1", "."}

    def test_no_text(self, loaded: BlendModel) -> None:
        assert loaded.score([]).scores.shape == (0, len(loaded.labels))


class TestClassifier:
    def test_it_classifies(self, blended: BlendReport, catalogue: CweCatalogue) -> None:
        classifier = Classifier(blended.folder, catalogue=catalogue, threshold=0)
        first, empty = classifier.classify([TEXT, ""])
        assert first.suggestions[0].cwe_id == "CWE-89"
        assert first.suggestions[0].evidence
        assert first.model_digest == blended.digest
        assert empty.reason == "no_description"

    def test_the_encoder_alone_too(self, encoder: Path, catalogue: CweCatalogue) -> None:
        (answer,) = Classifier(encoder, catalogue=catalogue, threshold=0).classify([TEXT])
        assert answer.suggestions[0].cwe_id == "CWE-89"
        assert answer.suggestions[0].evidence
        assert all(TEXT[span.start : span.end] == span.text for span in answer.suggestions[0].evidence)


class TestTraining:
    def test_the_manifest_says_what_was_measured(self, blended: BlendReport) -> None:
        development = blended.development
        assert development["n"] > 90
        assert development["top1"] >= max(part["top1"] for part in development["parts_alone"].values()) - 0.02
        assert 0 <= development["left_to_the_linear_model"] <= 1
        manifest = json.loads((blended.folder / "manifest.json").read_bytes())
        assert set(manifest["threshold"]) == set(manifest["calibration"]) == {"mitre", "nvd"}
        assert manifest["weights"]["encoder"] + manifest["weights"]["linear"] > 0

    def test_a_linear_model_that_ships_is_named_not_copied(
        self, encoder: Path, model: Any, corpus: Any, catalogue: CweCatalogue, tmp_path: Path
    ) -> None:
        shipped = {"tiny": model.report.folder}
        run_train_blend(encoder, model.report.folder, corpus.folder, tmp_path / "out", shipped=shipped, catalogue=catalogue)
        assert not (tmp_path / "out" / "linear").exists()
        assert load_cwe_model(tmp_path / "out", shipped).labels
        with pytest.raises(ModelError, match=r"linear.manifest\.json"):
            load_cwe_model(tmp_path / "out", {})

    def test_another_linear_model_is_refused(self, blended: BlendReport, tmp_path: Path) -> None:
        folder = tmp_path / "blend"
        shutil.copytree(blended.folder, folder)
        manifest = json.loads((folder / "manifest.json").read_bytes())
        manifest["parts"]["linear"]["digest"] = "0" * 64
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(ModelError, match="not the one it was made with"):
            load_blend(folder, {})

    @pytest.mark.parametrize("name", ["model.int8.onnx", "tokenizer.json", "head.npz"])
    def test_a_damaged_encoder_is_refused(self, blended: BlendReport, tmp_path: Path, name: str) -> None:
        folder = tmp_path / "blend"
        shutil.copytree(blended.folder, folder)
        file = folder / "encoder" / name
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(ModelError, match="SHA-256 differs"):
            load_blend(folder, {})

    def test_a_linear_model_that_saw_the_development_split_is_refused(
        self, encoder: Path, model: Any, corpus: Any, catalogue: CweCatalogue, tmp_path: Path
    ) -> None:
        folder = tmp_path / "late"
        shutil.copytree(model.report.folder, folder)
        manifest = json.loads((folder / "manifest.json").read_bytes())
        manifest["recipe"]["split"]["development_from"] = "2099-08-01"
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(InputError, match="learnt from CVEs of the development split"):
            run_train_blend(encoder, folder, corpus.folder, tmp_path / "out", catalogue=catalogue)


class TestWindow:
    def test_too_small_a_window_gives_policy_nvd_nothing_of_its_own(
        self, windowed: tuple[Path, Path, Path], catalogue: CweCatalogue, tmp_path: Path
    ) -> None:
        made = run_train_blend(*windowed, tmp_path / "blend", catalogue=catalogue, threads=1)
        manifest = json.loads((made.folder / "manifest.json").read_bytes())
        assert manifest["shift"] == {}
        assert manifest["calibration"]["nvd"] == manifest["calibration"]["mitre"]
        assert [set(each) for each in manifest["windows"]] == [{"party", "as_it_is"}]

    def test_policy_nvd_gets_a_shift_and_a_calibration_of_its_window(
        self, windowed: tuple[Path, Path, Path], catalogue: CweCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(blend_fitting, "MIN_SHIFT_EXAMPLES", 100)
        made = run_train_blend(*windowed, tmp_path / "blend", catalogue=catalogue, threads=1)
        manifest = json.loads((made.folder / "manifest.json").read_bytes())
        weights = manifest["weights"]
        assert manifest["calibration"]["nvd"] != manifest["calibration"]["mitre"]
        (window,) = manifest["windows"]
        assert window["as_it_is"]["n"] == window["shifted"]["n"] == 120

        model = load_blend(made.folder, {})
        model.sure = NEVER_SURE
        places = Places.of(model.labels, model.encoder.labels, model.linear.labels)
        seen = (model.encoder.encode(TEXTS).logits, model.linear.score(TEXTS).scores, places)
        np.testing.assert_allclose(model.score(TEXTS, "mitre").scores, blend_scores(*seen, weights), atol=1e-5)
        shift = np.array(manifest["shift"]["nvd"], np.float32)
        np.testing.assert_allclose(model.score(TEXTS, "nvd").scores, blend_scores(*seen, weights) + shift, atol=1e-5)


class TestTeacher:
    @pytest.fixture
    def unlabelled(self, corpus: Any, tmp_path: Path) -> tuple[Any, Path]:
        """A recipe that wants a teacher, and its data with 40 descriptions that nobody labelled."""
        data = tmp_path / "data"
        shutil.copytree(corpus.folder, data)
        record = corpus.module["record"]
        texts = [f"SQL injection in Zorblat {i} before {i}." for i in range(40)]
        lines = [record(f"CVE-2099-{50_000 + i}", text, date(2099, 2, 1), None) for i, text in enumerate(texts)]
        (data / "feeds" / "more.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        settings = corpus.recipe.model_dump(mode="json")
        settings["sources"].append({"path": "feeds/more.jsonl", "licence": "CC0-1.0"})
        settings["teacher"] = {"since": "2099-01-01"}
        return type(corpus.recipe).model_validate(settings), data

    def test_the_linear_model_learns_what_the_teacher_says_of_unlabelled_texts(
        self, encoder: Path, unlabelled: tuple[Any, Path], catalogue: CweCatalogue, tmp_path: Path
    ) -> None:
        recipe, data = unlabelled
        teacher = load_encoder(encoder)
        made = run_train_classifier(recipe, data, tmp_path / "out", catalogue=catalogue, teachers=[teacher])
        manifest = load_linear_model(made.folder).manifest
        assert manifest["examples"]["taught"] >= 40
        assert manifest["teachers"] == [{"name": "tiny", "digest": teacher.digest}]
        said = sorted(file.name for file in (tmp_path / "out" / "run" / "taught").iterdir())
        assert said
        lines_of_report: list[str] = []
        again = run_train_classifier(
            recipe, data, tmp_path / "out", catalogue=catalogue, teachers=[teacher], report=lines_of_report.append
        )
        assert again.digest == made.digest
        assert sorted(file.name for file in (tmp_path / "out" / "run" / "taught").iterdir()) == said

    def test_of_several_teachers_the_mean_is_learnt(
        self, encoder: Path, model: Any, unlabelled: tuple[Any, Path], catalogue: CweCatalogue, tmp_path: Path
    ) -> None:
        recipe, data = unlabelled
        both = [load_encoder(encoder), load_linear_model(model.report.folder)]
        labels = sorted({*both[0].labels, *both[1].labels})

        def targets(*teachers: CweModel) -> tuple[list[str], np.ndarray]:
            found = teach(teachers, recipe, data, labels, catalogue, tmp_path / "said")
            return found.texts, found.targets.toarray()

        texts, mean = targets(*both)
        (_, one), (_, other) = targets(both[0]), targets(both[1])
        assert len(texts) >= 40
        assert len(one) == len(other) == len(mean)
        assert np.abs(one - other).max() > 0.1
        np.testing.assert_allclose(mean.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(mean, (one + other) / 2, atol=0.05)  # small shares are left out before or after the mean

    def test_a_teacher_without_a_place_in_the_recipe(
        self, encoder: Path, corpus: Any, catalogue: CweCatalogue, tmp_path: Path
    ) -> None:
        with pytest.raises(InputError, match="no 'teacher'"):
            run_train_classifier(
                corpus.recipe, corpus.folder, tmp_path / "out", catalogue=catalogue, teachers=[load_encoder(encoder)]
            )


class TestJudge:
    """A finished model says what it thinks of the descriptions that nobody labelled, for an encoder to learn from."""

    @pytest.fixture
    def encoder_recipe(self, encoder: Path) -> Callable[..., EncoderRecipe]:
        settings = load_encoder(encoder).manifest["recipe"]
        return lambda **changes: EncoderRecipe.model_validate(settings | changes)

    def test_both_parts_of_a_blend_judge_what_is_unlabelled_and_new_enough(
        self,
        blended: BlendReport,
        encoder_recipe: Callable[..., EncoderRecipe],
        corpus: Any,
        catalogue: CweCatalogue,
        tmp_path: Path,
    ) -> None:
        recipe = encoder_recipe(teacher={"share": 0.5, "unlabelled_since": "2099-01-01"})
        model = load_blend(blended.folder, {})
        model.sure = 0.0
        made = judge_unlabelled([model], recipe, corpus.folder, tmp_path, catalogue)
        assert made.digest == file_sha256(made.file)
        chosen = [each for each in read_descriptions(recipe, corpus.folder, catalogue)[0] if not each.labelled]
        with np.load(made.file) as found:
            assert found["cve_ids"].tolist() == [each.cve_id for each in chosen]
            assert len(chosen) == made.texts > 0
            assert found["labels"].tolist() == list(model.labels)
            given = found["probabilities"].astype(np.float32)
        model.sure = NEVER_SURE
        scored = model.score([each.text for each in chosen]).scores
        expected = np.exp(scored - scored.max(axis=1, keepdims=True))
        np.testing.assert_allclose(given, expected / expected.sum(axis=1, keepdims=True), atol=2e-3)

    def test_what_was_judged_before_is_not_judged_again(
        self,
        blended: BlendReport,
        encoder_recipe: Callable[..., EncoderRecipe],
        corpus: Any,
        catalogue: CweCatalogue,
        tmp_path: Path,
    ) -> None:
        recipe = encoder_recipe(teacher={"share": 0.5, "unlabelled_since": "2099-01-01"})
        made = judge_unlabelled([load_blend(blended.folder, {})], recipe, corpus.folder, tmp_path, catalogue)
        deaf = load_blend(blended.folder, {})
        deaf.score = None  # type: ignore[assignment,method-assign]
        assert judge_unlabelled([deaf], recipe, corpus.folder, tmp_path, catalogue) == made

    def test_the_mean_of_several_for_the_descriptions_of_a_classifiers_recipe(
        self, blended: BlendReport, encoder: Path, corpus: Any, catalogue: CweCatalogue, tmp_path: Path
    ) -> None:
        models = [load_blend(blended.folder, {}), load_encoder(encoder)]
        recipe = corpus.recipe.model_copy(update={"teacher": Distillation(since=date(2099, 1, 1))})
        made = judge_unlabelled(models, recipe, corpus.folder, tmp_path, catalogue)
        taught = teach(models, recipe, corpus.folder, models[0].labels, catalogue, tmp_path / "parts")
        with np.load(made.file) as found:
            assert found["labels"].tolist() == list(models[0].labels)
            given = found["probabilities"].astype(np.float32)
        assert len(given) == made.texts == len(taught.texts)
        learnt = taught.targets.toarray()
        np.testing.assert_allclose(
            np.where(learnt > 0, given, 0) / np.where(learnt > 0, given, 0).sum(1)[:, None], learnt, atol=2e-3
        )

    def test_a_recipe_that_wants_none(
        self,
        blended: BlendReport,
        encoder_recipe: Callable[..., EncoderRecipe],
        corpus: Any,
        catalogue: CweCatalogue,
        tmp_path: Path,
    ) -> None:
        model = load_blend(blended.folder, {})
        with pytest.raises(InputError, match="learns nothing from descriptions without a label"):
            judge_unlabelled([model], encoder_recipe(), corpus.folder, tmp_path, catalogue)
        late = encoder_recipe(teacher={"share": 0.5, "unlabelled_since": "2100-01-01"})
        with pytest.raises(InputError, match="no description without a label since 2100-01-01"):
            judge_unlabelled([model], late, corpus.folder, tmp_path, catalogue)


class TestMeasured:
    """`benchmarks/` measures blends as it measures the models that ship."""

    @pytest.fixture(autouse=True)
    def _scripts(self, monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
        monkeypatch.syspath_prepend(repository / "benchmarks")

    @pytest.fixture
    def tsv(self, tmp_path: Path, corpus: Any) -> Path:
        rng = random.Random(3)
        golds = [*corpus.module["TEMPLATES"], "CWE-79", "CWE-20"]
        told = [*golds[:-1], "CWE-22"]
        rows = [
            f"https://nvd.example/CVE-2099-1000{i}\t{corpus.module['sentence'](told[i], rng)}\t{gold}\n"
            for i, gold in enumerate(golds)
        ]
        file = tmp_path / "cti-rcm.tsv"
        file.write_text("URL\tDescription\tGT\n" + "".join(rows), encoding="utf-8")
        return file

    def test_accuracy_has_every_item_and_says_what_each_part_left_out(
        self, blended: BlendReport, tsv: Path, tmp_path: Path
    ) -> None:
        from accuracy import measure_accuracy

        feed = tmp_path / "feed.jsonl.xz"
        record = {"cveMetadata": {"cveId": "CVE-2099-10000", "assignerShortName": "example-cna"}}
        feed.write_bytes(lzma.compress(json.dumps(record).encode() + b"\n"))
        found = measure_accuracy(tsv, feed, str(blended.folder))
        assert found["n"] == found["top1"]["n"] == 6
        assert found["top1"]["value"] == 0.8333  # CWE-20 is no label of the model
        assert found["golds_the_model_does_not_know"] == 1
        assert found["allowed_only"]["best_possible"] == 0.8333  # MITRE discourages CWE-20
        assert found["model_digest"] == blended.digest
        assert [rule["kind"] for rule in found["held_out"]] == ["encoder", "linear"]
        assert all(rule["left_out"]["exact_id"] == 5 and rule["left_out"]["exact_text"] == 5 for rule in found["held_out"])
        assert sum(each["n"] for each in found["by_cna"].values()) == 6

    def test_later_cves_are_compared_in_pairs(self, blended: BlendReport, model: Any, corpus: Any) -> None:
        from dated import measure_dated_splits

        found = measure_dated_splits(corpus.folder, str(blended.folder), str(model.report.folder))
        forward, development = found["forward"], found["development"]
        assert forward["n"] == forward["paired"]["n"] == model.manifest["examples"]["later"] > 0
        assert development["n"] == model.manifest["examples"]["development"]
        difference = forward["paired"]["only_ours_right"] - forward["paired"]["only_theirs_right"]
        assert forward["paired"]["difference"] == pytest.approx(difference / forward["n"], abs=1e-4)
        assert sum(each["n"] for each in forward["reliability"]) == forward["n"]
        assert forward["coverage_curve"][-1]["accuracy"] == forward["any"]["value"]

    def test_8_bits_are_compared_with_the_same_encoder_in_fp32(
        self, blended: BlendReport, encoder: Path, model: Any, tsv: Path, tmp_path: Path
    ) -> None:
        from int8 import measure_int8

        found = measure_int8(tsv, str(blended.folder), encoder)
        for who in ("blend", "encoder_alone"):
            each = found["cti_rcm"][who]
            assert each["int8_top1"]["n"] == each["fp32_top1"]["n"] == each["int8_against_fp32"]["n"] == 6
        assert found["export"]["int8"]["texts"] > 0
        assert measure_int8(tsv, str(blended.folder), None)["cti_rcm"] is None
        other = shutil.copytree(encoder, tmp_path / "other")
        (other / "manifest.json").write_bytes((encoder / "manifest.json").read_bytes() + b"\n")
        with pytest.raises(CtiforgeError, match="is not the one in"):
            measure_int8(tsv, str(blended.folder), other)
        with pytest.raises(CtiforgeError, match="no blend"):
            measure_int8(tsv, str(model.report.folder), encoder)
