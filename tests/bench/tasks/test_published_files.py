"""The tasks on the files that CTI-Bench published, where they are at hand."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from ctiforge.bench.actors import load_aliases
from ctiforge.bench.extract import extract_answer
from ctiforge.bench.task import LoadedTask
from ctiforge.bench.tasks import TASKS, load_task

ROWS = {"cti-rcm": 1000, "cti-rcm-2021": 1000, "cti-mcq": 2500, "cti-vsp": 1000, "cti-ate": 60, "cti-taa": 50}


@pytest.fixture(scope="module")
def published(shared_data: Path) -> dict[str, LoadedTask]:
    if not (shared_data / "ctibench").is_dir():
        pytest.skip("the files of CTI-Bench are not here")
    return {name: load_task(name, shared_data) for name in ROWS}


@pytest.mark.parametrize("name", ROWS)
def test_all_rows_are_read_and_the_file_is_the_published_one(name: str, published: dict[str, LoadedTask]) -> None:
    loaded = published[name]
    assert loaded.sha256 == TASKS[name].sha256
    assert len(loaded.samples) == ROWS[name]
    assert len({sample.id for sample in loaded.samples}) == ROWS[name]
    assert all(sample.input.strip() and sample.question and sample.source for sample in loaded.samples)
    assert all(bool(sample.target) is (name != "cti-taa") for sample in loaded.samples)
    assert loaded.samples[-1].id == f"{name}/{ROWS[name] - 1:04d}"


@pytest.mark.parametrize("name", [name for name in ROWS if name != "cti-taa"])
def test_every_gold_is_right_and_no_other_answer_is(name: str, published: dict[str, LoadedTask]) -> None:
    loaded = published[name]
    judged = [loaded.task.judge(sample.target, sample) for sample in loaded.samples]
    assert all(each.correct for each in judged)
    assert {each.value for each in judged} == {0.0 if name == "cti-vsp" else 1.0}
    assert not any(loaded.task.judge("nothing", sample).correct for sample in loaded.samples)


@pytest.mark.parametrize("name", [name for name in ROWS if name != "cti-taa"])
def test_the_default_rule_reads_a_plain_right_answer(name: str, published: dict[str, LoadedTask]) -> None:
    task = published[name].task
    for sample in published[name].samples:
        answer = extract_answer(task.default_rule, task.answer_kind, f"It is clear.\n\nAnswer: {sample.target}\n", sample)
        assert answer == sample.target


def test_question_texts_stand_in_their_prompts(published: dict[str, LoadedTask]) -> None:
    """Which they do only if cells that start with a quote are read as they are."""
    for name in ("cti-rcm", "cti-rcm-2021", "cti-vsp", "cti-ate"):
        assert all(sample.question in sample.input for sample in published[name].samples), name


def test_golds_of_rcm(published: dict[str, LoadedTask]) -> None:
    golds = Counter(sample.target for sample in published["cti-rcm"].samples)
    assert golds.most_common(3) == [("CWE-79", 229), ("CWE-89", 84), ("CWE-787", 66)]
    assert len(golds) == 104
    assert len({sample.question for sample in published["cti-rcm"].samples}) == 988
    assert all(sample.metadata["cve_id"] for sample in published["cti-rcm"].samples)


def test_golds_and_options_of_mcq(published: dict[str, LoadedTask]) -> None:
    samples = published["cti-mcq"].samples
    assert Counter(sample.target for sample in samples) == {"C": 928, "B": 813, "D": 385, "A": 374}
    assert sum("nan" in sample.choices for sample in samples) == 5
    for sample in samples:
        assert all(sample.choices)
        options = " ".join(f"{letter}) {option}" for letter, option in zip("ABCD", sample.choices, strict=True))
        assert options in re.sub(r" +", " ", sample.input)


def test_alias_table_of_attack(shared_data: Path) -> None:
    bundle = shared_data / "attack" / "enterprise-attack.json.xz"
    if not bundle.exists():
        pytest.skip("ATT&CK is not here")
    aliases = load_aliases(bundle)
    assert aliases.same("APT28", "Fancy Bear")
    assert aliases.same("Lazarus", "HIDDEN COBRA")
    assert aliases.same("UNC2452", "APT29")  # revoked, and taken over
    assert not aliases.same("Ember Bear", "Saint Bear")  # they share UAC-0056
    assert aliases.same("UAC-0056", "Ember Bear")
    assert not aliases.same("APT28", "APT29")
