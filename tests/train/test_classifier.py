from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from ctiforge import __version__
from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256
from ctiforge.core.metrics import expected_calibration_error
from ctiforge.models.linear import LinearModel, load_linear_model
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train import classifier
from ctiforge.train.classifier import run_train_classifier
from ctiforge.train.examples import Example
from ctiforge.train.splits import build_examples, split_examples

LEFT_OUT = {
    "benchmark_exact_id": 5,
    "benchmark_exact_text": 5,
    "no_usable_label": 1,
    "record_cve_rejected": 1,
    "record_malformed_json": 1,
    "record_without_cve_id": 1,
    "text_too_short": 1,
}


def probabilities(model: LinearModel, text: str) -> np.ndarray:
    return model.probabilities(model.scores(model.features([text])), "mitre")[0]


def best(model: LinearModel, text: str) -> str:
    return model.labels[int(probabilities(model, text).argmax())]


@pytest.fixture(scope="module")
def loaded(model: Any) -> LinearModel:
    return load_linear_model(model.report.folder)


@pytest.fixture(scope="module")
def vocabulary(model: Any) -> set[str]:
    return set((model.report.folder / "vocabulary.txt").read_text("utf-8").splitlines())


def test_the_model_knows_the_templates(loaded: LinearModel, corpus: Any) -> None:
    assert loaded.labels == ("CWE-22", "CWE-79", "CWE-89", "CWE-787")
    for cwe_id, template in corpus.module["TEMPLATES"].items():
        text = template.format(product="A product never seen", version="99.9", place="a place never seen")
        assert best(loaded, text) == cwe_id
        assert probabilities(loaded, text).max() > 0.5


def test_the_report_is_what_was_written(model: Any, loaded: LinearModel, vocabulary: set[str]) -> None:
    report = model.report
    assert report.digest == loaded.digest == file_sha256(report.folder / "manifest.json")
    assert (report.labels, report.features) == (4, len(vocabulary))
    assert report.train_examples == model.manifest["examples"]["train"]
    assert {each.name for each in report.folder.iterdir()} == {"manifest.json", "vocabulary.txt", "weights.npz", "run"}
    assert "reading the feeds" in model.messages
    assert any("206 examples, 4 labels; development 103" in message for message in model.messages)


def test_benchmark_cves_are_not_learnt(vocabulary: set[str], corpus: Any) -> None:
    # Each word is in five texts of the training period; the recipe asks for two.
    assert corpus.module["LEARNT"] in vocabulary
    assert [gram for gram in vocabulary if corpus.module["HELD_OUT_BY_ID"] in gram] == []
    assert [gram for gram in vocabulary if corpus.module["HELD_OUT_BY_TEXT"] in gram] == []


def test_without_the_exclusion_they_would_be(corpus: Any, catalogue: CweCatalogue) -> None:
    recipe = corpus.recipe.model_copy(update={"exclude": []})
    collected = build_examples(recipe, corpus.folder, catalogue)
    texts = " ".join(example.text for example in collected.examples)
    assert texts.count(corpus.module["HELD_OUT_BY_ID"]) == texts.count(corpus.module["HELD_OUT_BY_TEXT"]) == 5


def test_the_manifest_says_what_went_in(model: Any, corpus: Any, catalogue: CweCatalogue) -> None:
    manifest = model.manifest
    assert manifest["recipe"] == corpus.recipe.model_dump(mode="json")
    assert (manifest["name"], manifest["ctiforge"], manifest["licence"]) == ("tiny", __version__, "Apache-2.0")
    assert (manifest["cwe_version"], manifest["cwe_digest"]) == (catalogue.version, catalogue.digest)
    assert {"python", "numpy", "scipy"} == set(manifest["packages"])
    assert "git_revision" in manifest
    assert manifest["data"] == [
        {"path": path, "sha256": file_sha256(corpus.folder / path), **more}
        for path, more in {
            "feeds/records.jsonl": {"licence": "CC0-1.0", "use": "train"},
            "feeds/labels.jsonl": {"licence": "CC0-1.0", "use": "train"},
            "benchmark.tsv": {"use": "left out of training"},
        }.items()
    ]


