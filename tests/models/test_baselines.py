from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Any

import pytest

from ctiforge.core.errors import ModelError, SettingError
from ctiforge.models.baselines import BaselineModel, build_constant, build_majority, build_uniform, most_frequent
from ctiforge.models.generation import Generation, GenerationRequest, TextModel


def ask(model: BaselineModel, task: str = "mcq", sample: int = 0, **rest: Any) -> Generation:
    metadata = {"task": task, "sample_id": f"{task}/{sample}", "trial": 0, "choices": ("A", "B", "C", "D")} | rest.pop(
        "metadata", {}
    )
    return asyncio.run(model.generate(GenerationRequest(prompt="?", metadata=metadata, **rest)))


def test_they_are_text_models() -> None:
    assert isinstance(build_constant("C"), TextModel)


def test_always_c() -> None:
    model = build_constant("C")
    assert ask(model).text == "Answer: C"
    assert asyncio.run(model.info()).name == "always-C"
    assert ask(model, choices=("A", "C")).choice_logprobs == {"C": 0.0}


def test_the_majority_answer_by_task_with_its_share_as_confidence() -> None:
    model = build_majority({"rcm": {"CWE-79": 3, "CWE-89": 1}, "mcq": "C"})
    assert (ask(model, "rcm").text, ask(model, "rcm").confidence) == ("Answer: CWE-79", 0.75)
    assert ask(model, "mcq").text == "Answer: C"
    assert asyncio.run(model.info()).settings == {"answer": {"rcm": "CWE-79", "mcq": "C"}}
    with pytest.raises(ModelError, match="no answer for task 'vsp'"):
        ask(model, "vsp")
    assert ask(build_majority("CWE-79"), "any").text == "Answer: CWE-79"


def test_of_equally_frequent_answers_the_first_by_name() -> None:
    assert most_frequent({"C": 2, "B": 2, "A": 1}) == "B"
    with pytest.raises(SettingError, match="no answers"):
        most_frequent({})


@pytest.mark.parametrize("build", [build_constant, build_majority])
def test_an_answer_is_needed(build: Any) -> None:
    with pytest.raises(SettingError, match="no answer"):
        build("")


def test_the_uniform_choice_is_even_and_the_same_on_every_run() -> None:
    answers = [ask(build_uniform(), sample=number).text for number in range(800)]
    assert answers == [ask(build_uniform(), sample=number).text for number in range(800)]
    counts = Counter(answers)
    assert set(counts) == {f"Answer: {letter}" for letter in "ABCD"}
    assert max(abs(count - 200) for count in counts.values()) < 60
    others = [[ask(model, sample=number, seed=seed).text for number in range(50)] for model, seed in variants()]
    assert len({tuple(other) for other in others}) == len(others)


def variants() -> list[tuple[BaselineModel, int]]:
    return [(build_uniform(), 0), (build_uniform(), 1), (build_uniform(seed=1), 0)]


def test_options_may_be_texts_and_labels_may_be_given() -> None:
    texts = {"choices": ("red", "green")}
    assert {ask(build_uniform(), sample=number, metadata=texts).text for number in range(30)} == {"Answer: A", "Answer: B"}
    labels = build_uniform(["CWE-79", "CWE-89"])
    assert {ask(labels, "rcm", number).text for number in range(30)} == {"Answer: CWE-79", "Answer: CWE-89"}
    assert ask(labels).confidence == 0.5
    assert ask(build_uniform(), choices=("A", "B")).choice_logprobs == {"A": math.log(0.5), "B": math.log(0.5)}


def test_nothing_to_choose_among() -> None:
    with pytest.raises(ModelError, match="rcm has no options") as caught:
        ask(build_uniform(), "rcm", metadata={"choices": ()})
    assert "baseline:uniform=" in str(caught.value.fix)
