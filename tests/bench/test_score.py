"""Scoring one completion: five outcomes, rotated options, models without text, duplicate rows."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.bench.completion import Completion
from ctiforge.bench.score import drop_duplicates, judge_answer, published_letter, score_completion, shown_choices
from ctiforge.bench.task import AnswerKind, Judgement, Sample, Task
from ctiforge.core.errors import SettingError


def judge(answer: str, sample: Sample) -> Judgement:
    return Judgement(answer == sample.target, 0.25 if answer != sample.target else 1.0)


def task(kind: AnswerKind) -> Task:
    return Task("invented", "", kind, "invented.tsv", "", "last-line", lambda path: [], judge, lambda sample: "")


CWE = Sample("invented/0000", "Which CWE?", "CWE-79")
MCQ = Sample("invented/0001", "Which?", "B", ("red fox", "grey wolf", "brown bear", "wild boar"))


def completion(text: str = "", finish_reason: str = "stop", **fields: object) -> Completion:
    return Completion("invented", "invented/0000", 2, text, finish_reason, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "outcome", "answer", "value"),
    [
        (completion("So CWE-79"), "correct", "CWE-79", 1.0),
        (completion("So CWE-89"), "wrong", "CWE-89", 0.25),
        (completion("No idea"), "unparsed", None, None),
        (completion("", "length"), "truncated", None, None),
        (completion("<think>CWE-79", "length"), "truncated", None, None),
        (completion("CWE-79, which", "length"), "correct", "CWE-79", 1.0),
        (completion("CWE-79", "error"), "failed", None, None),
        (completion("CWE-79", error={"kind": "timeout"}), "failed", None, None),
    ],
)
def test_five_outcomes(given: Completion, outcome: str, answer: str | None, value: float | None) -> None:
    item = score_completion(given, CWE, task("cwe"), "last-cwe")
    assert (item.outcome, item.answer, item.value) == (outcome, answer, value)
    assert (item.task, item.sample_id, item.trial, item.target) == ("invented", "invented/0000", 2, "CWE-79")


def test_the_rule_decides() -> None:
    text = completion("CWE-79, not CWE-89")
    assert [score_completion(text, CWE, task("cwe"), rule).outcome for rule in ("first-cwe", "last-cwe", "unique-cwe")] == [
        "correct", "wrong", "unparsed",
    ]  # fmt: skip
    with pytest.raises(SettingError):
        score_completion(text, CWE, task("cwe"), "last-letter")


def test_a_model_that_ranks_answers_with_its_first_whatever_the_text_and_rule() -> None:
    given = completion("CWE-89", ranked=("CWE-79", "CWE-20"), confidence=0.7)
    item = score_completion(given, CWE, task("cwe"), "last-cwe")
    assert (item.outcome, item.ranked, item.confidence) == ("correct", ("CWE-79", "CWE-20"), 0.7)


@pytest.mark.parametrize(
    ("logprobs", "answer"),
    [
        ({"A": -2.0, "B": -0.1, "C": -3.0}, "B"),
        ({" C": -0.5, " A": -0.5}, "A"),
        ({"A": math.nan, "D": -math.inf}, "D"),
        ({"A": math.nan}, "C"),
        ({}, "C"),
    ],
)
def test_log_probabilities_answer_with_the_likeliest_option(logprobs: dict[str, float], answer: str) -> None:
    item = score_completion(completion("C", choice_logprobs=logprobs), MCQ, task("choice"), "last-letter")
    assert item.answer == answer


@given(st.lists(st.text(max_size=3), min_size=1, max_size=8, unique=True), st.integers(0, 20))
def test_a_shown_letter_goes_back_to_its_option(choices: list[str], r: int) -> None:
    shown = shown_choices(choices, r)
    n = len(choices)
    assert sorted(shown) == sorted(choices)
    for position, letter in enumerate("ABCDEFGH"[:n]):
        assert choices["ABCDEFGH".index(published_letter(letter, r, n))] == shown[position]


def test_what_rotation_means() -> None:
    assert shown_choices(MCQ.choices, 1) == ("grey wolf", "brown bear", "wild boar", "red fox")
    assert published_letter("A", 1, 4) == "B"
    with pytest.raises(ValueError, match="substring not found"):
        published_letter("E", 1, 4)


@pytest.mark.parametrize("r", range(5))
def test_rotated_options_are_turned_back(r: int) -> None:
    place = shown_choices(MCQ.choices, r).index("grey wolf")
    letter = "ABCD"[place]
    others = [shown for shown in "ABCD" if shown != letter]
    for made in (
        completion(f"Answer: {letter}", permutation=r),
        completion("It is the grey wolf.", permutation=r),
        completion(ranked=(letter, *others), permutation=r),
        completion(choice_logprobs={letter: -0.1, others[0]: -2.0}, permutation=r),
    ):
        item = score_completion(made, MCQ, task("choice"), "cascade")
        assert (item.outcome, item.answer, item.permutation) == ("correct", "B", r)
        assert not item.ranked or item.ranked[0] == "B"


def test_an_answer_that_was_read_already_is_judged_as_it_is() -> None:
    assert judge_answer(completion("CWE-1"), CWE, task("cwe"), "CWE-79").outcome == "correct"
    assert judge_answer(completion("CWE-1"), CWE, task("cwe"), None).outcome == "unparsed"
    assert judge_answer(completion("", "error"), CWE, task("cwe"), "CWE-79").outcome == "failed"


def test_a_row_is_a_duplicate_if_question_options_and_target_are() -> None:
    first = Sample("q/0", "", "CWE-79", question="A  stored XSS\nin a form")
    again = replace(first, id="q/1", question="a stored xss in a form ")
    other_label = replace(first, id="q/2", target="CWE-80")
    prompt_only = Sample("q/3", "a stored XSS in a form", "CWE-79")
    options = replace(first, id="q/4", choices=("x", "y"))
    kept, n_dropped = drop_duplicates([first, again, other_label, prompt_only, options])
    assert [sample.id for sample in kept] == ["q/0", "q/2", "q/4"]
    assert n_dropped == 2


@pytest.mark.parametrize(("name", "left"), [("cti-rcm", 990), ("cti-rcm-2021", 961), ("cti-mcq", 2500)])
def test_the_definition_of_a_duplicate_leaves_faiths_n(shared_data: Path, name: str, left: int) -> None:
    from ctiforge.bench.tasks import load_task

    assert len(drop_duplicates(load_task(name, shared_data / "ctibench").samples).kept) == left
