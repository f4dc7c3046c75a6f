"""Metrics by kind of answer: small cases worked out by hand, and brute force where there is a formula."""

from __future__ import annotations

import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.bench.completion import Outcome, ScoredItem
from ctiforge.bench.metrics import task_metrics
from ctiforge.bench.metrics.weakness import macro_f1
from ctiforge.bench.task import AnswerKind, Sample
from ctiforge.core.metrics import expected_calibration_error
from ctiforge.sources.cwe import load_catalogue


def item(target: str, answer: str | None, **more: object) -> ScoredItem:
    outcome: Outcome = "unparsed" if answer is None else "correct" if answer == target else "wrong"
    values = {"task": "t", "sample_id": "t/0", "trial": 0, "outcome": outcome, "target": target, "answer": answer}
    return ScoredItem(**(values | more))  # type: ignore[arg-type]


def trial(*pairs: tuple[str, str | None], number: int = 0, **more: object) -> list[ScoredItem]:
    return [item(gold, answer, sample_id=f"t/{place}", trial=number, **more) for place, (gold, answer) in enumerate(pairs)]


def samples_of(items: list[ScoredItem], choices: tuple[str, ...] = ()) -> list[Sample]:
    targets = {each.sample_id: each.target for each in items}
    return [Sample(sample_id, "?", target, choices) for sample_id, target in targets.items()]


# weaknesses ---------------------------------------------------------------------------------------------------------------

MAPPED = trial(
    ("CWE-79", "CWE-79"),
    ("CWE-79", "CWE-80"),  # a child
    ("CWE-79", "CWE-74"),  # the parent
    ("CWE-79", "CWE-89"),  # a neighbour
    ("CWE-787", "CWE-119"),  # the parent, Discouraged
    ("CWE-264", "CWE-99999"),  # a category as gold, an identifier that does not exist as answer
    ("CWE-20", None),
)


def test_hierarchy_credits_entries_above_and_below() -> None:
    assert task_metrics("cwe", [MAPPED], samples_of(MAPPED))["hierarchy_accuracy"] == 4 / 7


def test_hierarchy_agrees_with_the_paths_of_the_catalogue() -> None:
    catalogue = load_catalogue()
    entries = [entry.cwe_id for entry in catalogue]
    generator = random.Random(1)
    pairs = [(generator.choice(entries), generator.choice(entries)) for _ in range(150)]
    pairs += [(gold, generator.choice(catalogue.ancestors(gold) or (gold,))) for gold in generator.sample(entries, 50)]
    items = trial(*pairs)
    on_one_line = [
        any(answer in way for way in catalogue.paths_to_root(gold))
        or any(gold in way for way in catalogue.paths_to_root(answer))
        for gold, answer in pairs
    ]
    assert sum(on_one_line) > 40
    assert task_metrics("cwe", [items], samples_of(items))["hierarchy_accuracy"] == sum(on_one_line) / 200


def test_usage_is_counted_of_answers_and_golds() -> None:
    metrics = task_metrics("cwe", [MAPPED], samples_of(MAPPED))
    catalogue = load_catalogue()
    assert metrics["cwe_version"] == catalogue.version
    assert [catalogue[each].usage for each in ("CWE-74", "CWE-119", "CWE-20")] == ["Discouraged"] * 3
    assert metrics["answers_by_mapping_usage"] == {
        "Allowed": 3, "Allowed-with-Review": 0, "Discouraged": 2, "Prohibited": 0, "Unknown": 1,
    }  # fmt: skip
    assert metrics["golds_by_mapping_usage"] == {
        "Allowed": 5, "Allowed-with-Review": 0, "Discouraged": 1, "Prohibited": 1, "Unknown": 0,
    }  # fmt: skip
    assert metrics["best_possible_with_allowed_only"] == 5 / 7


