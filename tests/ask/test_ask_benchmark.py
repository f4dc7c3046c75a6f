"""The benchmark of answers: its questions are the same for a seed, its check finds what is not held."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ctiforge.ask import Answerer, AnswerSentence, KnowledgeBase


@pytest.fixture
def benchmark(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    for name in ("ask", "ask_questions"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("ask")


def test_questions_are_the_same_for_a_seed_and_answered_exactly(benchmark: ModuleType, base: KnowledgeBase) -> None:
    questions = benchmark.generate_questions(base, 60, 1)
    assert questions == benchmark.generate_questions(base, 60, 1)
    assert questions != benchmark.generate_questions(base, 60, 2)
    assert len({question.text for question in questions}) == 60
    answers, seconds = benchmark.ask_all(Answerer(base), questions)
    found = benchmark.check_structured(questions, answers)
    assert found["exact"] == found["n"] == 36, found["wrong"]
    cited = benchmark.check_citations(base, answers)
    assert cited["held"] == cited["sentences"]
    assert cited["held_by_the_citations_of_another_answer"] < cited["sentences"] / 4
    assert benchmark.describe_times(seconds)["median_ms"] > 0


@pytest.mark.parametrize(
    ("sentence", "held"),
    [
        (AnswerSentence("T9004 Tune Frobs 4 is mitigated by M9000 Lock Cupboard 0.", ("T9004",)), True),
        (AnswerSentence("T9004 Tune Frobs 4 is mitigated by M9001 Lock Cupboard 1.", ("T9004",)), False),
        (AnswerSentence("T9004 Tune Frobs 4 is mitigated by M9000 Lock Cupboard 0.", ("T9003",)), False),
        (AnswerSentence("Glue lid 4 on with tune resin.", ("CWE-904#mitigation.0",)), True),
        (AnswerSentence("Glue lid 5 on with tune resin.", ("CWE-904#mitigation.0",)), False),
        (AnswerSentence("Glue the handle to the wall of the kitchen.", ("CWE-904#mitigation.0",)), False),
        (AnswerSentence("Glue lid 4 on with tune resin.", ()), False),
    ],
)
def test_the_check_finds_what_is_not_held(
    benchmark: ModuleType, base: KnowledgeBase, sentence: AnswerSentence, held: bool
) -> None:
    assert benchmark._is_cited(base, sentence) is held
