from __future__ import annotations

from types import SimpleNamespace

import pytest

from ctiforge.bench.report.entries import build_entries
from ctiforge.bench.report.findings import (
    accuracy_finding,
    confusion_finding,
    label_finding,
    letter_finding,
    reliability_finding,
    sensitivity_finding,
)


def test_overlapping_intervals_are_said(invented: SimpleNamespace) -> None:
    records = invented.usual()
    records[1]["tasks"][0]["accuracy"]["ci95_high"] = 0.7
    entries = build_entries(records)[:2]
    assert accuracy_finding(entries).endswith("their intervals overlap")
    records[1]["tasks"][0]["accuracy"] = None
    assert accuracy_finding(build_entries(records)[:2]) == "cti-rcm: Numbat-2B scores 0.750"
    assert accuracy_finding(build_entries([invented.no_valid_trial()])) == "cti-rcm: no valid trial"


def test_a_rule_that_changes_nothing_is_said(invented: SimpleNamespace) -> None:
    record = invented.usual()[0]
    for row in record["tasks"][0]["sensitivity"]:
        row["accuracy"] = 0.5
    assert sensitivity_finding(build_entries([record])[0]) == "Every extraction rule gives the same accuracy"


@pytest.mark.parametrize(
    ("answers", "finding"),
    [
        ((50, 50), "Answers are spread over the letters as the golds are"),
        ((80, 20), "Answers A too often: 80% of answers, 50% of golds"),
        ((0, 0), "No answer names a letter"),
    ],
)
def test_letters(answers: tuple[int, int], finding: str) -> None:
    letters = [{"letter": letter, "golds": 10, "answers": given} for letter, given in zip("AB", answers, strict=True)]
    assert letter_finding(letters) == finding


@pytest.mark.parametrize(("accuracy", "word"), [(0.5, "Overconfident"), (0.9, "Underconfident"), (0.705, "Probabilities hold")])
def test_reliability(accuracy: float, word: str) -> None:
    assert reliability_finding([{"n": 10, "confidence": 0.7, "accuracy": accuracy}], None).startswith(word)


def test_rare_labels_decide_nothing_where_there_are_common_ones() -> None:
    labels = [
        {"label": "A", "n": 90, "accuracy": 0.8},
        {"label": "B", "n": 20, "accuracy": 0.6},
        {"label": "C", "n": 2, "accuracy": 0},
    ]
    assert label_finding(labels).endswith("goes from 0.80 on A down to 0.60 on B")
    assert label_finding(labels[:1]) == "Accuracy is 0.80 on every label shown"
    assert label_finding([]) == "No label has an accuracy"


def test_confusion() -> None:
    assert confusion_finding(["a", "b"], [[0, 0], [0, 0]]) == "No answer could be read"
    assert confusion_finding(["a", "b"], [[5, 0], [0, 5]]) == "100% of answers are in the family of the gold"
    assert confusion_finding(["a", "b"], [[5, 1], [2, 2]]).endswith("the commonest confusion is b answered as a (20.0%)")
