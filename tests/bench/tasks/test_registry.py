"""Finding tasks by name, and loading them with their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctiforge.bench.extract import check_rule
from ctiforge.bench.tasks import TASKS, find_task, load_task
from ctiforge.core.errors import InputError, SettingError
from ctiforge.core.files import file_sha256

RCM = "URL\tDescription\tPrompt\tGT\nhttps://nvd.example/CVE-2099-1\td\tp\tCWE-79\n"
TAA = "URL\tText\tPrompt\nhttps://a.example/1\tt\tp\nhttps://a.example/2\tt\tp\n"


def test_the_tasks_are_those_of_the_two_benchmarks() -> None:
    assert list(TASKS) == [
        "cti-rcm", "cti-rcm-2021", "cti-mcq", "cti-vsp", "cti-ate", "cti-taa",
        "athena-rcm", "athena-mcq", "athena-vsp", "athena-ate", "athena-taa", "athena-rms",
    ]  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_complete(name: str) -> None:
    task = TASKS[name]
    assert task.name == name
    assert task.description
    assert task.licence
    check_rule(task.default_rule, task.answer_kind)
    published = name.startswith("cti-")
    assert (task.sha256 is not None) is published
    assert (task.url is not None) is published
    if task.url:
        assert task.url.startswith("https://")
        assert task.url.endswith(f"/{task.file}")


@pytest.mark.parametrize(("name", "hint"), [("cti-rmc", "did you mean 'cti-rcm'"), ("xyzzy", "choose one of cti-rcm, ")])
def test_an_unknown_name_gets_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(SettingError) as caught:
        find_task(name)
    assert caught.value.fix is not None
    assert hint in caught.value.fix


@pytest.mark.parametrize("place", ["cti-rcm.tsv", "ctibench/cti-rcm.tsv"])
def test_the_file_is_found_in_the_folder_and_named_outright(place: str, tmp_path: Path) -> None:
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(RCM, "utf-8")
    for data in (tmp_path, path):
        loaded = load_task("cti-rcm", data)
        assert loaded.path == path
        assert loaded.sha256 == file_sha256(path) != TASKS["cti-rcm"].sha256
        assert [sample.id for sample in loaded.samples] == ["cti-rcm/0000"]
        assert not loaded.left_out


def test_an_older_name_of_a_file_is_known(tmp_path: Path) -> None:
    path = tmp_path / "athenabench" / "athena-cti-mcq-3k.jsonl"
    path.parent.mkdir()
    record = {"question": "q", "prompt": "p", "answer": "A", **{f"option_{letter}": letter for letter in "abcde"}}
    path.write_text(json.dumps(record), "utf-8")
    assert load_task("athena-mcq", tmp_path).path == path


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cti-rcm: no cti-rcm\.tsv in ") as caught:
        load_task("cti-rcm", tmp_path)
    assert caught.value.fix is not None
    assert "ctiforge bench fetch cti-rcm" in caught.value.fix
    assert "--data" in caught.value.fix
    with pytest.raises(InputError, match="no such folder") as caught:
        load_task("athena-rcm", tmp_path / "nowhere")
    assert caught.value.fix is not None
    assert "fetch" not in caught.value.fix  # it is not for fetching
    assert "--data" in caught.value.fix


def test_golds_join_by_url_and_by_id(tmp_path: Path) -> None:
    (tmp_path / "cti-taa.tsv").write_text(TAA, "utf-8")
    gold = tmp_path / "gold.csv"
    gold.write_text("URL,gold\nhttps://a.example/2,Velvet Heron\n", "utf-8")
    loaded = load_task("cti-taa", tmp_path, gold=gold)
    assert [sample.target for sample in loaded.samples] == ["", "Velvet Heron"]
    gold.write_text('id,GT\ncti-taa/0000,"Heron, Velvet"\n0001,Amber Newt\n', "utf-8")
    loaded = load_task("cti-taa", tmp_path, gold=gold)
    assert [sample.target for sample in loaded.samples] == ["Heron, Velvet", "Amber Newt"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,gold\ncti-taa/0007,X\n", r"row 0 \(line 2\): no sample has the id or source 'cti-taa/0007'"),
        ("id,gold\n0000,\n", r"'gold' is missing or empty"),
        ("name,gold\n0000,X\n", r"'id' is missing"),
        ("id,gold\n0000,X\n0000,Y\n", r"row 1 \(line 3\): the gold of cti-taa/0000 is 'X' already"),
        ("id,gold\n", "no rows"),
    ],
)
def test_golds_that_do_not_fit_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "cti-taa.tsv").write_text(TAA, "utf-8")
    gold = tmp_path / "gold.csv"
    gold.write_text(text, "utf-8")
    with pytest.raises(InputError, match=reason):
        load_task("cti-taa", tmp_path, gold=gold)


def test_a_gold_file_cannot_change_published_golds(tmp_path: Path) -> None:
    (tmp_path / "cti-rcm.tsv").write_text(RCM, "utf-8")
    gold = tmp_path / "gold.csv"
    gold.write_text("id,gold\n0000,CWE-79\n", "utf-8")
    assert load_task("cti-rcm", tmp_path, gold=gold).samples[0].target == "CWE-79"
    gold.write_text("id,gold\n0000,CWE-80\n", "utf-8")
    with pytest.raises(InputError, match="is 'CWE-79' already, here it is 'CWE-80'"):
        load_task("cti-rcm", tmp_path, gold=gold)


def test_aliases_reach_the_judge(tmp_path: Path) -> None:
    (tmp_path / "cti-taa.tsv").write_text(TAA, "utf-8")
    gold, bundle = tmp_path / "gold.csv", tmp_path / "attack.json"
    gold.write_text("id,gold\n0000,Velvet Heron\n", "utf-8")
    actor = {"type": "intrusion-set", "id": "intrusion-set--1", "name": "Velvet Heron", "aliases": ["Velvet Heron", "TAG-900"]}
    bundle.write_text(json.dumps({"type": "bundle", "objects": [actor]}), "utf-8")
    without = load_task("cti-taa", tmp_path, gold=gold)
    with_table = load_task("cti-taa", tmp_path, gold=gold, aliases=bundle)
    assert not without.task.judge("TAG 900", without.samples[0]).correct
    assert with_table.task.judge("TAG 900", with_table.samples[0]).correct
    assert not with_table.task.judge("TAG 901", with_table.samples[0]).correct


def test_aliases_are_for_tasks_with_actors(tmp_path: Path) -> None:
    (tmp_path / "cti-rcm.tsv").write_text(RCM, "utf-8")
    with pytest.raises(SettingError, match="does not ask for threat actors"):
        load_task("cti-rcm", tmp_path, aliases=tmp_path / "attack.json")