def test_families_are_the_pillars_over_primary_parents() -> None:
    families = task_metrics("cwe", [MAPPED], samples_of(MAPPED))["families"]
    labels = families["labels"]
    assert labels == [
        "CWE-284", "CWE-435", "CWE-664", "CWE-682", "CWE-691", "CWE-693", "CWE-697", "CWE-703", "CWE-707", "CWE-710", "other",
    ]  # fmt: skip
    filled = {
        (labels[row], labels[column]): n
        for row, counts in enumerate(families["matrix"])
        for column, n in enumerate(counts)
        if n
    }
    assert filled == {("CWE-707", "CWE-707"): 4, ("CWE-664", "CWE-664"): 1, ("other", "other"): 1}
    assert dict(zip(labels, families["unanswered"], strict=True))["CWE-707"] == 1
    assert sum(families["unanswered"]) + sum(map(sum, families["matrix"])) == len(MAPPED)


def test_per_label_is_sorted_by_number_of_samples_then_by_label() -> None:
    again = trial(*((each.target, each.target) for each in MAPPED), number=1)
    rows = task_metrics("cwe", [MAPPED, again], samples_of(MAPPED))["per_label"]
    assert [(row["label"], row["n"]) for row in rows] == [("CWE-79", 4), ("CWE-20", 1), ("CWE-264", 1), ("CWE-787", 1)]
    assert [row["accuracy"] for row in rows] == [5 / 8, 1 / 2, 1 / 2, 1 / 2]


def test_macro_f1_by_hand() -> None:
    """A: precision 2/3, recall 2/2; B: recall 1/2, precision 1; C: never answered; D is no gold."""
    items = trial(("A", "A"), ("A", "A"), ("B", "A"), ("B", "B"), ("C", "D"), ("C", None))
    assert macro_f1(items) == pytest.approx((0.8 + 2 / 3 + 0) / 3)


LABELS = st.sampled_from(["CWE-79", "CWE-89", "CWE-787", "CWE-20"])


@given(st.lists(st.tuples(LABELS, st.none() | LABELS), min_size=1, max_size=30))
def test_macro_f1_is_the_mean_of_harmonic_means(pairs: list[tuple[str, str | None]]) -> None:
    scores = []
    for label in {gold for gold, _ in pairs}:
        hits = sum(gold == answer == label for gold, answer in pairs)
        precision = hits / max(1, sum(answer == label for _, answer in pairs))
        recall = hits / sum(gold == label for gold, _ in pairs)
        scores.append(2 * precision * recall / (precision + recall) if hits else 0)
    assert macro_f1(trial(*pairs)) == pytest.approx(sum(scores) / len(scores))


def test_reliability_bins_hold_every_answer_and_the_error_is_that_of_core() -> None:
    generator = random.Random(2)
    items = [
        item(
            "CWE-79",
            generator.choice(["CWE-79", "CWE-89"]),
            sample_id=f"t/{n}",
            confidence=generator.choice([0.0, 0.31, 0.9, 1.0]),
        )
        for n in range(200)
    ]
    items.append(item("CWE-79", None, sample_id="t/200"))  # without an answer, so without a confidence
    found = task_metrics("cwe", [items], samples_of(items))["reliability"]
    assert [(row["low"], row["confidence"]) for row in found["bins"]] == [
        (0.0, 0.0), (4 / 15, pytest.approx(0.31)), (13 / 15, pytest.approx(0.9)), (14 / 15, 1.0),
    ]  # fmt: skip
    assert all(row["low"] <= row["confidence"] <= row["high"] for row in found["bins"])
    assert sum(row["n"] for row in found["bins"]) == 200
    by_hand = sum(row["n"] * abs(row["confidence"] - row["accuracy"]) for row in found["bins"]) / 200
    assert found["ece"] == pytest.approx(by_hand)


def test_error_of_calibration_is_the_mean_over_trials() -> None:
    import numpy as np

    first = [item("CWE-79", "CWE-79", sample_id=f"t/{n}", confidence=0.5) for n in range(4)]
    second = [item("CWE-79", "CWE-89", sample_id=f"t/{n}", trial=1, confidence=0.9) for n in range(4)]
    errors = [
        expected_calibration_error(np.full(4, 0.5), np.ones(4, bool)),
        expected_calibration_error(np.full(4, 0.9), np.zeros(4, bool)),
    ]
    found = task_metrics("cwe", [first, second], samples_of(first))["reliability"]
    assert found["ece"] == pytest.approx(sum(errors) / 2)
    assert [row["n"] for row in found["bins"]] == [4, 4]


