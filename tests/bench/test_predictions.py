"""Reading predictions: every shape, every way to name an item, and every fault by its place."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.bench.completion import Completion
from ctiforge.bench.predictions import PUBLISHED_TEXT_LIMIT, Predictions, read_predictions
from ctiforge.bench.task import Judgement, LoadedTask, Sample, Task
from ctiforge.core.errors import InputError

TASK = Task(
    "invented", "", "cwe", "invented.tsv", "", "last-cwe", lambda path: [], lambda answer, sample: Judgement(True, 1.0),
    lambda sample: ""
)  # fmt: skip
SAMPLES = tuple(
    Sample(f"invented/{row:04d}", "Which CWE?", "CWE-79", source=f"https://cve.example/detail/CVE-2099-{1000 + row}")
    for row in range(3)
)
LOADED = LoadedTask(TASK, Path("invented.tsv"), "0" * 64, SAMPLES)


def read_text(folder: Path, text: str, name: str = "predictions.jsonl", loaded: LoadedTask = LOADED) -> Predictions:
    path = folder / name
    path.write_text(text)
    return read_predictions(path, loaded)


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def texts(predictions: Predictions) -> list[list[str | None]]:
    """The texts by trial, None for a failed completion."""
    return [[None if each.error else each.text for each in trial.completions] for trial in predictions.trials]


# JSON Lines, arrays and tables


@pytest.mark.parametrize(
    "given_id",
    ["invented/0001", "1", 1, "0001", " 1 ", "https://cve.example/detail/CVE-2099-1001", "CVE-2099-1001", "cve-2099-1001"],
)
def test_every_way_to_name_an_item(tmp_path: Path, given_id: str | int) -> None:
    read = read_text(tmp_path, lines({"id": given_id, "completion": "CWE-79"}))
    assert read.shape == "jsonl"
    assert texts(read) == [[None, "CWE-79", None]]
    assert read.trials[0].missing == 2
    assert read.trials[0].completions[0].finish_reason == "error"
    assert dict(read.trials[0].completions[0].error or {})["kind"] == "missing"


def test_trials_are_kept_apart_and_in_order(tmp_path: Path) -> None:
    rows = [{"id": row, "completion": f"{trial}-{row}", "trial": trial} for trial in (1, 0) for row in (2, 0, 1)]
    assert texts(read_text(tmp_path, lines(*rows))) == [["0-0", "0-1", "0-2"], ["1-0", "1-1", "1-2"]]


def test_a_json_array_and_a_single_object_are_read_too(tmp_path: Path) -> None:
    assert texts(read_text(tmp_path, json.dumps([{"id": 0, "completion": "x"}], indent=1))) == [["x", None, None]]
    assert texts(read_text(tmp_path, '{"id": 2, "completion": "x"}')) == [[None, None, "x"]]


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_table(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "predictions.csv"
    with open(path, "w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(["model", "id", "completion", "trial"])
        writer.writerow(["m", "0", 'two\nlines, a "quote"\tand a tab', "0"])
        writer.writerow(["m", "CVE-2099-1002", "CWE-79", ""])
    read = read_predictions(path, LOADED)
    assert read.shape == "csv"
    assert texts(read) == [['two\nlines, a "quote"\tand a tab', None, "CWE-79"]]


@given(st.lists(st.text().filter(lambda text: text.strip()), min_size=3, max_size=3))
def test_any_text_comes_through_unchanged(tmp_path_factory: pytest.TempPathFactory, given_texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    read = read_text(folder, lines(*({"id": row, "completion": text} for row, text in enumerate(given_texts))))
    assert texts(read) == [given_texts]


@pytest.mark.parametrize("text", ["", "  \n", None])
def test_a_prediction_without_text_failed(tmp_path: Path, text: str | None) -> None:
    first = read_text(tmp_path, lines({"id": 0, "completion": text})).trials[0].completions[0]
    assert first.finish_reason == "error"
    assert dict(first.error or {})["kind"] == "empty"


def test_the_finish_reason_is_kept(tmp_path: Path) -> None:
    read = read_text(tmp_path, lines({"id": 0, "completion": "CWE", "finish_reason": "length"}))
    assert read.trials[0].completions[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("", "the file is empty", "id and completion"),
        ('{"id": 0, "completion": "x"}\n{"id": 1,\n', r"row 1 \(line 2\) is not a JSON object", "one JSON object on each line"),
        ('{"id": 0, "completion": "x"}\n\n7\n', r"row 1 \(line 3\) is not a JSON object", "one JSON object"),
        ('[{"id": 0}', "is not one", "JSON Lines"),
        ("[]", "no predictions", "id and completion"),
        ("[7]", "row 0 is not an object", "id and completion"),
        (lines({"idx": 0, "text": "x"}), r"row 0 \(line 1\) has no id and no completion; it has idx, text",
        "id and completion"),
        (lines({"id": 0, "completion": ["x"]}), "completion is list, not text", "as a string"),
        (lines({"id": None, "completion": "x"}), "id is None", "row number"),
        (lines({"id": True, "completion": "x"}), "id is True", "row number"),
        (lines({"id": 0, "completion": "x", "trial": -1}), "trial is -1", "0, 1, 2"),
        (lines({"id": 0, "completion": "x", "trial": "one"}), "trial is 'one'", "0, 1, 2"),
        (lines({"id": 0, "completion": "x", "finish_reason": "tired"}), "finish_reason is 'tired'", "stop, length, error"),
        ("id,completion\n0,x,y\n", r"row 0 \(line 2\) has more cells", "double quotes"),
        ("id,completion\n0\n", r"row 0 \(line 2\) has fewer cells", "double quotes"),
        ('id,completion\n0,"x\n', "unexpected end of data", "RFC 4180"),
        ("id,completion\n", "no predictions", "id and completion"),
        ("some prose\nand more\n", "has no id and no completion", "id and completion"),
        (lines({"id": 7, "completion": "x"}), r"1 ids are no samples of invented: '7' \(row 0 \(line 1\)\)", "invented/0000"),
        (lines({"id": "9" * 5000, "completion": "x"}), "1 ids are no samples", "--task"),
        (lines(*({"id": f"z{n}", "completion": "x"} for n in range(9))), "9 ids .* and 4 more", "row number from 0"),
        (lines({"id": 1, "completion": "x"}, {"id": "CVE-2099-1001", "completion": "y"}),
         r"row 1 \(line 2\): 'CVE-2099-1001' was predicted already at row 0 \(line 1\)", "field trial"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place_and_a_fix(tmp_path: Path, text: str, message: str, fix: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_text(tmp_path, text)
    assert str(tmp_path) in error.value.message
    assert fix in str(error.value.fix)


def test_an_id_that_several_samples_share_is_refused(tmp_path: Path) -> None:
    shared = [Sample(f"q/{row}", "", "B", source="https://example.org/page") for row in range(2)]
    with pytest.raises(InputError, match="several samples of invented share the id") as error:
        read_text(
            tmp_path,
            lines({"id": "https://example.org/page", "completion": "B"}),
            loaded=LoadedTask(TASK, Path("q"), "", shared),
        )
    assert "row number" in str(error.value.fix)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_predictions(tmp_path / "absent.jsonl", LOADED)
    (tmp_path / "half.xz").write_bytes(lzma.compress(b'{"id": 0, "completion": "x"}' * 500)[:-20])
    with pytest.raises(InputError, match="ends too early"):
        read_predictions(tmp_path / "half.xz", LOADED)
    (tmp_path / "binary.csv").write_bytes(b"id,completion\n\xff\xfe")
    with pytest.raises(InputError, match="byte 14 is not UTF-8"):
        read_predictions(tmp_path / "binary.csv", LOADED)
    with pytest.raises(InputError, match=r"no completions\.jsonl in this folder"):
        read_predictions(tmp_path, LOADED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda each: st.lists(each, max_size=3), max_leaves=3
)
NAMES = st.sampled_from(
    ["id", "completion", "trial", "sample_id", "text", "task", "finish_reason", "ranked", "error", "subsets", "invented"]
)


@given(
    st.one_of(
        st.binary(max_size=60),
        st.text(alphabet='{}[]",:\n\tidcompletion0', max_size=60).map(str.encode),
        st.lists(st.dictionaries(NAMES, st.one_of(JSON, st.dictionaries(NAMES, JSON, max_size=3)), max_size=9), max_size=3).map(
            lambda rows: lines(*rows).encode("utf-8", "replace")
        ),
    )
)
def test_no_file_ends_in_anything_but_predictions_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "completions.jsonl"
    path.write_bytes(data)
    with suppress(InputError):
        assert all(len(trial.completions) == len(SAMPLES) for trial in read_predictions(path, LOADED).trials)


# Run folders


def run_line(row: int, text: str = "CWE-79", **fields: Any) -> dict[str, Any]:
    base = Completion("invented", f"invented/{row:04d}", 0, text, "stop", attempts=2, seconds=0.5, ranked=("CWE-79",))
    return json.loads(json.dumps(asdict(base))) | fields


def failed(row: int) -> dict[str, Any]:
    return run_line(row, "", finish_reason="error", error={"kind": "timeout", "message": "slow", "status": None})


def test_a_run_folder_and_its_file(tmp_path: Path) -> None:
    (tmp_path / "completions.jsonl").write_text(
        lines(run_line(1), run_line(0, "x"), run_line(0, "other", task="another"), run_line(2))
    )
    for path in (tmp_path, tmp_path / "completions.jsonl"):
        read = read_predictions(path, LOADED)
        assert read.shape == "run"
        assert texts(read) == [["x", "CWE-79", "CWE-79"]]
        assert read.trials[0].completions[0] == Completion(
            "invented", "invented/0000", 0, "x", "stop", attempts=2, seconds=0.5, ranked=("CWE-79",)
        )


def test_of_an_item_asked_again_after_a_failure_the_last_line_counts(tmp_path: Path) -> None:
    (tmp_path / "completions.jsonl").write_text(lines(failed(0), run_line(0, "x"), failed(1)))
    read = read_predictions(tmp_path, LOADED)
    assert texts(read) == [["x", None, None]]
    assert dict(read.trials[0].completions[1].error or {})["kind"] == "timeout"
    assert read.trials[0].missing == 1


def test_half_a_line_at_the_end_of_a_killed_run_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "completions.jsonl").write_text(lines(run_line(0)) + json.dumps(run_line(1))[:40])
    assert texts(read_predictions(tmp_path, LOADED)) == [["CWE-79", None, None]]


def test_rotations_of_a_run_are_items_of_their_own(tmp_path: Path) -> None:
    rows = [run_line(row, f"{row}{turn}", permutation=turn) for turn in (1, 0) for row in (0, 1)]
    (tmp_path / "completions.jsonl").write_text(lines(*rows))
    read = read_predictions(tmp_path, LOADED)
    assert texts(read) == [["00", "01", "10", "11", None, None]]
    assert [each.permutation for each in read.trials[0].completions] == [0, 1] * 3


def test_faults_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "completions.jsonl"
    for rows, message in (
        ([run_line(0), run_line(0)], r"row 1 \(line 2\): invented/0000 of trial 0 was answered on an earlier line"),
        ([run_line(0), {"task": "invented"}], r"row 1 \(line 2\) is not a completion of a run"),
        ([run_line(0, trial="0")], "is not a completion of a run"),
        ([run_line(0, ranked=5)], "is not a completion of a run"),
        ([run_line(0, choice_logprobs=[1])], "is not a completion of a run"),
        ([run_line(0, task="another")], "no predictions for invented; it has another"),
        ([run_line(8)], "1 ids are no samples of invented: 'invented/0008'"),
    ):
        path.write_text(lines(*rows))
        with pytest.raises(InputError, match=message):
            read_predictions(tmp_path, LOADED)


# Published documents


def published(items: list[dict[str, Any]], **trial: Any) -> dict[str, Any]:
    first = {"n": 3, "parseable": 3, "correct": 1, "accuracy_total": 0.333}
    last = {"n": 3, "parseable": 2, "correct": 2, "accuracy_total": 0.667, "predictions": items} | trial
    return {"model": "m", "subsets": {"invented": {"trials": [first, last]}}}


def item(row: int, text: str | None = "CWE-79", **fields: Any) -> dict[str, Any]:
    return {
        "idx": row,
        "url": SAMPLES[row].source,
        "gold": "CWE-79",
        "pred_raw": text,
        "pred": "CWE-79",
        "correct": True,
    } | fields


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_a_published_document(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    long = "x" * PUBLISHED_TEXT_LIMIT
    document = published([item(2), item(0, "CWE-1", pred=None), item(1, long)])
    path = tmp_path / "predictions"
    path.write_bytes(pack(json.dumps(document, indent=2).encode()))
    read = read_predictions(path, LOADED)
    assert read.shape == "published"
    assert texts(read) == [["CWE-1", long, "CWE-79"]]
    (trial,) = read.trials
    assert (trial.trial, trial.cut) == (1, {"invented/0001"})
    assert trial.printed_answers == {"invented/0000": None, "invented/0001": "CWE-79", "invented/0002": "CWE-79"}
    assert [each.finish_reason for each in trial.completions] == ["stop", "length", "stop"]
    assert [(each.trial, each.accuracy, each.n, each.correct, each.parseable) for each in read.printed] == [
        (0, 0.333, 3, 1, 3), (1, 0.667, 3, 2, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"subsets": {"cti-other": {"trials": []}}}, "no predictions for invented; it has cti-other"),
        ({"subsets": []}, "no predictions for invented; it has none at all"),
        (published([]), "no trial of invented has predictions, only scores"),
        ({"subsets": {"invented": {"trials": [7]}}}, r"trials\[0\] is not an object"),
        (published([item(0), item(0)]), r"predictions\[1\]: 0 comes twice"),
        (published([item(0, idx=9)]), r"'9' \(subsets\.invented\.trials\[1\]\.predictions\[0\]\)"),
        (published([item(0, idx=1)]), "is about https://cve.example/detail/CVE-2099-1000, but row 1"),
        (published([item(0, pred_raw=5)]), r"predictions\[0\] is not an object with idx and pred_raw"),
        (published([7]), r"predictions\[0\] is not an object"),  # type: ignore[list-item]
    ],
)
def test_faults_of_a_published_document(tmp_path: Path, document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_text(tmp_path, json.dumps(document))
