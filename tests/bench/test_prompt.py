from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.bench.prompt import build_request, choose_exemplars, rotate_options
from ctiforge.bench.protocol import find_protocol
from ctiforge.bench.task import Judgement, LoadedTask, Sample, Task
from ctiforge.core.errors import InputError

CHOICES = ("Audit the logs", "None", "Segment the network", "All of the above")
TASK = Task(
    name="toy-mcq",
    description="Invented.",
    answer_kind="choice",
    file="toy.tsv",
    licence="CC0-1.0",
    default_rule="cascade",
    load=lambda path: [],
    judge=lambda answer, sample: Judgement(answer == sample.target, float(answer == sample.target)),
    shot=lambda sample: f"Question: {sample.question}\nAnswer:",
)


def sample(number: int, mark: str = ") ", between: str = " ") -> Sample:
    options = between.join(f"{letter}{mark}{text}" for letter, text in zip("ABCD", CHOICES, strict=True))
    question = f"What helps against frobnication number {number}?"
    return Sample(f"toy-mcq/{number:04}", f"Q: {question} Options: {options} Say one letter.", "B", CHOICES, question)


def loaded(n: int = 8) -> LoadedTask:
    return LoadedTask(TASK, Path("toy.tsv"), "0" * 64, [sample(i) for i in range(n)])


def test_zero_shot_sends_the_prompt_of_the_dataset_and_nothing_else() -> None:
    protocol, task = find_protocol("foundation-sec-ift"), loaded()
    request = build_request(protocol, task, task.samples[3], 1)
    assert [(message.role, message.content) for message in request.messages] == [("user", task.samples[3].input)]
    assert request.prompt is None
    assert (request.temperature, request.max_tokens, request.stop, request.choices) == (0.3, 512, (), ())
    assert request.seed == protocol.request_seed("toy-mcq/0003", 1)
    assert request.metadata["choices"] == ("A", "B", "C", "D")


def test_five_solved_examples_then_the_question() -> None:
    protocol, task = find_protocol("foundation-sec-base"), loaded()
    request = build_request(protocol, task, task.samples[3], 0)
    assert request.messages == ()
    assert request.prompt is not None
    *solved, asked = request.prompt.split("\n\n")
    assert len(solved) == 5
    assert all(each.endswith("Answer: B") for each in solved)
    assert asked == "Question: What helps against frobnication number 3?\nAnswer:"
    assert request.prompt == (build_request(protocol, task, task.samples[3], 0).prompt)


@given(st.integers(0, 7), st.integers(0, 1000))
def test_the_item_itself_is_never_an_example(number: int, seed: int) -> None:
    task = loaded()
    twin = replace(task.samples[number], id="toy-mcq/twin")  # the same question under another id
    task = replace(task, samples=[*task.samples, twin])
    chosen = choose_exemplars(task, task.samples[number], 5, seed)
    assert len({each.id for each in chosen}) == 5
    assert all(each.question != task.samples[number].question for each in chosen)


def test_nearly_every_item_sees_the_same_examples() -> None:
    task = loaded(40)
    shown = [tuple(each.id for each in choose_exemplars(task, sample, 5, 42)) for sample in task.samples]
    first = max(set(shown), key=shown.count)
    assert shown.count(first) == 35
    assert all(len(set(each) & set(first)) == 4 for each in shown if each != first)
    assert first != tuple(each.id for each in choose_exemplars(task, task.samples[39], 5, 43))


def test_too_few_other_items_for_the_examples() -> None:
    with pytest.raises(InputError, match=r"toy\.tsv: 4 other items"):
        choose_exemplars(loaded(5), loaded(5).samples[0], 5, 0)


def test_items_without_a_gold_are_no_examples() -> None:
    task = loaded(6)
    task = replace(task, samples=[*task.samples[:5], replace(task.samples[5], target="")])
    with pytest.raises(InputError, match="4 other items"):
        choose_exemplars(task, task.samples[0], 5, 0)


@pytest.mark.parametrize("mark", [") ", ". ", ": "])
@pytest.mark.parametrize("between", [" ", "\n"])
def test_rotated_options_stand_in_the_prompt(mark: str, between: str) -> None:
    published = sample(1, mark, between)
    rotated = rotate_options(published, 1)
    assert rotated.choices == ("None", "Segment the network", "All of the above", "Audit the logs")
    assert f"A{mark}None{between}B{mark}Segment the network" in rotated.input
    assert f"D{mark}Audit the logs" in rotated.input
    assert len(rotated.input) == len(published.input)
    assert rotated.id == published.id


def test_no_rotation_is_the_sample_itself() -> None:
    assert rotate_options(sample(1), 0) is not None
    assert rotate_options(sample(1), 0) == sample(1)


def test_options_that_are_not_found_cannot_be_rotated() -> None:
    with pytest.raises(InputError, match="toy-mcq/0001"):
        rotate_options(replace(sample(1), input="Which one? (a) this (b) that"), 1)


def test_log_probabilities_are_asked_of_every_letter() -> None:
    task = loaded()
    request = build_request(find_protocol("choice-logprob"), task, task.samples[0], 0)
    assert request.choices == ("A", "B", "C", "D")
    assert request.max_tokens == 1