def test_no_reliability_where_an_answer_has_no_confidence() -> None:
    items = [item("CWE-79", "CWE-79", confidence=0.5), item("CWE-79", "CWE-79", sample_id="t/1")]
    assert task_metrics("cwe", [items], samples_of(items))["reliability"] is None
    assert task_metrics("cwe", [items[:1]], samples_of(items))["reliability"] is not None


# multiple choice ----------------------------------------------------------------------------------------------------------


def test_letters_count_golds_and_answers_and_give_accuracy_by_gold() -> None:
    items = trial(("A", "C"), ("B", "B"), ("C", "C"), ("C", "C"), ("C", None))
    metrics = task_metrics("choice", [items], samples_of(items, ("w", "x", "y", "z")))
    assert metrics["per_letter"] == [
        {"letter": "A", "golds": 1, "answers": 0, "accuracy": 0.0},
        {"letter": "B", "golds": 1, "answers": 1, "accuracy": 1.0},
        {"letter": "C", "golds": 3, "answers": 3, "accuracy": 2 / 3},
        {"letter": "D", "golds": 0, "answers": 0, "accuracy": None},
    ]
    assert metrics["majority_baseline"] == 3 / 5
    assert metrics["permutation"] is None


def test_counts_are_of_all_trials_and_accuracies_are_means() -> None:
    trials = [trial(("A", "A"), ("B", "A")), trial(("A", "B"), ("B", "A"), number=1)]
    rows = task_metrics("choice", trials, samples_of(trials[0], ("x", "y")))["per_letter"]
    assert rows == [
        {"letter": "A", "golds": 2, "answers": 3, "accuracy": 0.5},
        {"letter": "B", "golds": 2, "answers": 1, "accuracy": 0.0},
    ]


def rotated(sample_id: str, gold: str, answers: list[str | None], number: int = 0) -> list[ScoredItem]:
    return [
        item(gold, answer, sample_id=sample_id, permutation=rotation, trial=number) for rotation, answer in enumerate(answers)
    ]


def test_rotations_right_and_consistent_by_hand() -> None:
    items = [
        *rotated("t/0", "A", ["A", "A", "A", "A"]),
        *rotated("t/1", "A", ["B", "B", "B", "B"]),  # consistent and wrong
        *rotated("t/2", "A", ["A", "B", "C", "D"]),  # always the same place
        *rotated("t/3", "A", ["A", "A", "A", None]),  # no answer once
        *rotated("t/4", "A", [None, None, None, None]),  # consistent in saying nothing is no answer
    ]
    found = task_metrics("choice", [items], samples_of(items, ("w", "x", "y", "z")))["permutation"]
    assert found == {
        "rotations": 4,
        "accuracy_over": "every question in every rotation of its options",
        "accuracy_mean": 8 / 20,
        "all_rotations_right": 1 / 5,
        "consistent": 2 / 5,
    }


def test_rotations_of_two_trials_are_not_mixed() -> None:
    trials = [rotated("t/0", "A", ["A", "A"]), rotated("t/0", "A", ["B", "B"], number=1)]
    found = task_metrics("choice", trials, samples_of(trials[0], ("x", "y")))["permutation"]
    assert (found["consistent"], found["all_rotations_right"], found["accuracy_mean"]) == (1.0, 0.5, 0.5)


# vectors, sets, actors ----------------------------------------------------------------------------------------------------


def test_deviation_is_of_parsed_vectors_and_exactness_of_all() -> None:
    items = [
        item("V1", "V1", value=0.0),
        item("V1", "V2", value=1.5, sample_id="t/1"),
        item("V1", "V3", value=3.0, sample_id="t/2", outcome="correct"),  # the score is right, the vector is not
        item("V1", None, sample_id="t/3"),
    ]
    assert task_metrics("cvss_vector", [items], samples_of(items)) == {
        "mean_absolute_deviation": 1.5,
        "exact_vector": 0.25,
        "parsed": 3,
    }


