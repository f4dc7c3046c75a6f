"""Multiple choice from the knowledge base."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctiforge.ask import ChoiceAnswerer, KnowledgeBase, answer_choices
from ctiforge.ask.as_model import AskModel
from ctiforge.ask.choices import MAX_OPTIONS
from ctiforge.core.errors import InputError, SettingError
from ctiforge.models.generation import GenerationRequest

QUESTION = "Which mitigation helps against T9001?"


@pytest.fixture(scope="module")
def options(base: KnowledgeBase) -> list[str]:
    right = base.neighbours("T9001", "mitigated-by")[0]
    return [right.name, "a purple umbrella", "counting the ladles twice", "nothing at all"]


@pytest.fixture(scope="module")
def answerer(base: KnowledgeBase) -> ChoiceAnswerer:
    return ChoiceAnswerer(base)


def test_the_graph_and_the_passages_decide(base: KnowledgeBase, options: list[str]) -> None:
    answer = answer_choices(base, QUESTION, options)
    assert answer.chosen == 0
    assert sum(option.probability for option in answer.options) == pytest.approx(1)
    assert any(passage.object_id == "T9001" for passage in answer.options[0].passages)
    assert answer.versions == base.versions
    assert not answer.negated


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.permutations(range(4)),
    st.sampled_from([QUESTION, "Which of these is NOT seen in T9001?", "Who counts ladles?", "Is a jar a spoon?"]),
)
def test_the_order_of_the_options_does_not_matter(
    base: KnowledgeBase, options: list[str], order: list[int], question: str
) -> None:
    straight = ChoiceAnswerer(base).answer(question, options)
    turned = ChoiceAnswerer(base).answer(question, [options[i] for i in order])
    assert [turned.options[order.index(i)].probability for i in range(4)] == [each.probability for each in straight.options]
    assert straight.chosen is not None
    assert turned.chosen is not None
    assert order[turned.chosen] == straight.chosen


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=80), st.lists(st.text(max_size=40), min_size=2, max_size=5))
def test_any_text_is_answered_or_refused(answerer: ChoiceAnswerer, question: str, options: list[str]) -> None:
    try:
        answer = answerer.answer(question, options)
    except SettingError:
        assert not any(map(str.isalnum, question))
        return
    assert len(answer.options) == len(options)
    assert sum(option.probability for option in answer.options) == pytest.approx(1)


def test_options_that_read_the_same_share_their_probability(base: KnowledgeBase, options: list[str]) -> None:
    answer = answer_choices(base, QUESTION, [options[1], options[0], f" {options[0]} "])
    assert answer.options[1].probability == answer.options[2].probability
    assert answer.chosen == 1


def test_it_abstains_when_told_to(base: KnowledgeBase, options: list[str]) -> None:
    answer = answer_choices(base, QUESTION, options, threshold=1.0)
    assert answer.chosen is None
    assert "less than 1.00" in answer.reason


@pytest.mark.parametrize(
    ("question", "count", "threshold", "message"),
    [
        ("", 4, 0, "no word"),
        ("?", 4, 0, "no word"),
        ("Why?", 1, 0, "1 options"),
        ("Why?", MAX_OPTIONS + 1, 0, "27 options"),
        ("Why?", 2, 1.5, "threshold is 1.5"),
        ("why " * 25_000, 2, 0, "100,0"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    base: KnowledgeBase, question: str, count: int, threshold: float, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        answer_choices(base, question, [f"option {i}" for i in range(count)], threshold=threshold)


def test_it_answers_benchmark_items_by_question_and_options(base: KnowledgeBase, options: list[str]) -> None:
    model = AskModel(base.root)
    turned = options[::-1]
    metadata = {"question": QUESTION, "options": tuple(turned), "choices": tuple("ABCD")}
    generation = asyncio.run(model.generate(GenerationRequest(prompt="ignored", metadata=metadata)))
    assert generation.text == generation.ranked[0] == "D"
    assert sorted(generation.ranked) == list("ABCD")
    assert generation.confidence is not None
    info = asyncio.run(model.info())
    assert info.settings["open_book"] is True
    assert info.digest
    assert model.holds("T9001")
    assert not model.holds("T1")


def test_options_that_are_as_likely_are_not_ranked_by_their_place(base: KnowledgeBase) -> None:
    model = AskModel(base.root)
    unknown = ("xyzzy", "plugh", "frotz", "gnusto")
    named = []
    for turn in range(4):
        options = unknown[turn:] + unknown[:turn]
        metadata = {"question": "Who?", "options": options, "choices": tuple("ABCD")}
        generation = asyncio.run(model.generate(GenerationRequest(prompt="x", metadata=metadata)))
        named.append([options["ABCD".index(letter)] for letter in generation.ranked])
    assert named[1:] == named[:-1]


def test_items_without_options_are_refused(base: KnowledgeBase) -> None:
    generation = asyncio.run(AskModel(base.root).generate(GenerationRequest(prompt="x", metadata={"question": "Why?"})))
    assert generation.error is not None
    assert generation.error.kind == "refused"


def test_no_knowledge_base_is_said_before_anything_is_asked(tmp_path: object) -> None:
    with pytest.raises(InputError):
        AskModel(f"{tmp_path}/none")