def test_the_manifest_counts_every_record(model: Any) -> None:
    manifest = model.manifest
    assert manifest["left_out"] == LEFT_OUT
    counts = manifest["examples"]
    # 400 dated and 15 marked CVEs, 4 odd ones, 4 undated ones; CVE-2099-10001 is in both feeds.
    cves = 400 + 15 + 4 + 4
    by_cve = [n for reason, n in manifest["left_out"].items() if not reason.startswith("record_")]
    used = counts["train"] + counts["train_rare_label"] + counts["development"] + counts["later"]
    assert used + sum(by_cve) + LEFT_OUT["record_cve_rejected"] == cves
    assert sum(counts["by_label"].values()) == sum(counts["by_party"].values()) == counts["train"]
    assert set(counts["by_label"]) == set(manifest["labels"])
    assert counts["train_rare_label"] == 1
    assert counts["by_party"]["adp"] > 0


def test_the_split_is_cut_by_date(corpus: Any, catalogue: CweCatalogue) -> None:
    split = split_examples(build_examples(corpus.recipe, corpus.folder, catalogue).examples, corpus.recipe)
    assert max(example.day for example in split.train) < date(2099, 7, 1) <= min(example.day for example in split.development)
    assert max(example.day for example in split.development) < date(2099, 10, 1) <= min(example.day for example in split.later)
    undated = {example.cve_id for example in split.development if not example.dated}
    assert undated == {"CVE-2099-5900", "CVE-2099-5999"}
    assert {example.cve_id for example in split.train if not example.dated} == {"CVE-2099-5001", "CVE-2099-5100"}


def test_the_edges_of_the_development_window(corpus: Any) -> None:
    start, end = corpus.recipe.split.development_from, corpus.recipe.split.test_from
    days = [start - timedelta(1), start, end - timedelta(1), end]
    split = split_examples([Example("CVE-2099-1", "text", ("CWE-79",), "cna", day, True) for day in days], corpus.recipe)
    assert [[each.day for each in part] for part in (split.train, split.development, split.later)] == [
        days[:1],
        days[1:3],
        days[3:],
    ]


def test_the_scores_can_be_recomputed_from_the_files(
    model: Any, loaded: LinearModel, corpus: Any, catalogue: CweCatalogue
) -> None:
    split = split_examples(build_examples(corpus.recipe, corpus.folder, catalogue).examples, corpus.recipe)
    ranked = [probabilities(loaded, example.text) for example in split.development]
    order = [[loaded.labels[i] for i in np.argsort(-row)] for row in ranked]
    right = np.array([first[0] in example.labels for first, example in zip(order, split.development, strict=True)])
    third = [bool(set(first[:3]) & set(example.labels)) for first, example in zip(order, split.development, strict=True)]
    confidence = np.array([row.max() for row in ranked])
    said = model.manifest["development"]
    assert said["n"] == len(split.development) == model.report.development.n
    assert said["top1"] == pytest.approx(right.mean(), abs=5e-5)
    assert said["top3"] == pytest.approx(np.mean(third), abs=5e-5)
    assert said["expected_calibration_error_15_bins"] == pytest.approx(expected_calibration_error(confidence, right), abs=5e-5)
    assert 0.85 < said["top1"] < 1  # one label in ten is another's
    assert (said["from"], said["until"]) == ("2099-07-01", "2099-10-01")
    threshold = model.manifest["threshold"]["nvd"]
    assert right[confidence >= threshold].mean() >= corpus.recipe.target_precision
    assert confidence.min() - 1e-4 <= threshold <= confidence.max() + 1e-4


