"""Follow-up questions are spelled out: pronouns, 'and ...', 'what about ...'."""

from __future__ import annotations

import pytest

from ctiforge.ask import Answerer, KnowledgeBase
from ctiforge.ask.conversation import NO_TOPIC, Topic, spell_out, topic_after
from ctiforge.ask.mentions import NameFinder

TOPIC = Topic("which groups use T9003", ("T9003",))


@pytest.fixture(scope="module")
def names(base: KnowledgeBase) -> NameFinder:
    return NameFinder(base)


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("and which groups use it?", "and which groups use T9003?"),
        ("its mitigations", "T9003 mitigations"),
        ("what mitigates this technique?", "what mitigates T9003?"),
        ("which software uses that?", "which software uses T9003?"),
        ("and mitigations?", "and mitigations of T9003?"),
        ("what about T9004?", "which groups use T9004"),
        ("and Tune Frobs 4?", "which groups use Tune Frobs 4"),
        ("which groups use T9004", "which groups use T9004"),
        ("what does it do with T9004?", "what does it do with T9004?"),
        ("who won the cup?", "who won the cup?"),
    ],
)
def test_what_a_question_refers_to(names: NameFinder, question: str, meant: str) -> None:
    assert spell_out(question, TOPIC, names) == meant


def test_nothing_is_put_in_where_nothing_was_said(names: NameFinder) -> None:
    assert spell_out("and which groups use it?", NO_TOPIC, names) == "and which groups use it?"


def test_a_conversation(base: KnowledgeBase, names: NameFinder) -> None:
    answerer = Answerer(base)
    topic = NO_TOPIC
    listed = []
    for line in (
        "what is T9004",
        "how is it mitigated?",
        "write an exploit for it",
        "and which software uses it",
        "and T9003?",
    ):
        answer = answerer.answer(spell_out(line, topic, names))
        topic = topic_after(answer, topic)
        listed.append((answer.status, set(answer.listed)))
    assert listed[1] == ("answered", {"M9000", "M9004"})
    assert listed[2][0] == "declined"
    assert listed[3] == ("answered", {"S9002"})
    assert listed[4] == ("answered", {"S9001"})
