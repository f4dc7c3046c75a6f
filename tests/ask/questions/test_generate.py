"""Questions made from a knowledge base."""

from __future__ import annotations

import pytest

from ctiforge.ask import KnowledgeBase
from ctiforge.ask.questions import LEVELS, TOPICS, Question, generate_questions
from ctiforge.core.errors import SettingError


@pytest.fixture(scope="module")
def made(base: KnowledgeBase) -> list[Question]:
    return list(generate_questions(base, 5))


def test_the_same_seed_gives_the_same_questions_and_another_one_others(base: KnowledgeBase, made: list[Question]) -> None:
    assert list(generate_questions(base, 5)) == made
    assert {each.id for each in generate_questions(base, 6)} != {each.id for each in made}


def test_questions_have_four_different_options_and_cite_passages_that_are_there(
    base: KnowledgeBase, made: list[Question]
) -> None:
    assert len(made) > 200
    for each in made:
        assert len({option.casefold() for option in each.options}) == 4
        assert each.subject in base
        assert each.topic in TOPICS
        assert each.level in LEVELS
        assert each.why
        for passage in each.passages:
            assert base.passage(passage) is not None, each


def test_answers_about_relations_are_the_graphs(base: KnowledgeBase, made: list[Question]) -> None:
    asked = [each for each in made if each.kind == "mitigated-by-mitigation"]
    assert asked
    for each in asked:
        names = {relation.name for relation in base.neighbours(each.subject, "mitigated-by")}
        plain = [option.split(" (M")[0] for option in each.options]
        assert [option in names for option in plain].count(True) == 1
        assert plain[each.answer] in names


def test_what_is_asked_for_in_turned_questions_is_the_one_that_does_not_stand_in_the_relation(
    base: KnowledgeBase, made: list[Question]
) -> None:
    asked = [each for seed in range(4) for each in generate_questions(base, seed) if each.kind == "not-has-technique-technique"]
    assert asked
    for each in asked:
        names = {relation.name for relation in base.neighbours(each.subject, "has-technique")}
        assert [option.split(" (T")[0] in names for option in each.options].count(False) == 1
        assert each.right.split(" (T")[0] not in names


def test_a_definition_does_not_give_its_object_away(base: KnowledgeBase, made: list[Question]) -> None:
    asked = [each for each in made if each.kind.startswith("definition-")]
    assert asked
    for each in asked:
        assert each.right.casefold() not in each.stem.casefold()
        assert each.subject not in each.stem


def test_topics_and_levels_narrow(base: KnowledgeBase) -> None:
    assert {each.topic for each in generate_questions(base, 1, topics=["cwe"])} == {"cwe"}
    for level in LEVELS:
        assert {each.level for each in generate_questions(base, 1, level=level)} == {level}


def test_unknown_topics_and_levels_say_what_there_is(base: KnowledgeBase) -> None:
    with pytest.raises(SettingError, match="no topic 'cve'") as refused:
        next(generate_questions(base, 1, topics=["cve"]))
    assert "cwe" in str(refused.value.fix)
    with pytest.raises(SettingError, match="no level 4"):
        next(generate_questions(base, 1, level=4))


def test_rewording_changes_words_and_keeps_which_option_is_right(base: KnowledgeBase, made: list[Question]) -> None:
    changed = {each.id: each for each in generate_questions(base, 5, rewording=0.9)}
    assert any(changed[each.id].stem != each.stem for each in made if each.id in changed)