def test_the_same_training_gives_the_same_bytes(
    corpus: Any, catalogue: CweCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "git_revision", lambda: "0" * 40)  # somebody may commit between the two runs
    first = run_train_classifier(corpus.recipe, corpus.folder, tmp_path / "a", catalogue=catalogue)
    second = run_train_classifier(corpus.recipe, str(corpus.folder), str(tmp_path / "b"), catalogue=catalogue)
    assert first.digest == second.digest
    for name in ("manifest.json", "vocabulary.txt", "weights.npz"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_the_seed_is_part_of_the_digest(corpus: Any, catalogue: CweCatalogue, model: Any, tmp_path: Path) -> None:
    other = run_train_classifier(corpus.recipe.model_copy(update={"seed": 8}), corpus.folder, tmp_path, catalogue=catalogue)
    assert other.digest != model.report.digest


def test_two_labels_are_enough(corpus: Any, catalogue: CweCatalogue, tmp_path: Path) -> None:
    texts = corpus.module["TEMPLATES"]
    kept = [
        line
        for line in (corpus.folder / "feeds" / "records.jsonl").read_text("utf-8").splitlines()
        if '"cweId": "CWE-79"' in line or '"cweId": "CWE-787"' in line
    ]
    (tmp_path / "two.jsonl").write_text("\n".join(kept), encoding="utf-8")
    source = corpus.recipe.sources[0].model_copy(update={"path": "two.jsonl"})
    recipe = corpus.recipe.model_copy(update={"sources": [source], "exclude": []})
    report = run_train_classifier(recipe, tmp_path, tmp_path / "out", catalogue=catalogue)
    model = load_linear_model(report.folder)
    assert model.labels == ("CWE-79", "CWE-787")
    assert best(model, texts["CWE-79"]) == "CWE-79"
    assert best(model, texts["CWE-787"]) == "CWE-787"


def test_a_discouraged_label_is_learnt_but_no_answer_under_policy_mitre(
    corpus: Any, catalogue: CweCatalogue, tmp_path: Path
) -> None:
    feed = (corpus.folder / "feeds" / "records.jsonl").read_text("utf-8").replace('"CWE-89"', '"CWE-74"')
    (tmp_path / "feed.jsonl").write_text(feed, encoding="utf-8")
    source = corpus.recipe.sources[0].model_copy(update={"path": "feed.jsonl"})
    recipe = corpus.recipe.model_copy(update={"sources": [source], "exclude": []})
    report = run_train_classifier(recipe, tmp_path, tmp_path / "out", catalogue=catalogue)
    model = load_linear_model(report.folder)
    assert best(model, corpus.module["TEMPLATES"]["CWE-89"]) == "CWE-74"

    development = split_examples(build_examples(recipe, tmp_path, catalogue).examples, recipe).development
    offered = np.array([label != "CWE-74" for label in model.labels])
    ranked = [np.where(offered, probabilities(model, example.text), 0) for example in development]
    confidence = np.array([row.max() for row in ranked])
    right = np.array([model.labels[row.argmax()] in each.labels for row, each in zip(ranked, development, strict=True)])
    threshold = model.manifest["threshold"]["mitre"]
    assert right.mean() < recipe.target_precision  # a quarter of the split is out of reach, so some must be held back
    assert recipe.target_precision <= right[confidence >= threshold].mean() < recipe.target_precision + 0.05


@pytest.mark.parametrize(
    "change",
    [
        {"min_examples": 10_000},
        {"development_from": "2098-01-01"},
        {"development_from": "2199-01-01", "test_from": "2199-02-01"},
        {"min_documents": 10_000},
    ],
)
def test_nothing_to_train(change: dict[str, Any], corpus: Any, catalogue: CweCatalogue, tmp_path: Path) -> None:
    settings = orjson.loads(corpus.recipe.model_dump_json())
    for name, value in change.items():
        (settings["split"] if name in settings["split"] else settings)[name] = value
    recipe = type(corpus.recipe).model_validate(settings)
    with pytest.raises(InputError, match="nothing to train") as caught:
        run_train_classifier(recipe, corpus.folder, tmp_path / "out", catalogue=catalogue)
    assert "recipe" in str(caught.value.fix)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_missing_feed_is_named(corpus: Any, catalogue: CweCatalogue, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"records\.jsonl") as caught:
        run_train_classifier(corpus.recipe, tmp_path, tmp_path / "out", catalogue=catalogue)
    assert "--data" in str(caught.value.fix)
    (tmp_path / "feeds" / "records.jsonl").mkdir(parents=True)  # a folder is no feed: its digest could not be kept
    with pytest.raises(InputError, match=r"records\.jsonl"):
        run_train_classifier(corpus.recipe, tmp_path, tmp_path / "out", catalogue=catalogue)


def test_a_missing_benchmark_stops_the_training(corpus: Any, catalogue: CweCatalogue, tmp_path: Path) -> None:
    gone = corpus.recipe.exclude[0].model_copy(update={"path": "gone.tsv"})
    recipe = corpus.recipe.model_copy(update={"exclude": [*corpus.recipe.exclude, gone]})
    with pytest.raises(InputError, match=r"gone\.tsv"):
        run_train_classifier(recipe, corpus.folder, tmp_path / "out", catalogue=catalogue)
    assert not (tmp_path / "out").exists()


def test_an_out_that_cannot_be_a_folder_is_refused_before_fitting(
    corpus: Any, catalogue: CweCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_now(*_: object) -> None:
        pytest.fail("fitted first")

    monkeypatch.setattr(classifier, "_fit", not_now)
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match="cannot write the model") as caught:
        run_train_classifier(corpus.recipe, corpus.folder, tmp_path / "out", catalogue=catalogue)
    assert "--out" in str(caught.value.fix)
    assert (tmp_path / "out").read_text("utf-8") == "a file"


@pytest.fixture(scope="module")
def windowed(corpus: Any, catalogue: CweCatalogue, tmp_path_factory: pytest.TempPathFactory) -> LinearModel:
    """A model that also learnt from 120 texts that NVD labelled: path traversal as another entry, the rest at random."""
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("windowed")
    (folder / "benchmark.tsv").write_text((corpus.folder / "benchmark.tsv").read_text("utf-8"), encoding="utf-8")
    (folder / "feeds").symlink_to(corpus.folder / "feeds")
    pairs, records = [], []
    for i in range(120):
        text = (
            f"Path traversal in Gizmolet {i} reads any file."
            if i % 2
            else f"The part zq{i} of Gizmolet is at fault, unit zw{i}."
        )
        label = "CWE-36" if i % 2 else f"CWE-{rng.choice([79, 89])}"
        records.append(corpus.module["record"](f"CVE-2099-{40_000 + i}", text, date(2099, 5, 1), None))
        pairs.append({"prompt": f"Map this. Text: {text}", "response": f"It is {label}"})
    _write_json_lines(folder / "unlabelled.jsonl", records)
    _write_json_lines(folder / "pairs.jsonl", pairs)
    settings = orjson.loads(corpus.recipe.model_dump_json())
    settings["sources"].append({"path": "unlabelled.jsonl", "licence": "CC0-1.0"})
    settings["instructions"] = [{"path": "pairs.jsonl", "licence": "CC0-1.0", "party": "nvd", "text_after": "Text:"}]
    settings |= {"party_order": ["cna", "adp", "nvd"], "min_documents": 1}
    settings["split"]["windows"] = [{"party": "nvd", "since": "2099-04-01", "until": "2099-06-01"}]
    recipe = type(corpus.recipe).model_validate(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "MIN_SHIFT_EXAMPLES", 50)
        report = run_train_classifier(recipe, folder, folder / "out", catalogue=catalogue)
    return load_linear_model(report.folder)


def _write_json_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))


def test_policy_nvd_follows_the_labels_of_its_window(windowed: LinearModel) -> None:
    assert "CWE-36" in windowed.labels
    assert windowed.manifest["examples"]["windows"] == [120]
    scores = windowed.scores(windowed.features(["Path traversal in Gizmolet 999 reads any file."]), "nvd")
    assert windowed.labels[int(scores.argmax())] == "CWE-36"
    assert set(windowed.manifest["shift"]) == {"nvd"}


def test_a_window_is_scored_by_models_that_have_not_seen_the_example(windowed: LinearModel) -> None:
    (window,) = windowed.manifest["windows"]
    # Half of the texts can be foreseen, half only be remembered: with words of their own and labels by chance.
    assert window["n"] == 120
    assert 0.5 <= window["top1"] < 0.9
    assert window["shifted_top1"] < 0.9
    remembered = windowed.scores(
        windowed.features([f"The part zq{i} of Gizmolet is at fault, unit zw{i}." for i in range(0, 120, 2)])
    )
    assert len({windowed.labels[i] for i in remembered.argmax(axis=1)}) > 1
