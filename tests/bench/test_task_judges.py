"""Judging answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.bench.task import AnswerKind, Sample
from ctiforge.bench.task_judges import (
    KIND_JUDGES,
    judge_casefold,
    judge_exact,
    judge_mitigations,
    judge_set,
    judge_techniques,
    judge_vector,
)

HIGH = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"  # 9.8
LOW = "CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"  # 1.6
TECHNIQUES = st.sets(st.integers(1000, 1020), min_size=1, max_size=8)


def gold(target: str) -> Sample:
    return Sample("x/0", "p", target)


def test_exact_is_exact() -> None:
    assert judge_exact("CWE-79", gold("CWE-79")).correct
    assert judge_exact("CWE-79", gold("CWE-79")).value == 1.0
    assert not judge_exact("cwe-79", gold("CWE-79")).correct
    assert judge_casefold(" Cross-Site  scripting ", gold("cross-site Scripting")).correct
    assert not judge_casefold("cross site scripting", gold("cross-site scripting")).correct


@pytest.mark.parametrize("kind", [kind for kind in KIND_JUDGES if kind != "cvss_vector"])
def test_nothing_is_right_where_there_is_no_gold(kind: AnswerKind) -> None:
    assert not KIND_JUDGES[kind]("", gold("")).correct
    assert not KIND_JUDGES[kind]("T1059", gold("")).correct


def test_a_vector_deviates_by_its_score() -> None:
    assert judge_vector(LOW, gold(HIGH)).value == 8.2
    assert not judge_vector(LOW, gold(HIGH)).correct
    assert judge_vector(HIGH, gold(HIGH)).value == 0.0
    assert judge_vector(HIGH, gold(HIGH)).correct


@pytest.mark.parametrize(("target", "worst"), [(HIGH, 9.8), (LOW, 8.4)])
def test_no_vector_deviates_most(target: str, worst: float) -> None:
    for answer in ("", "9.8", "CVSS:3.1/AV:N"):
        judged = judge_vector(answer, gold(target))
        assert (judged.correct, judged.value) == (False, worst)


@given(answer=TECHNIQUES, target=TECHNIQUES)
def test_f1_is_that_of_the_sets(answer: set[int], target: set[int]) -> None:
    judged = judge_techniques(
        ",".join(f"T{each}.001" for each in answer), gold(",".join(f"T{each}" for each in sorted(target)))
    )
    both = len(answer & target)
    precision, recall = both / len(answer), both / len(target)
    assert judged.value == pytest.approx(2 * precision * recall / (precision + recall) if both else 0.0)
    assert judged.correct is (answer == target)


def test_mitigations_and_texts_are_sets_too() -> None:
    assert judge_mitigations("M1018, M1026", gold("M1018,M1026")).correct
    assert judge_mitigations("M1018", gold("M1018,M1026")).value == pytest.approx(2 / 3)
    assert judge_set("Beta;  alpha", gold("alpha, beta")).correct
    assert judge_set("alpha", gold("alpha, beta, gamma")).value == 0.5
    assert judge_set("", gold("alpha")).value == 0.0