def test_deviation_leaves_out_a_trial_without_a_vector() -> None:
    trials = [trial(("V1", None)), [item("V1", "V2", value=2.0, trial=1)]]
    assert task_metrics("cvss_vector", trials, samples_of(trials[0]))["mean_absolute_deviation"] == 2.0
    assert task_metrics("cvss_vector", trials[:1], samples_of(trials[0])) == {
        "mean_absolute_deviation": None,
        "exact_vector": 0.0,
        "parsed": 0,
    }


@pytest.mark.parametrize("kind", ["technique_set", "mitigation_set"])
def test_sets_by_hand(kind: AnswerKind) -> None:
    items = trial(("T1059,T1071", "T1071,T1566,T1105"), ("T1003", "T1003"), ("T1110,T1078", None))
    metrics = task_metrics(kind, [items], samples_of(items))
    assert metrics["micro_precision"] == 2 / 4
    assert metrics["micro_recall"] == 2 / 5
    assert metrics["micro_f1"] == pytest.approx(2 * 0.5 * 0.4 / 0.9)
    assert metrics["macro_f1"] == pytest.approx((2 / 5 + 1 + 0) / 3)


TECHNIQUES = st.sets(st.sampled_from(["T1059", "T1071", "T1003", "T1566"]), min_size=1).map(lambda ids: ",".join(sorted(ids)))


@given(st.lists(st.tuples(TECHNIQUES, st.none() | TECHNIQUES), min_size=1, max_size=12))
def test_micro_scores_are_those_of_labels_counted_one_by_one(pairs: list[tuple[str, str | None]]) -> None:
    items = trial(*pairs)
    decisions = [
        (label in gold.split(","), label in (answer or "").split(","))
        for gold, answer in pairs
        for label in ("T1059", "T1071", "T1003", "T1566")
    ]
    both, answered, golds = sum(g and a for g, a in decisions), sum(a for _, a in decisions), sum(g for g, _ in decisions)
    metrics = task_metrics("technique_set", [items], samples_of(items))
    assert metrics["micro_precision"] == pytest.approx(both / answered if answered else 0)
    assert metrics["micro_recall"] == pytest.approx(both / golds)
    assert metrics["micro_f1"] == pytest.approx(2 * both / (answered + golds))
    assert 0 <= metrics["macro_f1"] <= 1


def test_actors_are_exact_or_right_by_alias() -> None:
    items = [
        item("Sandworm Team", "sandworm team", outcome="correct"),
        item("Sandworm Team", "Voodoo Bear", sample_id="t/1", outcome="correct"),
        item("Sandworm Team", "Turla", sample_id="t/2"),
        item("Sandworm Team", None, sample_id="t/3"),
    ]
    assert task_metrics("actor", [items], samples_of(items)) == {"exact": 0.25, "with_aliases": 0.5}


# all kinds ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cwe", "choice", "cvss_vector", "technique_set", "mitigation_set", "actor", "text"])
def test_no_metrics_without_a_complete_trial_and_json_values_with_one(kind: AnswerKind) -> None:
    items = trial(("A", "B"), ("A", None))
    assert task_metrics(kind, [], samples_of(items)) == {}
    assert task_metrics(kind, [items], []) == {}
    metrics = task_metrics(kind, [items], samples_of(items))
    assert orjson.loads(orjson.dumps(metrics)) == metrics
    assert (metrics == {}) == (kind == "text")


@pytest.mark.parametrize(
    ("kind", "zeros"),
    [
        ("cwe", ("macro_f1", "hierarchy_accuracy")),
        ("cvss_vector", ("exact_vector", "parsed")),
        ("technique_set", ("micro_precision", "micro_recall", "micro_f1", "macro_f1")),
        ("actor", ("exact", "with_aliases")),
    ],
)
def test_a_model_that_never_answers_has_metrics_too(kind: AnswerKind, zeros: tuple[str, ...]) -> None:
    items = trial(("A", None), ("B", None))
    metrics = task_metrics(kind, [items], samples_of(items))
    assert [metrics[name] for name in zeros] == [0] * len(zeros)
