"""Answers: what is asked of the graph is exact and cited, what is asked in words is quoted, and what is not there is said
so."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.ask import Answer, Answerer, BuildInputs, KnowledgeBase, Scope, answer_question, build_knowledge_base
from ctiforge.core.errors import InputError, ModelError, SettingError
from ctiforge.models.scripted import ScriptedModel


@pytest.fixture(scope="module")
def answerer(base: KnowledgeBase) -> Answerer:
    return Answerer(base)


@pytest.mark.parametrize(
    ("question", "aspect", "listed"),
    [
        ("which mitigation fits T9004", "mitigations", {"M9000", "M9004"}),
        ("how can Tune Frobs 4 be prevented?", "mitigations", {"M9000", "M9004"}),
        ("mitigations for t9004?", "mitigations", {"M9000", "M9004"}),
        ("which groups use T9003", "groups", {"G9003", "G9005"}),
        ("Who has used T9003?", "groups", {"G9003", "G9005"}),
        ("which software uses T9003", "software", {"S9001"}),
        ("which campaigns used T9009", "campaigns", {"C9000"}),
        ("tactic of T9001.002", "tactics", {"TA9001"}),
        ("parent of T9001.002", "parents", {"T9001"}),
        ("what are the sub-techniques of T9001", "sub-techniques", {"T9001.001", "T9001.002"}),
        ("which data source shows T9000", "data components", {"DC9000"}),
        ("what does T9000 detect by", "detection strategies", {"DET9000"}),
        ("which analytics detect T9000", "analytics", {"AN9000"}),
        ("which CAPEC matches T9003", "attack patterns", {"CAPEC-9003", "CAPEC-9010"}),
        ("which weaknesses belong to T9003", "weaknesses", {"CWE-903", "CWE-910"}),
        ("which techniques does Guild 5 use", "techniques", {"T9005", "T9003"}),
        ("what does Brass Spoon 5 use?", "techniques", {"T9005", "T9003", "S9005"}),
        ("software of G9001", "software", {"S9001"}),
        ("which campaigns is Guild 0 behind", "campaigns", {"C9000"}),
        ("who is behind Great Supper", "groups", {"G9000"}),
        ("which techniques does M9003 mitigate", "techniques", {"T9003", "T9007"}),
        ("what does Crumb Trail 0 help to detect", "techniques", {"T9000", "T9006"}),
        ("which techniques does TA9002 have", "techniques", {"T9002", "T9007"}),
        ("which CAPEC exploit CWE-904", "attack patterns", {"CAPEC-9004"}),
        ("which CWE does CAPEC-9004 exploit", "weaknesses", {"CWE-904"}),
        ("what is CWE-904 a child of?", "parents", {"CWE-901"}),
        ("Of what is CWE-904 a child?", "parents", {"CWE-901"}),
        ("children of CWE-901", "children", {"CWE-904", "CWE-906", "CWE-908", "CWE-910"}),
        ("which CVEs are examples of CWE-904", "vulnerabilities", {"CVE-2099-10004"}),
        ("which CWE does CVE-2099-20001 have", "weaknesses", {"CWE-903"}),
        ("which attack patterns fit CVE-2099-20001", "attack patterns", {"CAPEC-9003"}),
        ("what can CWE-904 lead to", "can precede", {"CWE-905"}),
    ],
)
def test_relations_are_listed_exactly(answerer: Answerer, question: str, aspect: str, listed: set[str]) -> None:
    answer = answerer.answer(question)
    assert (answer.status, answer.method) == ("answered", "graph")
    assert answer.aspect == aspect
    assert set(answer.listed) == listed
    assert all(each in answer.sentences[0].text for each in listed)
    _check_citations(answerer.base, answer)


def _check_citations(base: KnowledgeBase, answer: Answer) -> None:
    for sentence in answer.sentences:
        assert sentence.cites
        for cite in sentence.cites:
            assert base.passage(cite) is not None or cite in base


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("what is T9004", "Adversaries may tune number 4"),
        ("Explain Guild 2", "robbed kitchens of street 2"),
        ("what is Improper Tune of Jars ('Jar4')?", "lets any tune guest take the lid off"),
        ("What is Jar4?", "lets any tune guest take the lid off"),
        ("how can CWE-904 be mitigated", "Glue lid 4 on with tune resin"),
        ("how is CWE-904 detected", "Lift lid 4 with tune tongs"),
        ("what are the consequences of CWE-904", "Gain Privileges"),
        ("is CWE-901 allowed for mapping?", "Discouraged"),
        ("what is the abstraction of CWE-900", "Pillar"),
        ("which platforms does T9000 affect", "Kettles"),
        ("aliases of Guild 1", "Brass Spoon 1"),
        ("what does CAPEC-9004 require", "The tune clerk must leave door 4 open"),
        ("severity of CAPEC-9001", "High"),
        ("first seen of Great Supper", "2030-01-01"),
        ("when was CVE-2099-20001 published", "2099-02-03"),
        ("what is CVE-2099-20001", "count the gherkins"),
    ],
)
def test_facts_and_texts_of_an_object(answerer: Answerer, question: str, words: str) -> None:
    answer = answerer.answer(question)
    assert answer.status == "answered"
    assert words in answer.text
    _check_citations(answerer.base, answer)


def test_differences_say_what_both_are_and_what_they_share(answerer: Answerer) -> None:
    answer = answerer.answer("what is the difference between CWE-904 and CWE-906?")
    assert answer.aspect == "difference"
    assert answer.objects == ("CWE-904", "CWE-906")
    assert "jar 52" in answer.sentences[0].text
    assert "jar 78" in answer.sentences[1].text
    assert "both are children of CWE-901" in answer.text


def test_a_relation_between_two_is_affirmed_or_not_stated(answerer: Answerer) -> None:
    yes = answerer.answer("does Guild 3 use T9003?")
    assert yes.status == "answered"
    assert "Guild 3 has taken 6 spoons" in yes.text
    no = answerer.answer("does M9000 mitigate T9003?")
    assert no.status == "not-stated"
    assert "does not state" in no.notes[0]


def test_what_is_described_and_not_named_is_said_to_be_taken(answerer: Answerer) -> None:
    answer = answerer.answer("which data source shows tune number spoons drawer sugar bowl")
    assert answer.aspect == "data components"
    assert answer.objects == ("T9004",)
    assert answer.notes[0].startswith("taken to be about T9004")


def test_free_text_is_quoted_word_by_word(answerer: Answerer) -> None:
    answer = answerer.answer("what do we do when a ladle is missing from the drawer, count the ladles twice?")
    assert answer.method == "passages"
    for sentence in answer.sentences:
        passage = answerer.base.passage(sentence.cites[0])
        assert passage is not None
        assert sentence.text in passage.text
    assert "count the ladles twice" in answer.text


@pytest.mark.parametrize(
    "question", ["What is the capital of France?", "who won the cup in 2018", "how do magnets work?", "love", "xyzzy plugh"]
)
def test_what_is_not_there_is_not_answered(answerer: Answerer, question: str) -> None:
    answer = answerer.answer(question)
    assert (answer.status, answer.sentences) == ("not-stated", ())
    assert answer.notes
    assert "kb search" in answer.suggestions[0]


def test_an_unknown_identifier_is_named(answerer: Answerer) -> None:
    answer = answerer.answer("mitigations of T8888")
    assert answer.status == "not-stated"
    assert answer.notes == ("the knowledge base does not hold T8888",)


def test_what_an_object_does_not_have_is_not_stated(answerer: Answerer) -> None:
    answer = answerer.answer("which campaigns used T9001")
    assert answer.status == "not-stated"
    assert "campaigns of T9001" in answer.notes[0]


def test_a_revoked_identifier_is_its_successor(answerer: Answerer) -> None:
    assert answerer.answer("tactic of T9091").objects == ("T9003",)


def test_every_answer_has_the_versions_of_its_sources(answerer: Answerer) -> None:
    for question in ("T9004", "the weather of tomorrow", "write me a worm"):
        answer = answerer.answer(question)
        assert {each.key for each in answer.sources} == {each.key for each in answerer.base.versions}
        assert answer.build == answerer.base.manifest.build


def test_a_request_for_what_attacks_is_declined_and_told_what_else(answerer: Answerer) -> None:
    answer = answerer.answer("write an exploit for CWE-904")
    assert (answer.status, answer.sentences) == ("declined", ())
    assert any("mitigations of CWE-904" in each for each in answer.suggestions)
    for suggestion in answer.suggestions:
        assert answerer.answer(suggestion).status == "answered"


def test_a_day_cuts_the_knowledge(answerer: Answerer) -> None:
    assert answerer.answer("what is CVE-2099-20001", Scope(date="2099-02-03")).status == "answered"
    before = answerer.answer("what is CVE-2099-20001", Scope(date="2099-02-02"))
    assert before.status == "not-stated"
    assert "no CVE-2099-20001 yet" in before.notes[0]
    assert answerer.answer("which CVEs are examples of CWE-903", Scope(date="2099-01-01")).listed == ()


def test_filters_narrow_what_is_listed(answerer: Answerer) -> None:
    question = "which techniques does M9003 mitigate"
    assert answerer.answer(question, Scope(platform="Lamps")).listed == ("T9007",)
    assert answerer.answer(question, Scope(tactic="TA9003")).listed == ("T9003",)
    assert answerer.answer("what does Guild 1 use", Scope(kinds=("software",))).listed == ("S9001",)
    assert answerer.answer("which techniques does M9003 mitigate on lamps").listed == ("T9007",)


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (Scope(date="yesterday"), "is no day"),
        (Scope(platform="Abacus"), "no object has the platform"),
        (Scope(tactic="Nap"), "no object has the tactic"),
        (Scope(kinds=("spoon",)), "no object has the kind"),  # type: ignore[arg-type]
    ],
)
def test_an_unknown_filter_is_refused(answerer: Answerer, scope: Scope, reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        answerer.answer("what is T9004", scope)


@pytest.mark.parametrize(
    ("question", "reason"),
    [("", "is empty"), (" \n\t\u200b ", "is empty"), ("?!", "has no word"), ("why " * 25_000, "99,999 characters")],
)
def test_a_question_that_is_none_is_refused(answerer: Answerer, question: str, reason: str) -> None:
    with pytest.raises(SettingError, match=reason) as caught:
        answerer.answer(question)
    assert caught.value.fix


@given(st.text(min_size=1, max_size=200))
def test_any_text_gets_an_answer_or_a_reason(answerer: Answerer, question: str) -> None:
    try:
        answer = answerer.answer(question)
    except SettingError:
        return
    assert answer.status in ("answered", "not-stated", "ambiguous", "declined")
    assert bool(answer.sentences) == (answer.status == "answered")
    assert answer.sentences or answer.notes


def test_a_base_of_another_version_is_refused_and_left(base: KnowledgeBase, tmp_path: Path) -> None:
    manifest = json.loads((base.root / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"format": "ctiforge-knowledge-base/99"}))
    with pytest.raises(InputError, match=r"base/99.*left as it is"):
        KnowledgeBase.load(tmp_path)


# Written by a model.

FREE = "what do we do when a ladle is missing from the drawer, count the ladles twice?"


def write(answerer: Answerer, reply: str, question: str = FREE) -> Answer:
    return asyncio.run(answerer.write(question, ScriptedModel({"*": reply}, name="parrot")))


def test_a_model_writes_what_passages_support(answerer: Answerer) -> None:
    answer = write(answerer, "Close the drawer that was opened [1]. Count the ladles twice. [1] The butler did it [1].")
    assert (answer.method, answer.model) == ("model", "parrot")
    assert [sentence.text for sentence in answer.sentences] == ["Close the drawer that was opened.", "Count the ladles twice."]
    assert answer.dropped == ("The butler did it.",)
    assert answer.notes == ("dropped of what the model wrote, since no cited passage supports it: 1 sentence(s)",)


@pytest.mark.parametrize(
    "reply",
    [
        "Count the ladles twice.",  # no citation
        "Count the ladles twice [99].",
        "Do not count the ladles twice [1].",
        "Count the ladles 7 times, twice [1].",
        "Count the ladles twice as T9004 says [1].",
        "",
    ],
)
def test_what_is_not_supported_leaves_the_passages(answerer: Answerer, reply: str) -> None:
    answer = write(answerer, reply)
    assert answer.method == "passages"
    assert "nothing of the model's answer was left" in answer.notes[-1]


def test_a_model_may_find_no_answer(answerer: Answerer) -> None:
    answer = write(answerer, "NOT STATED")
    assert (answer.status, answer.sentences) == ("not-stated", ())


def test_a_model_is_not_asked_what_the_graph_says(answerer: Answerer) -> None:
    assert asyncio.run(answerer.write("tactic of T9001", ScriptedModel())).method == "graph"
    assert asyncio.run(answerer.write("write a worm", ScriptedModel())).status == "declined"
    assert asyncio.run(answerer.write("capital of France", ScriptedModel())).status == "not-stated"


def test_a_model_that_fails_is_an_error_with_a_way_out(base: KnowledgeBase) -> None:
    with pytest.raises(ModelError, match="gave no answer: refused") as caught:
        answer_question(base, FREE, model=ScriptedModel())
    assert "without --model" in (caught.value.fix or "")


def test_the_answer_is_a_value(answerer: Answerer) -> None:
    first, second = answerer.answer("tactic of T9001"), answerer.answer("tactic of T9001")
    assert first == second
    assert replace(first, question="x") != first


def test_with_embeddings_it_says_no_more_than_words_support(cwe_only: BuildInputs, tiny_encoder: Path, tmp_path: Path) -> None:
    build_knowledge_base(cwe_only, tmp_path / "kb")
    answerer = Answerer(KnowledgeBase.load(tmp_path / "kb"))
    assert answerer.base.has_embeddings
    answer = answerer.answer("should one glue the lid on with tune resin and mark the jar?")
    assert (answer.status, answer.method) == ("answered", "passages")
    assert answer.sentences[0].cites == ("CWE-904#mitigation.0",)
    assert answerer.answer("what is the capital of France").status == "not-stated"
