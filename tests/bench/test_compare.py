"""Comparison of saved runs: paired, corrected, refused where it would mean nothing."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import binomtest

from ctiforge.bench.compare import compare_many, compare_runs, to_json
from ctiforge.bench.comparison_table import render_comparison
from ctiforge.bench.completion import ScoredItem
from ctiforge.bench.records import load_record
from ctiforge.bench.saved_run import load_run, read_scores
from ctiforge.core.errors import InputError

Answers = Sequence[str]
"""A trial of a task: one letter a sample, ``c`` correct, ``w`` wrong, ``f`` failed, ``-`` not asked."""


def write_run(folder: Path, tasks: dict[str, Answers], **changes: Any) -> Path:
    """Write a run folder as `ctiforge bench run` leaves it; `tasks` maps a task to the trials of it."""
    words = {"c": "correct", "w": "wrong", "f": "failed"}
    scores, results = [], []
    for task, trials in tasks.items():
        rows, valid = [], []
        for number, letters in enumerate(trials):
            items = [
                ScoredItem(task, f"{task}/{place}", number, words[letter], "CWE-79", "CWE-79" if letter == "c" else None)  # type: ignore[arg-type]
                for place, letter in enumerate(letters)
                if letter != "-"
            ]
            scores += [asdict(item) for item in items]
            rows.append({"trial": number, "valid": "f" not in letters, "counts": {}})
            valid += [] if "f" in letters else [item.outcome == "correct" for item in items]
        accuracy = {"mean": sum(valid) / len(valid)} if valid else None
        result = {"task": task, "file": f"{task}.tsv", "sha256": "a" * 64, "rule": "last-cwe", "trials": rows}
        rest = {"answer_kind": "cwe", "n": len(trials[0]), "metrics": {}, "sensitivity": []}
        results.append(result | rest | {"accuracy": accuracy})
    record = {
        "format": "ctiforge-benchmark/1",
        "model": {"name": folder.name},
        "protocol": {"name": "greedy", "version": "1", "digest": "d" * 64, "custom": False},
        "tasks": results,
        "complete": True,
        "environment": {},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scores.jsonl").write_bytes(b"".join(orjson.dumps(item) + b"\n" for item in scores))
    (folder / "record.json").write_bytes(orjson.dumps(record | changes))
    return folder


def change_record(folder: Path, change: Any) -> None:
    record = orjson.loads((folder / "record.json").read_bytes())
    change(record)
    (folder / "record.json").write_bytes(orjson.dumps(record))


def text_of(comparison: Any, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(render_comparison(comparison))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_one_trial_by_hand(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {"rcm": ["ccccwwwwww"]})
    b = write_run(tmp_path / "b", {"rcm": ["cccwccccww"]})
    (row,) = compare_runs(a, b).tasks
    assert (row.n, row.accuracy_a, row.accuracy_b) == (10, 0.4, 0.7)
    assert row.difference == pytest.approx(0.3)
    assert (row.both, row.only_a, row.only_b, row.neither) == (3, 1, 4, 2)
    assert row.p_value == row.p_holm == pytest.approx(binomtest(1, 5).pvalue)
    assert row.ci95_low < 0.3 < row.ci95_high


def test_trials_are_pooled_by_majority_and_by_mean(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {"rcm": ["ccw", "cww", "wcw"]})  # item means 2/3, 2/3, 0
    b = write_run(tmp_path / "b", {"rcm": ["wwc", "cwc", "wwc"]})  # item means 1/3, 0, 1
    (row,) = compare_runs(a, b).tasks
    assert (row.only_a, row.only_b, row.both, row.neither) == (2, 1, 0, 0)
    assert row.difference == pytest.approx(4 / 9 - 4 / 9)
    assert (row.trials_a, row.trials_b) == (3, 3)


def test_half_of_the_trials_is_no_majority(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {"rcm": ["cc", "ww"]})
    b = write_run(tmp_path / "b", {"rcm": ["cw", "cw"]})
    (row,) = compare_runs(a, b).tasks
    assert (row.only_a, row.only_b, row.neither) == (0, 1, 1)


def test_the_interval_agrees_with_resampling_items_one_by_one(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    letters = [["".join(generator.choice(["c", "w"], 200, p=[p, 1 - p])) for _ in range(3)] for p in (0.5, 0.6)]
    a, b = (write_run(tmp_path / name, {"rcm": trials}) for name, trials in zip("ab", letters, strict=True))
    (row,) = compare_runs(a, b).tasks
    means = [np.mean([[letter == "c" for letter in trial] for trial in trials], axis=0) for trials in letters]
    drawn = generator.integers(0, 200, (10_000, 200))
    low, high = np.quantile((means[1] - means[0])[drawn].mean(axis=1), [0.025, 0.975])
    assert (row.ci95_low, row.ci95_high) == (pytest.approx(low, abs=0.005), pytest.approx(high, abs=0.005))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*[st.sampled_from("cw")] * 5), min_size=1, max_size=25))
def test_swapping_the_runs_negates_the_difference(tmp_path: Path, items: list[tuple[str, ...]]) -> None:
    columns = ["".join(column) for column in zip(*items, strict=True)]
    a, b = write_run(tmp_path / "a", {"rcm": columns[:2]}), write_run(tmp_path / "b", {"rcm": columns[2:]})
    (there,), (back,) = compare_runs(a, b).tasks, compare_runs(b, a).tasks
    assert there.difference == -back.difference
    assert (there.ci95_low, there.ci95_high) == pytest.approx((-back.ci95_high, -back.ci95_low), abs=1e-12)
    assert (there.p_value, there.only_a, there.only_b) == (back.p_value, back.only_b, back.only_a)
    assert there.ci95_low - 1e-12 <= there.difference <= there.ci95_high + 1e-12


def test_the_order_of_lines_decides_nothing(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {"rcm": ["ccccwwwwww"]})
    b = write_run(tmp_path / "b", {"rcm": ["cccwccccww", "cwcwcwcwcw"]})
    before = compare_runs(a, b)
    lines = (b / "scores.jsonl").read_bytes().splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    (b / "scores.jsonl").write_bytes(b"".join(lines))
    assert compare_runs(a, b) == before


def test_several_runs_are_one_family(tmp_path: Path) -> None:
    base = write_run(tmp_path / "base", {"rcm": ["w" * 20], "mcq": ["w" * 20]})
    b = write_run(tmp_path / "b", {"rcm": ["c" * 8 + "w" * 12], "mcq": ["c" + "w" * 19]})
    c = write_run(tmp_path / "c", {"mcq": ["c" * 7 + "w" * 13], "rcm": ["c" * 10 + "w" * 10]})
    found = compare_many(base, [b, c])
    assert [(row.run_b, row.task) for row in found.tasks] == [("b", "rcm"), ("b", "mcq"), ("c", "rcm"), ("c", "mcq")]
    raw = [2 / 2**8, 1.0, 2 / 2**10, 2 / 2**7]
    assert [row.p_value for row in found.tasks] == pytest.approx(raw)
    assert [row.p_holm for row in found.tasks] == pytest.approx([0.0234375, 1.0, 0.0078125, 0.03125])
    assert compare_runs(base, b).tasks[0].p_holm == pytest.approx(2 * raw[0])


def test_other_data_is_refused(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", {"rcm": ["cw"]}), write_run(tmp_path / "b", {"rcm": ["cw"]})
    change_record(b, lambda record: record["tasks"][0].update(sha256="b" * 64))
    with pytest.raises(InputError, match=r"rcm: the runs used different data: rcm\.tsv aaaaaaaaaaaa in ") as caught:
        compare_runs(a, b)
    assert caught.value.fix


def test_other_items_are_refused(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {"rcm": ["cwcwcw"]})
    b = write_run(tmp_path / "b", {"rcm": ["cw----"]})
    with pytest.raises(InputError, match=r"rcm: .*different items: 4 only in .*a \(rcm/2, rcm/3, rcm/4, \.\.\.\)"):
        compare_runs(a, b)


def test_other_protocols_rules_and_trials_are_said(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", {"rcm": ["cw"]}), write_run(tmp_path / "b", {"rcm": ["cw", "cc", "cf"]})
    assert compare_runs(a, write_run(tmp_path / "c", {"rcm": ["cc"]})).warnings == []

    def change(record: dict[str, Any]) -> None:
        record["protocol"] |= {"digest": "e" * 64, "custom": True}
        record["tasks"][0]["rule"] = "first-cwe"

    change_record(b, change)
    found = compare_runs(a, b)
    assert found.warnings == [
        "the protocols differ: greedy 1 (dddddddddddd) in a, greedy 1 (eeeeeeeeeeee, custom) in b",
        "rcm: the extraction rules differ: last-cwe in a, first-cwe in b",
        "rcm: 1 valid trials in a, 2 in b",
        "rcm: trials left out of b because they are not complete: 2",
    ]
    assert found.tasks[0].accuracy_b == 0.75
    assert all(f"warning: {warning}" in text_of(found, 200) for warning in found.warnings)


def test_what_is_not_compared_is_said(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {"rcm": ["cw"], "mcq": ["cw"], "ate": ["cw"]})
    b = write_run(tmp_path / "b", {"rcm": ["cw"], "mcq": ["cf"], "vsp": ["cw"]})
    found = compare_runs(a, b)
    assert [row.task for row in found.tasks] == ["rcm"]
    assert found.warnings == [
        "ate: only in a, not compared",
        "vsp: only in b, not compared",
        "mcq: no valid trial in b, not compared; resume the run",
    ]


def test_nothing_in_common_is_refused_with_the_reasons(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", {"rcm": ["cw"]}), write_run(tmp_path / "b", {"rcm": ["cf"], "mcq": ["cw"]})
    with pytest.raises(InputError, match="no task with a valid trial in common") as caught:
        compare_runs(a, b)
    assert "rcm: no valid trial in b" in caught.value.message
    with pytest.raises(InputError, match="nothing to compare with"):
        compare_many(a, [])
    with pytest.raises(InputError, match="named twice"):
        compare_runs(a, tmp_path / "b" / ".." / "a")


def test_scores_that_are_not_those_of_the_record_are_refused(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", {"rcm": ["cw"]}), write_run(tmp_path / "b", {"rcm": ["cw"]})
    change_record(b, lambda record: record["tasks"][0]["accuracy"].update(mean=0.51))
    with pytest.raises(InputError, match=r"scores.jsonl and record.json disagree on rcm: 0.5 and 0.51"):
        compare_runs(a, b)
    (b / "scores.jsonl").write_bytes(b"")
    with pytest.raises(InputError, match=r"disagree on rcm: None and 0\.51"):
        compare_runs(a, b)


def test_runs_are_named_by_model_where_that_tells_them_apart(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "x" / "run", {"rcm": ["cw"]}), write_run(tmp_path / "y" / "run", {"rcm": ["cw"]})
    assert compare_runs(a, b).runs == [str(b)]
    change_record(a, lambda record: record.update(model={"name": "base"}))
    change_record(b, lambda record: record.update(model={"name": "tuned"}))
    found = compare_runs(a, b)
    assert (found.baseline, found.runs) == ("base", ["tuned"])
    c, d = write_run(tmp_path / "c", {"rcm": ["cw"]}), write_run(tmp_path / "d", {"rcm": ["cw"]}, model={})
    assert compare_runs(c, d).runs == ["d"]


def test_json_and_table_say_the_same(tmp_path: Path) -> None:
    a = write_run(tmp_path / "base", {"rcm": ["w" * 15 + "c" * 5], "mcq": ["cwcw" * 5]})
    b = write_run(tmp_path / "tuned", {"rcm": ["c" * 20], "mcq": ["ccww" * 5]})
    found = compare_runs(a, b)
    data = to_json(found)
    assert orjson.loads(orjson.dumps(data)) == data
    assert data["format"] == "ctiforge-comparison/1"
    assert data["tests"]["family"] == 2
    assert data["tasks"][0]["difference"] == 0.75
    shown = text_of(found)
    assert "A = base   B = tuned" in shown
    (rcm,) = (line for line in shown.splitlines() if line.startswith("rcm"))
    interval = f"{100 * found.tasks[0].ci95_low:+.1f} to {100 * found.tasks[0].ci95_high:+.1f}"
    assert rcm.split() == ["rcm", "20", "25.0%", "100.0%", "+75.0", *interval.split(), "0", "15", "6e-05", "1e-04*"]
    (mcq,) = (line for line in shown.splitlines() if line.startswith("mcq"))
    assert mcq.split()[-2:] == ["1.000", "1.000"]
    assert all(len(line) <= 100 for line in shown.splitlines())
    assert "over 2 comparisons" in " ".join(shown.split())


# reading ------------------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    item = ScoredItem("rcm", "rcm/0", 2, "wrong", "CWE-79", "CWE-80", 0.0, 1, ("CWE-80", "CWE-79"), 0.25)
    (tmp_path / "scores.jsonl").write_bytes(orjson.dumps(item) + b"\n\n")
    assert read_scores(tmp_path) == [item]
    assert load_record(write_run(tmp_path / "a", {"rcm": ["cw"]}))["model"] == {"name": "a"}


@pytest.mark.parametrize("reader", [load_run, read_scores])
def test_a_folder_or_file_that_is_not_there(tmp_path: Path, reader: Any) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder") as caught:
        reader(tmp_path / "nowhere")
    assert "ctiforge bench run" in (caught.value.fix or "")
    with pytest.raises(InputError, match="in this folder"):
        reader(tmp_path)
    for name in ("record.json", "scores.jsonl"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        reader(tmp_path)


def test_a_task_without_a_name_is_refused(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", {"rcm": ["cw"]}), write_run(tmp_path / "b", {"rcm": ["cw"]})
    change_record(b, lambda record: record["tasks"][0].pop("task"))
    with pytest.raises(InputError, match=r"tasks\[0\]\.task is missing"):
        compare_runs(a, b)


GOOD = {"task": "rcm", "sample_id": "rcm/0", "trial": 0, "outcome": "wrong", "target": "CWE-79"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"task": "rcm", "sam', "not JSON"),
        (b"[1]", "not a JSON object"),
        (orjson.dumps({"task": "rcm", "trial": 0}), "without outcome, sample_id, target"),
        (orjson.dumps(GOOD | {"colour": 1}), "with colour, which this version does not know"),
        (orjson.dumps(GOOD | {"outcome": "right"}), "outcome is 'right', none of correct, wrong"),
        (orjson.dumps(GOOD | {"outcome": []}), "outcome is []"),
        (orjson.dumps(GOOD | {"trial": True}), "trial is True, not a whole number"),
        (orjson.dumps(GOOD | {"trial": -1}), "trial is -1"),
        (orjson.dumps(GOOD | {"permutation": "1"}), "permutation is '1'"),
        (orjson.dumps(GOOD | {"value": "x"}), "value is 'x', not a number"),
        (orjson.dumps(GOOD | {"answer": 79}), "answer is 79, not a text"),
        (orjson.dumps(GOOD | {"sample_id": 7}), "sample_id is 7, not a text"),
        (orjson.dumps(GOOD | {"ranked": ["CWE-79", 1]}), "not a list of texts"),
        (orjson.dumps(GOOD | {"sample_id": "rcm/1"}), "rcm/1 of trial 0 is on line 1 already"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    (tmp_path / "scores.jsonl").write_bytes(orjson.dumps(GOOD | {"sample_id": "rcm/1"}) + b"\n" + line + b"\n")
    with pytest.raises(InputError, match=r"scores\.jsonl:2: ") as caught:
        read_scores(tmp_path)
    assert message in caught.value.message


JSON_VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.lists(st.integers(0, 3), max_size=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*GOOD, "answer", "value", "ranked", "permutation", "confidence"]), JSON_VALUES))
def test_any_line_is_an_item_or_an_input_error(tmp_path: Path, changes: dict[str, Any]) -> None:
    (tmp_path / "scores.jsonl").write_bytes(orjson.dumps(GOOD | changes))
    try:
        (item,) = read_scores(tmp_path)
    except InputError:
        return
    assert item.outcome in ("correct", "wrong", "unparsed", "truncated", "failed")
    assert isinstance(item.trial, int)
    assert isinstance(item.ranked, tuple)
