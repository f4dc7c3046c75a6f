"""What a record says of a task: which trials count, what is in a mean, and that the same items give the same words."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.bench.completion import Outcome, ScoredItem
from ctiforge.bench.statistics import BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED, bootstrap_interval
from ctiforge.bench.summary import sensitivity_table, summarise_task, valid_trials
from ctiforge.bench.task import AnswerKind, Judgement, LoadedTask, Sample, Task

TASK_RESULT_KEYS = {
    "task", "answer_kind", "file", "sha256", "licence", "n", "left_out", "rule", "unscored", "trials", "accuracy", "parse_rate",
    "metrics", "sensitivity", "contamination",
}  # fmt: skip


def loaded_task(
    targets: Sequence[str], kind: AnswerKind = "cwe", choices: tuple[str, ...] = (), judge: Any = None
) -> LoadedTask:
    def exact(answer: str, sample: Sample) -> Judgement:
        return Judgement(answer == sample.target, float(answer == sample.target))

    samples = [Sample(f"demo/{place}", "?", target, choices) for place, target in enumerate(targets)]
    task = Task("demo", "A demo.", kind, "demo.tsv", "CC0-1.0", "last-cwe", lambda _: samples, judge or exact, lambda _: "")
    return LoadedTask(task, Path("folder") / "demo.tsv", "ab" * 32, samples, {"duplicate": 2})


def scored(loaded: LoadedTask, outcomes: str, trial: int = 0, permutation: int = 0) -> list[ScoredItem]:
    """One item a letter of `outcomes`: correct, wrong, unparsed, truncated, failed, or ``-`` for none."""
    words: dict[str, Outcome] = {"c": "correct", "w": "wrong", "u": "unparsed", "t": "truncated", "f": "failed"}
    found = []
    for sample, letter in zip(loaded.samples, outcomes, strict=True):
        if letter == "-":
            continue
        answer = {"c": sample.target, "w": "CWE-1"}.get(letter)
        found.append(ScoredItem("demo", sample.id, trial, words[letter], sample.target, answer, None, permutation))
    return found


FIVE = loaded_task(["CWE-79", "CWE-79", "CWE-89", "CWE-787", "CWE-20"])


def summarise(items: Sequence[ScoredItem], trials: int = 1, loaded: LoadedTask = FIVE, **more: Any) -> dict[str, Any]:
    return summarise_task(loaded, {trial: 100 + trial for trial in range(trials)}, items, rule="last-cwe", **more)


def test_one_trial_by_hand() -> None:
    result = summarise(scored(FIVE, "ccwut"))
    assert result.keys() == TASK_RESULT_KEYS
    assert result["trials"] == [
        {
            "trial": 0,
            "seed": 100,
            "valid": True,
            "n": 5,
            "missing": 0,
            "counts": {"correct": 2, "wrong": 1, "unparsed": 1, "truncated": 1, "failed": 0},
            "accuracy": 0.4,
            "parse_rate": 0.6,
        }
    ]
    interval = bootstrap_interval([1, 1, 0, 0, 0])
    assert result["accuracy"] == {
        "mean": 0.4,
        "std": None,
        "trials": 1,
        "ci95_low": interval.low,
        "ci95_high": interval.high,
        "bootstrap_samples": BOOTSTRAP_SAMPLES,
        "bootstrap_seed": BOOTSTRAP_SEED,
    }
    assert result["parse_rate"] == 0.6
    assert (result["n"], result["unscored"], result["left_out"]) == (5, 0, {"duplicate": 2})
    assert (result["file"], result["sha256"], result["licence"]) == ("demo.tsv", "ab" * 32, "CC0-1.0")
    assert (result["task"], result["answer_kind"], result["rule"]) == ("demo", "cwe", "last-cwe")
    assert (result["sensitivity"], result["contamination"]) == ([], [])


def test_mean_and_deviation_are_over_trials_and_the_interval_over_items() -> None:
    items = [*scored(FIVE, "ccwww"), *scored(FIVE, "cccww", 1), *scored(FIVE, "ccccw", 2)]
    found = summarise(items, 3)["accuracy"]
    assert found["mean"] == pytest.approx(0.6)
    assert found["std"] == pytest.approx(statistics.stdev([0.4, 0.6, 0.8]))
    assert found["trials"] == 3
    by_item = bootstrap_interval([1, 1, 2 / 3, 1 / 3, 0])
    assert (found["ci95_low"], found["ci95_high"]) == pytest.approx((by_item.low, by_item.high))


@pytest.mark.parametrize(("outcomes", "n", "missing"), [("ccccf", 5, 0), ("cccc-", 4, 1), ("-----", 0, 5)])
def test_an_incomplete_trial_is_counted_and_never_averaged(outcomes: str, n: int, missing: int) -> None:
    items = [*scored(FIVE, "ccwww"), *scored(FIVE, outcomes, 1)]
    result = summarise(items, 2)
    bad = result["trials"][1]
    assert (bad["valid"], bad["n"], bad["missing"]) == (False, n, missing)
    assert bad["counts"] == {
        "correct": outcomes.count("c"), "wrong": 0, "unparsed": 0, "truncated": 0, "failed": outcomes.count("f"),
    }  # fmt: skip
    assert bad["accuracy"] is None
    assert bad["parse_rate"] is None
    alone = summarise(scored(FIVE, "ccwww"))
    for key in ("accuracy", "parse_rate", "metrics"):
        assert result[key] == alone[key]
    assert valid_trials(FIVE, {0: 1, 1: 2}, items) == {0}


def test_without_a_valid_trial_there_is_no_number() -> None:
    result = summarise(scored(FIVE, "ccccf"), flagged=frozenset({"demo/0"}))
    assert (result["accuracy"], result["parse_rate"], result["metrics"]) == (None, None, {})
    assert result["contamination"] == [
        {"slice": "flagged", "n": 1, "accuracy": None, "ci95_low": None, "ci95_high": None},
        {"slice": "rest", "n": 4, "accuracy": None, "ci95_low": None, "ci95_high": None},
    ]


def test_a_trial_that_never_began_is_reported() -> None:
    assert [trial["n"] for trial in summarise(scored(FIVE, "ccwww"), 3)["trials"]] == [5, 0, 0]


def test_samples_without_gold_are_counted_and_in_nothing_else() -> None:
    loaded = loaded_task(["CWE-79", "", "CWE-89"])
    with_gold = [item for item in scored(loaded, "cww") if item.target]
    result = summarise(scored(loaded, "cww"), loaded=loaded)
    assert (result["n"], result["unscored"], result["accuracy"]["mean"]) == (2, 1, 0.5)
    assert result == summarise(with_gold, loaded=loaded)


def test_a_file_without_any_gold_has_no_accuracy() -> None:
    loaded = loaded_task(["", ""])
    result = summarise(scored(loaded, "ww"), loaded=loaded)
    assert (result["n"], result["unscored"], result["accuracy"], result["metrics"]) == (0, 2, None, {})


OUTCOMES = st.text("cwutf-", min_size=5, max_size=5)


@given(st.lists(OUTCOMES, min_size=1, max_size=4), st.randoms())
def test_order_of_items_decides_nothing(trials: list[str], shuffle: random.Random) -> None:
    items = [item for trial, outcomes in enumerate(trials) for item in scored(FIVE, outcomes, trial)]
    items = [replace(item, confidence=0.1 + 0.1 * place % 0.7) for place, item in enumerate(items)]
    before = orjson.dumps(summarise(items, len(trials), flagged=frozenset({"demo/1", "demo/4"})))
    shuffle.shuffle(items)
    assert orjson.dumps(summarise(items, len(trials), flagged=frozenset({"demo/4", "demo/1"}))) == before


@given(st.lists(st.text("cwut", min_size=5, max_size=5), min_size=1, max_size=4))
def test_counts_add_up_and_the_mean_lies_in_its_interval(trials: list[str]) -> None:
    items = [item for trial, outcomes in enumerate(trials) for item in scored(FIVE, outcomes, trial)]
    result = summarise(items, len(trials))
    assert all(sum(trial["counts"].values()) == trial["n"] == 5 for trial in result["trials"])
    found = result["accuracy"]
    assert found["ci95_low"] <= found["mean"] <= found["ci95_high"]
    assert found["mean"] == pytest.approx(statistics.fmean(trial["accuracy"] for trial in result["trials"]))


def test_items_that_cannot_be_are_a_bug_of_the_caller() -> None:
    item = scored(FIVE, "c----")[0]
    for wrong, words in (
        (replace(item, task="other"), "an item of task 'other'"),
        (replace(item, sample_id="demo/99"), "demo/99: no such sample"),
        (replace(item, trial=7), "trial 7 is none of"),
        (item, "given twice in trial 0"),
    ):
        with pytest.raises(ValueError, match=words):
            summarise([item, wrong])


CHOICES = loaded_task(["A", "B"], "choice", ("w", "x"))


def test_rotated_options_count_as_pairs_and_items_are_drawn_whole() -> None:
    items = [*scored(CHOICES, "cw"), *scored(CHOICES, "cc", permutation=1)]
    result = summarise(items, loaded=CHOICES, permuted=True)
    assert (result["n"], result["trials"][0]["n"], result["trials"][0]["accuracy"]) == (2, 4, 0.75)
    interval = bootstrap_interval([2, 1], [2, 2])
    assert (result["accuracy"]["mean"], result["accuracy"]["ci95_low"]) == (0.75, interval.low)
    assert result["metrics"]["permutation"]["all_rotations_right"] == 0.5


def test_a_trial_with_a_rotation_missing_is_invalid() -> None:
    first_only = scored(CHOICES, "cc")
    assert summarise(first_only, loaded=CHOICES)["trials"][0]["valid"]
    assert summarise(first_only, loaded=CHOICES, permuted=True)["trials"][0]["missing"] == 2
    some = [*first_only, *scored(CHOICES, "c-", permutation=1)]
    assert summarise(some, loaded=CHOICES)["trials"][0] == summarise(some, loaded=CHOICES, permuted=True)["trials"][0]
    assert valid_trials(CHOICES, {0: None}, some) == frozenset()
    with pytest.raises(ValueError, match=r"rotation \(2\)"):
        summarise(scored(CHOICES, "cc", permutation=2), loaded=CHOICES)


def test_top_k_is_judged_by_the_task_and_an_abstention_is_a_miss() -> None:
    def judge(answer: str, sample: Sample) -> Judgement:
        right = answer.casefold() == sample.target.casefold()
        return Judgement(right, float(right))

    loaded = loaded_task(["CWE-79", "CWE-89", "CWE-787", "CWE-20"], judge=judge)
    rankings: list[tuple[str, ...]] = [("cwe-79",), ("CWE-1", "CWE-2", "CWE-89"), ("CWE-1", "CWE-2", "CWE-3", "CWE-787"), ()]
    items = [replace(item, ranked=ranked) for item, ranked in zip(scored(loaded, "cwwu"), rankings, strict=True)]
    assert summarise(items, loaded=loaded)["top_k"] == {"1": 0.25, "3": 0.5, "5": 0.75}


def test_no_top_k_where_an_answer_has_no_ranking() -> None:
    items = [replace(item, ranked=("CWE-79",)) for item in scored(FIVE, "ccwww")]
    assert "top_k" in summarise(items)
    assert "top_k" not in summarise([replace(items[0], ranked=()), *items[1:]])
    assert "top_k" not in summarise(scored(FIVE, "uuuuu"))


def test_contamination_slices_are_the_flagged_and_the_rest() -> None:
    items = [*scored(FIVE, "ccwww"), *scored(FIVE, "cwcww", 1)]
    flagged, rest = summarise(items, 2, flagged=frozenset({"demo/0", "demo/1", "other/5"}))["contamination"]
    assert (flagged["slice"], flagged["n"], flagged["accuracy"]) == ("flagged", 2, 0.75)
    assert (rest["slice"], rest["n"], rest["accuracy"]) == ("rest", 3, pytest.approx(1 / 6))
    interval = bootstrap_interval([1, 0, 0], [2, 2, 2])
    assert (rest["ci95_low"], rest["ci95_high"]) == (interval.low, interval.high)
    none, everything = summarise(items, 2, flagged=frozenset())["contamination"]
    assert (none["n"], none["accuracy"], none["ci95_low"]) == (0, None, None)
    assert everything["accuracy"] == summarise(items, 2)["accuracy"]["mean"]


def test_sensitivity_gives_both_denominators_a_row_a_rule() -> None:
    by_rule = {"last-cwe": scored(FIVE, "ccwut"), "unique-cwe": scored(FIVE, "cuuut"), "first-cwe": scored(FIVE, "uuuuu")}
    rows = sensitivity_table(by_rule.__getitem__, list(by_rule), "last-cwe")
    assert rows == [
        {"rule": "last-cwe", "is_default": True, "accuracy": 0.4, "accuracy_of_parsed": 2 / 3, "parsed": 3, "n": 5},
        {"rule": "unique-cwe", "is_default": False, "accuracy": 0.2, "accuracy_of_parsed": 1.0, "parsed": 1, "n": 5},
        {"rule": "first-cwe", "is_default": False, "accuracy": 0.0, "accuracy_of_parsed": None, "parsed": 0, "n": 5},
    ]
    assert summarise(by_rule["last-cwe"], sensitivity=rows)["sensitivity"] == rows


def test_sensitivity_leaves_out_trials_that_do_not_count() -> None:
    items = [*scored(FIVE, "ccwww"), *scored(FIVE, "ccccf", 1), *scored(FIVE, "cccc-", 2)]
    assert sensitivity_table(lambda _: items, ["r"], "r")[0]["n"] == 9
    (row,) = sensitivity_table(lambda _: items, ["r"], "r", trials=valid_trials(FIVE, {0: 1, 1: 2, 2: 3}, items))
    assert (row["n"], row["accuracy"]) == (5, summarise(items, 3)["accuracy"]["mean"])
    (empty,) = sensitivity_table(lambda _: items, ["r"], "r", trials=())
    assert (empty["n"], empty["accuracy"]) == (0, None)
