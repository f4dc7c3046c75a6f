"""Building from invented feeds, end to end: what is in the corpus, what left and why, what is done again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from ctiforge.core.errors import InputError, SettingError
from ctiforge.core.files import file_sha256
from ctiforge.core.normalized_text import normalize_text
from ctiforge.corpus.pipeline import run_build
from ctiforge.corpus.recipe import CorpusRecipe
from ctiforge.corpus.stages import StageEvent
from ctiforge.sources.cwe import CweCatalogue


def rows(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="session")
def corpus(tiny: Any) -> list[dict[str, Any]]:
    return [row for split in ("train", "development") for row in rows(tiny.report.folder / f"{split}.jsonl")]


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".stages" not in path.parts)
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def done_again(report: Any) -> list[str]:
    return [stage.name for stage in report.stages if not stage.skipped]


class TestContent:
    def test_every_cve_is_kept_or_rejected_once(self, tiny: Any, corpus: list[dict[str, Any]]) -> None:
        read = {each["cveMetadata"]["cveId"] for each in tiny.module["feed_records"]()}
        rejected = [
            row["source_id"] for row in rows(tiny.report.folder / "rejects.jsonl") if row["source_id"].startswith("CVE-")
        ]
        kept = [row["source_id"] for row in corpus]
        assert Counter(kept) + Counter(rejected) == Counter(read)

    def test_every_reason(self, tiny: Any) -> None:
        rejected = {row["source_id"]: row["reason"] for row in rows(tiny.report.folder / "rejects.jsonl")}
        expected = {
            "CVE-2099-40000": "exact_id",
            "CVE-2099-40001": "exact_text",
            "CVE-2099-40002": "near_duplicate",
            "CVE-2099-40003": "duplicate",  # of the majority's two, the newer stays
            "CVE-2099-40004": "rare_label",
            "CVE-2099-40005": "label_conflict",
            "CVE-2099-40006": "text_too_short",
            "CVE-2099-40007": "no_label",
            "CVE-2099-40008": "not_mappable",
            "CVE-2090-40009": "other_year",
            "GHSA-xxxx-yyyy-zzzz": "no_cve_id",
            "": "malformed_json",
        }
        assert {key: rejected[key] for key in expected} == expected

    def test_records_say_where_they_come_from(self, tiny: Any, corpus: list[dict[str, Any]]) -> None:
        by_id = {row["id"]: row for row in corpus}
        assert len(by_id) == len(corpus)
        row = by_id["rcm/CVE-2099-10004"]
        assert (row["source"], row["licence"], row["party"], row["date"]) == (
            "feeds/records.jsonl",
            "CC0-1.0",
            "cna",
            "2099-01-05",
        )
        assert row["steps"][:2] == ["read", "label cna"]
        assert {"decontaminate", "deduplicate", "balance"} < set(row["steps"])
        assert ({"train", "development"} & set(row["steps"])) == {"train"}
        assert row["metadata"]["label_source"] == "feeds/records.jsonl"
        assert len(row["source_sha256"]) == 64

    def test_completions_quote_the_description_and_end_with_the_id(self, corpus: list[dict[str, Any]]) -> None:
        for row in corpus:
            assert row["completion"].splitlines()[-1] == row["label"]
            assert row["metadata"]["phrase"] in row["prompt"]
            assert f'"{row["metadata"]["phrase"]}"' in row["completion"] or row["metadata"]["evidence"] == "none"
        assert sum(row["metadata"]["evidence"] != "none" for row in corpus) > 0.9 * len(corpus)

    def test_the_split_is_by_date(self, tiny: Any) -> None:
        folder = tiny.report.folder
        assert max(row["date"] for row in rows(folder / "train.jsonl")) < "2099-10-01"
        assert min(row["date"] for row in rows(folder / "development.jsonl")) >= "2099-10-01"
        assert tiny.report.records == {name: len(rows(folder / f"{name}.jsonl")) for name in ("train", "development")}

    def test_chat_and_parquet_say_the_same(self, tiny: Any) -> None:
        folder = tiny.report.folder
        plain = rows(folder / "train.jsonl")
        chat = [(row["id"], [turn["content"] for turn in row["messages"]]) for row in rows(folder / "train.chat.jsonl")]
        assert chat == [(row["id"], [row["prompt"], row["completion"]]) for row in plain]
        parquet = pytest.importorskip("pyarrow.parquet")
        table = parquet.read_table(folder / "train.parquet").to_pylist()
        assert [(row["prompt"], row["completion"], orjson.loads(row["metadata"])) for row in table] == [
            (row["prompt"], row["completion"], row["metadata"]) for row in plain
        ]

    def test_no_benchmark_item_is_left_by_brute_force(self, tiny: Any, corpus: list[dict[str, Any]]) -> None:
        """Nothing of the checker is used here: every text against every benchmark text, word set against word set."""
        lines = (tiny.data / "bench.tsv").read_text().splitlines()[1:]
        benchmark = [frozenset(normalize_text(line.split("\t")[1]).split()) for line in lines]
        assert not any(row["source_id"] in line for row in corpus for line in lines)
        for row in corpus:
            words = frozenset(
                normalize_text(row["prompt"].removeprefix("Map this to a CWE: ").removesuffix(" Which CWE is it?")).split()
            )
            assert max(len(words & other) / len(words | other) for other in benchmark) < 0.8


class TestAgain:
    @pytest.fixture
    def copy(self, tiny: Any, tmp_path: Path) -> Path:
        return Path(shutil.copytree(tiny.report.folder, tmp_path / "copy"))

    def build(self, tiny: Any, out: Path, catalogue: CweCatalogue, recipe: CorpusRecipe | None = None, **more: Any) -> Any:
        return run_build(recipe or tiny.recipe, tiny.data, out, catalogue=catalogue, **more)

    def test_another_folder_gives_the_same_bytes(self, tiny: Any, tmp_path: Path, catalogue: CweCatalogue) -> None:
        self.build(tiny, tmp_path / "new", catalogue)
        assert tree(tmp_path / "new") == tree(tiny.report.folder)
        assert len(tree(tmp_path / "new")) >= 11

    def test_nothing_is_done_twice(self, tiny: Any, copy: Path, catalogue: CweCatalogue) -> None:
        events: list[StageEvent] = []
        report = self.build(tiny, copy, catalogue, watch=events.append)
        assert {event.state for event in events} == {"skipped"}
        assert not report.published
        assert (tree(copy), report.records) == (tree(tiny.report.folder), tiny.report.records)

    @pytest.mark.parametrize(
        ("part", "change", "expected"),
        [
            ("rcm", {"instructions": "one"}, ["word"]),
            ("split", {"cve_development_from": "2099-10-02"}, ["find-evidence", "split", "word"]),
            ("balance", {"max_per_label": 20}, ["balance", "split", "word"]),
            ("decontaminate", {"near_duplicate": 0.7}, ["decontaminate"]),  # with the same result, so nothing follows
            ("deduplicate", {"near_duplicate": 0.99}, ["deduplicate"]),
        ],
    )
    def test_a_change_does_again_what_depends_on_it(
        self, part: str, change: dict[str, Any], expected: list[str], tiny: Any, copy: Path, catalogue: CweCatalogue
    ) -> None:
        settings = tiny.recipe.model_dump(mode="json")
        if change == {"instructions": "one"}:
            change = {"instructions": settings["rcm"]["instructions"][:1]}
        settings[part] |= change
        report = self.build(tiny, copy, catalogue, CorpusRecipe.model_validate(settings))
        assert done_again(report) == expected
        assert report.published

    def test_a_changed_file_is_read_again(self, tiny: Any, copy: Path, tmp_path: Path, catalogue: CweCatalogue) -> None:
        data = Path(shutil.copytree(tiny.data, tmp_path / "data"))
        with (data / "bench.tsv").open("a") as stream:
            stream.write("https://vulns.example/CVE-2099-10001\tAnother text of a benchmark.\tMap it.\tCWE-1\n")
        report = run_build(tiny.recipe, data, copy, catalogue=catalogue)
        assert done_again(report)[0] == "decontaminate"
        assert "CVE-2099-10001" not in {row["source_id"] for row in rows(copy / "train.jsonl")}

    def test_a_killed_build_goes_on(self, tiny: Any, tmp_path: Path, catalogue: CweCatalogue) -> None:
        def kill(event: StageEvent) -> None:
            if (event.stage, event.state) == ("balance", "started"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.build(tiny, tmp_path / "out", catalogue, watch=kill)
        assert not (tmp_path / "out" / "manifest.json").exists()
        assert done_again(self.build(tiny, tmp_path / "out", catalogue)) == ["balance", "split", "word"]
        assert tree(tmp_path / "out") == tree(tiny.report.folder)

    @pytest.mark.parametrize("name", ["train.jsonl", "rejects.jsonl", "datasheet.md", "plots/labels.svg"])
    def test_a_file_that_was_changed_is_written_again(self, name: str, tiny: Any, copy: Path, catalogue: CweCatalogue) -> None:
        with (copy / name).open("ab") as stream:
            stream.write(b"more")
        report = self.build(tiny, copy, catalogue)
        assert (report.published, done_again(report)) == (True, [])
        assert tree(copy) == tree(tiny.report.folder)


class TestErrors:
    def test_all_missing_files_are_named(self, tiny: Any, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="3 of the files") as caught:
            run_build(tiny.recipe, tmp_path, tmp_path / "out")
        assert all(name in str(caught.value) for name in ("records.jsonl", "labels.jsonl", "bench.tsv"))
        assert not (tmp_path / "out").exists()

    def test_nothing_left(self, tiny: Any, tmp_path: Path, catalogue: CweCatalogue) -> None:
        settings = tiny.recipe.model_dump(mode="json")
        settings["rcm"]["years"] = {"first": 1999, "last": 1999}
        with pytest.raises(InputError, match="no record is left"):
            run_build(CorpusRecipe.model_validate(settings), tiny.data, tmp_path / "out", catalogue=catalogue)

    def test_a_folder_that_cannot_be_written(self, tiny: Any, tmp_path: Path, catalogue: CweCatalogue) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(InputError, match="cannot write"):
            run_build(tiny.recipe, tiny.data, tmp_path / "file", catalogue=catalogue)

    def test_a_model_must_have_something_to_do(self, tiny: Any, tmp_path: Path) -> None:
        from ctiforge.corpus.model_qa import ModelSource

        with pytest.raises(SettingError, match="no model_qa"):
            run_build(tiny.recipe, tiny.data, tmp_path / "out", model=ModelSource("x", lambda: pytest.fail("opened")))


class TestDatasheet:
    def test_counts_are_those_of_the_files(self, tiny: Any, corpus: list[dict[str, Any]]) -> None:
        sheet = orjson.loads((tiny.report.folder / "datasheet.json").read_bytes())
        train = rows(tiny.report.folder / "train.jsonl")
        assert sheet["counts"]["train"]["label"] == dict(Counter(row["label"] for row in train))
        assert sheet["counts"]["train"]["party"] == dict(Counter(row["party"] for row in train))
        assert sum(sheet["lengths"]["train"]["prompt"]) == len(train)
        assert sheet["rejected"] == self._by_stage(tiny)
        assert sheet["contamination"]["removed"] == {
            "exact_id": {"bench.tsv": 1},
            "exact_text": {"bench.tsv": 1},
            "near_duplicate": {"bench.tsv": 1},
        }
        assert sum(sheet["label_usage"]["train"].values()) == len(train)
        assert sheet["conflicts"] == {"groups": 1, "equal_texts": 1}
        assert len(rows(tiny.report.folder / "conflicts.jsonl")) == 1

    def _by_stage(self, tiny: Any) -> dict[str, dict[str, int]]:
        found: dict[str, Counter[str]] = {}
        for row in rows(tiny.report.folder / "rejects.jsonl"):
            found.setdefault(row["stage"], Counter())[row["reason"]] += 1
        return {stage: dict(counts) for stage, counts in found.items()}

    def test_the_page_has_the_numbers(self, tiny: Any) -> None:
        page = (tiny.report.folder / "datasheet.md").read_text("utf-8")
        sheet = orjson.loads((tiny.report.folder / "datasheet.json").read_bytes())
        assert f"{sheet['records']['train']:,} records to train on" in page
        for part in (
            "| CWE-787 |",
            "| near_duplicate | yes |",
            "plots/labels.svg",
            "CC0-1.0",
            "| decontaminate | exact_id | 1 |",
        ):
            assert part in page

    def test_the_manifest_names_every_file_with_its_digest(self, tiny: Any) -> None:
        folder = tiny.report.folder
        manifest = orjson.loads((folder / "manifest.json").read_bytes())
        assert {name: file["sha256"] for name, file in manifest["outputs"].items()} == {
            name: digest for name, digest in tree(folder).items() if name != "manifest.json"
        }
        assert {each["path"] for each in manifest["inputs"]} == {"feeds/records.jsonl", "feeds/labels.jsonl", "bench.tsv"}
        assert CorpusRecipe.model_validate(manifest["recipe"]) == tiny.recipe


def test_stages_follow_each_other(tiny: Any) -> None:
    stages = tiny.report.stages
    assert " ".join(stage.name for stage in stages) == (
        "read-cves label-cves deduplicate decontaminate find-evidence balance split word"
    )
    for before, after in pairwise(stages):
        assert before.kept == after.kept + sum(after.reasons.values())


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(tiny: Any, tmp_path: Path) -> None:
    """Sets come in another order where strings hash otherwise."""
    code = "import sys; from ctiforge.cli import main; main()"
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, "corpus", "build", str(tiny.data / "recipe.yaml")]
        command += ["--data", str(tiny.data), "--out", str(tmp_path / seed)]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": seed})
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    assert tree(tmp_path / "1")["train.jsonl"] == tree(tiny.report.folder)["train.jsonl"]
