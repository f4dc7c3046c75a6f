from __future__ import annotations

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st


@pytest.fixture
def figures():
    import figures

    return figures


def test_a_share_has_its_interval(figures) -> None:
    found = figures.share([True] * 3 + [False])
    assert found["value"] == 0.75
    assert found["n"] == 4
    assert 0.3 < found["ci95_low"] < 0.31  # Wilson 1927, worked by hand: 0.3006
    assert 0.95 < found["ci95_high"] < 0.96
    assert figures.share([]) == {"value": 0.0, "n": 0, "ci95_low": 0.0, "ci95_high": 1.0}


def test_macro_f1_weighs_labels_alike_and_counts_wrong_answers_against_precision(figures) -> None:
    golds = ["A", "A", "A", "A", "B"]
    given = ["A", "A", "A", "B", "B"]
    # A: precision 1, recall 3/4; B: precision 1/2, recall 1.
    both, common = figures.macro_f1(given, golds), figures.macro_f1(given, golds, 4)
    assert (both["value"], both["labels"]) == (round((6 / 7 + 2 / 3) / 2, 4), 2)
    assert (common["value"], common["labels"], common["min_items"]) == (round(6 / 7, 4), 1, 4)
    assert common["ci95_low"] < common["value"] <= common["ci95_high"] <= 1
    assert figures.macro_f1(["C"], ["C"])["ci95_low"] == 1.0
    assert figures.macro_f1(given, golds, 9)["value"] == 0.0


def test_reliability_bins_hold_every_answer_and_leave_empty_bins_out(figures) -> None:
    found = figures.reliability([0.05, 0.95, 0.99, 1.0], [False, True, True, False], bins=10)
    assert found == [{"n": 1, "probability": 0.05, "right": 0.0}, {"n": 3, "probability": 0.98, "right": 0.6667}]


def test_the_coverage_curve_takes_the_surest_first(figures) -> None:
    curve = figures.coverage_curve([0.1 * i for i in range(20)], [i >= 10 for i in range(20)])
    at = {point["coverage"]: point["accuracy"] for point in curve}
    assert at[0.05] == at[0.5] == 1.0
    assert at[1.0] == 0.5
    assert at[0.75] == round(10 / 15, 4)


@drawn(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_the_coverage_curve_ends_at_the_accuracy(answers) -> None:
    import figures

    confidence, right = zip(*answers, strict=True)
    assert figures.coverage_curve(confidence, right)[-1] == {"coverage": 1.0, "accuracy": round(sum(right) / len(right), 4)}


def test_small_slices_are_put_together_and_every_item_is_in_one(figures) -> None:
    found = figures.slices(["2024", "2023", "2023", "2011", "2012"], [True, True, False, False, True], 2)
    assert list(found) == ["2023", "others"]
    assert [each["n"] for each in found.values()] == [2, 3]
    assert found["others"]["value"] == 0.6667


def test_label_scores_name_what_was_said_instead(figures) -> None:
    golds = ["A"] * 4 + ["B"]
    given = ["A", "C", "C", "B", "B"]
    assert figures.label_scores(given, golds, 2) == {"A": {"n": 4, "right": 1, "instead": [["C", 2], ["B", 1]]}}
    assert figures.label_scores(given, golds, 1)["B"] == {"n": 1, "right": 1, "instead": []}


def test_confusions_are_counted_by_pair_and_single_ones_left_out(figures) -> None:
    golds, given = ["A", "A", "B", "B", "A"], ["C", "C", "A", "A", "B"]
    assert figures.commonest_confusions(given, golds) == [
        {"gold": "A", "answer": "C", "times": 2},
        {"gold": "B", "answer": "A", "times": 2},
    ]
    assert len(figures.commonest_confusions(given, golds, 1)) == 1


def test_a_paired_comparison_is_mcnemars_exact_test(figures) -> None:
    ours = [True] * 10 + [False] * 2 + [True] * 8
    theirs = [False] * 10 + [True] * 2 + [True] * 8
    found = figures.paired(ours, theirs)
    assert (found["only_ours_right"], found["only_theirs_right"], found["n"]) == (10, 2, 20)
    assert found["difference"] == 0.4
    # Twice the chance of 2 or fewer of 12 at one half: 2 * (1 + 12 + 66) / 4096.
    assert found["mcnemar_p"] == pytest.approx(2 * 79 / 4096, rel=1e-2)
    assert found["ci95_low"] < 0.4 < found["ci95_high"]
    assert figures.paired(ours, ours)["mcnemar_p"] == 1.0
