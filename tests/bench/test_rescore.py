"""Scoring predictions again: counts, comparison with what is printed, every rule; and the published files to the digit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ctiforge.bench.predictions import PUBLISHED_TEXT_LIMIT
from ctiforge.bench.rescore import Rescore, run_rescore
from ctiforge.bench.task import AnswerKind, Judgement, LoadedTask, Sample, Task
from ctiforge.core.errors import InputError, SettingError


def loaded(kind: AnswerKind, default_rule: str, samples: list[Sample]) -> LoadedTask:
    def judge(answer: str, sample: Sample) -> Judgement:
        return Judgement(answer == sample.target, float(answer == sample.target))

    task = Task("invented", "", kind, "invented.tsv", "", default_rule, lambda path: samples, judge, lambda sample: "")
    return LoadedTask(task, Path("invented.tsv"), "0" * 64, samples)


def cwe_samples(*targets: str) -> list[Sample]:
    return [Sample(f"invented/{row:04d}", "", target, question=f"Weakness {row}") for row, target in enumerate(targets)]


CWE = loaded("cwe", "last-cwe", cwe_samples("CWE-79", "CWE-89", "CWE-22", "CWE-20"))
ANIMALS = ("red fox", "grey wolf", "brown bear", "wild boar")
MCQ = loaded("choice", "cascade", [Sample(f"invented/{row:04d}", "", "C", ANIMALS) for row in range(4)])


def rescore(
    folder: Path, rows: list[dict[str, Any]], task: LoadedTask = CWE, rule: str | None = None, **options: Any
) -> Rescore:
    path = folder / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run_rescore(path, task, rule, **options)


def answers(*texts: str, trial: int = 0) -> list[dict[str, Any]]:
    return [{"id": row, "completion": text, "trial": trial} for row, text in enumerate(texts)]


def test_counts_and_rates_of_a_trial(tmp_path: Path) -> None:
    report = rescore(tmp_path, answers("CWE-79", "CWE-79, not CWE-89", "no idea", "CWE-21"))
    (trial,) = report.trials
    assert dict(trial.counts) == {"correct": 2, "wrong": 1, "unparsed": 1, "truncated": 0, "failed": 0}
    assert (trial.valid, trial.n, trial.accuracy, trial.parse_rate, trial.value) == (True, 4, 0.5, 0.75, pytest.approx(2 / 3))
    assert (report.rule, report.shape, report.n, report.accuracy_mean, report.accuracy_std) == (
        "last-cwe",
        "jsonl",
        4,
        0.5,
        None,
    )
    assert [item.outcome for item in report.items] == ["correct", "correct", "unparsed", "wrong"]


def test_every_rule_and_both_denominators(tmp_path: Path) -> None:
    report = rescore(tmp_path, answers("CWE-79", "CWE-79, not CWE-89", "no idea", "CWE-21\nSo much."), rule="first-cwe")
    found = {row.rule: (row.accuracy, row.accuracy_of_parsed, row.parsed, row.is_default) for row in report.sensitivity}
    assert found == {
        "last-cwe": (0.5, pytest.approx(2 / 3), 3, False),
        "first-cwe": (0.25, pytest.approx(1 / 3), 3, True),
        "unique-cwe": (0.25, 0.5, 2, False),
        "last-line": (0.5, 1.0, 2, False),
    }
    assert all(row.n == 4 and row.whole_n is None for row in report.sensitivity)


def test_a_trial_with_missing_items_is_invalid_and_out_of_the_mean(tmp_path: Path) -> None:
    whole = answers("CWE-79", "CWE-89", "CWE-22", "x") + answers("CWE-79", "x", "x", "x", trial=1)
    report = rescore(tmp_path, whole + answers("CWE-79", "CWE-89", trial=2))
    assert [trial.valid for trial in report.trials] == [True, True, False]
    assert report.trials[2].counts["failed"] == 2
    assert report.trials[2].accuracy == 0.5
    assert report.accuracy_mean == 0.5
    assert report.accuracy_std == pytest.approx(0.5 / 2**0.5)


def test_no_valid_trial_no_mean(tmp_path: Path) -> None:
    report = rescore(tmp_path, answers("CWE-79"))
    assert (report.accuracy_mean, report.accuracy_std) == (None, None)


def test_samples_without_a_target_are_counted_apart(tmp_path: Path) -> None:
    report = rescore(tmp_path, answers("CWE-79", "CWE-89"), loaded("cwe", "last-cwe", cwe_samples("CWE-79", "")))
    assert (report.n, report.unscored, report.accuracy_mean) == (1, 1, 1.0)


def test_repeated_rows_are_left_out_if_asked(tmp_path: Path) -> None:
    samples = [Sample(f"invented/{row:04d}", "", "CWE-79", question="The same") for row in range(3)]
    task = loaded("cwe", "last-cwe", samples)
    rows = answers("CWE-79", "CWE-20", "CWE-20")
    assert rescore(tmp_path, rows, task).accuracy_mean == pytest.approx(1 / 3)
    report = rescore(tmp_path, rows, task, without_duplicates=True)
    assert (report.n, report.dropped_duplicates, report.accuracy_mean) == (1, 2, 1.0)


def test_a_wrong_rule_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="last-letter"):
        run_rescore(tmp_path / "absent", CWE, "last-letter")
    with pytest.raises(InputError):
        run_rescore(tmp_path / "absent", CWE, "last-cwe")


def published(folder: Path, items: list[dict[str, Any]], accuracy: float, n: int) -> Path:
    trial = {"n": n, "accuracy_total": accuracy, "predictions": [{"idx": row, **item} for row, item in enumerate(items)]}
    path = folder / "published.json"
    path.write_text(json.dumps({"subsets": {"invented": {"trials": [{"accuracy_total": 0.4}, trial]}}}))
    return path


CUT = ("The animal here ... " * 60)[:PUBLISHED_TEXT_LIMIT]


def test_beside_what_is_printed(tmp_path: Path) -> None:
    items = [
        {"pred_raw": "Answer: C", "pred": "C"},
        {"pred_raw": "The best option is C.", "pred": None},
        {"pred_raw": CUT, "pred": "C"},
        {"pred_raw": CUT, "pred": None},
    ]
    path = published(tmp_path, items, 0.5, 4)
    own = run_rescore(path, MCQ)
    assert own.rule == "published-cascade"
    assert own.accuracy_mean == 0.5
    assert [item.outcome for item in own.items] == ["correct", "unparsed", "correct", "truncated"]
    assert (own.cut, own.trials[0].from_file) == (2, 2)
    other, ours = own.agreement
    assert (other.printed_accuracy, other.accuracy, other.agrees) == (0.4, None, None)
    assert (ours.agrees, ours.answers, ours.same_answers, ours.differing) == (True, 2, 2, ())
    rows = {row.rule: row for row in own.sensitivity}
    assert (rows["cascade"].accuracy, rows["cascade"].whole_accuracy, rows["cascade"].whole_n) == (0.5, 1.0, 2)
    assert (rows["published-cascade"].accuracy, rows["published-cascade"].whole_accuracy) == (0.5, 0.5)

    cascade = run_rescore(path, MCQ, "cascade")
    assert cascade.trials[0].from_file == 0
    assert cascade.agreement[1].same_answers == 1
    assert cascade.agreement[1].differing == ("invented/0001",)


def test_a_printed_score_that_the_items_do_not_give(tmp_path: Path) -> None:
    report = run_rescore(published(tmp_path, [{"pred_raw": "C", "pred": "C"}] * 4, 0.75, 4), MCQ)
    assert (report.agreement[1].accuracy, report.agreement[1].agrees) == (1.0, False)


def test_the_report_is_json(tmp_path: Path) -> None:
    report = rescore(tmp_path, answers("CWE-79", "CWE-89", "CWE-22", "CWE-20"))
    document = json.loads(json.dumps(report.as_dict()))
    assert document["trials"][0]["counts"]["correct"] == 4
    assert document["path"].endswith("predictions.jsonl")
    assert document["sensitivity"][0]["rule"] == "last-cwe"


# The published files

MEASURED = {
    ("cybersecqwen-4b", "cti-rcm"): {"last-cwe": 0.667, "first-cwe": 0.667, "unique-cwe": 0.667, "last-line": 0.667},
    ("cybersecqwen-4b", "cti-mcq"): {
        "cascade": 0.5952, "last-letter": 0.5888, "first-letter": 0.394, "unique-letter": 0.2888, "published-cascade": 0.5908,
        "last-line": 0.5824,
    },
    ("qwen3-4b-instruct-baseline", "cti-rcm"): {"last-cwe": 0.519, "first-cwe": 0.512, "unique-cwe": 0.494, "last-line": 0.471},
    ("qwen3-4b-instruct-baseline", "cti-mcq"): {
        "cascade": 0.4696, "last-letter": 0.4684, "first-letter": 0.6148, "unique-letter": 0.422, "published-cascade": 0.4732,
        "last-line": 0.464,
    },
}  # fmt: skip


@pytest.mark.parametrize(("model", "name"), MEASURED)
def test_published_scores_are_recomputed_exactly(shared_data: Path, model: str, name: str) -> None:
    from ctiforge.bench.tasks import load_task

    task = load_task(name, shared_data / "ctibench")
    report = run_rescore(shared_data / "published" / f"{model}.predictions.json.xz", task)
    (trial,) = report.trials
    (agreement,) = [each for each in report.agreement if each.accuracy is not None]
    expected = MEASURED[model, name][report.rule]
    assert trial.accuracy == expected == agreement.printed_accuracy
    assert agreement.agrees
    assert agreement.same_answers == agreement.answers == report.n - report.cut
    assert {row.rule: round(row.accuracy, 4) for row in report.sensitivity} == MEASURED[model, name]
