"""Gold answers in normal form."""

from __future__ import annotations

import random
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.bench.extract import extract_answer
from ctiforge.bench.task import AnswerKind, Sample
from ctiforge.bench.task_targets import base_score, fold_techniques, normal_target, vector_in_normal_form
from ctiforge.core.errors import MissingExtraError

METRICS = {"AV": "NALP", "AC": "LH", "PR": "NLH", "UI": "NR", "S": "UC", "C": "NLH", "I": "NLH", "A": "NLH"}
VECTORS = st.tuples(*(st.sampled_from(values) for values in METRICS.values())).map(
    lambda values: "CVSS:3.1/" + "/".join(f"{name}:{value}" for name, value in zip(METRICS, values, strict=True))
)


@pytest.mark.parametrize(
    ("kind", "gold", "normal"),
    [
        ("cwe", "CWE-79", "CWE-79"),
        ("cwe", " cwe 079 ", "CWE-79"),
        ("cwe", "CWE\u201179", "CWE-79"),
        ("cwe", "79", "CWE-79"),
        ("choice", "b", "B"),
        ("choice", " D. ", "D"),
        ("choice", "A)", "A"),
        ("technique_set", "T1573, T1071.001;T1071", "T1071,T1573"),
        ("mitigation_set", "M1047 m1018", "M1018,M1047"),
        ("actor", " Velvet \n Heron ", "Velvet Heron"),
        ("text", " None ", "None"),
    ],
)
def test_normal_forms(kind: AnswerKind, gold: str, normal: str) -> None:
    assert normal_target(kind, gold, choices=4) == normal
    assert normal_target(kind, normal, choices=4) == normal


@pytest.mark.parametrize(
    ("kind", "gold"),
    [
        ("cwe", "CWE-79 CWE-80"),
        ("cwe", "NVD-CWE-noinfo"),
        ("cwe", "0"),
        ("choice", "E"),
        ("choice", "AB"),
        ("choice", ""),
        ("technique_set", "T1573 and T1071"),
        ("technique_set", "T157"),
        ("mitigation_set", "T1573"),
        ("cvss_vector", "9.8"),
        ("cvss_vector", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"),
        ("cvss_vector", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H"),
    ],
)
def test_what_is_no_gold_is_refused(kind: AnswerKind, gold: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        normal_target(kind, gold, choices=4)


@given(vector=VECTORS, seed=st.integers(0, 9))
def test_a_vector_in_any_order_and_case_has_one_normal_form_and_score(vector: str, seed: int) -> None:
    metrics = vector.split("/")[1:]
    random.Random(seed).shuffle(metrics)
    shuffled = "/".join(metrics).lower()
    assert vector_in_normal_form(shuffled) == vector_in_normal_form(f"{vector}/E:P/RL:O") == vector
    score = base_score(vector)
    assert score == base_score("CVSS:3.1/" + "/".join(metrics))
    assert 0 <= score <= 10
    assert Decimal(str(score)).as_tuple().exponent == -1


@given(vector=VECTORS)
def test_the_gold_has_the_form_that_extraction_gives(vector: str) -> None:
    """Exact vectors are counted by comparing the two as text."""
    assert extract_answer("last-vector", "cvss_vector", f"Answer: {vector}", Sample("x", "", "")) == normal_target(
        "cvss_vector", vector
    )


@pytest.mark.parametrize(
    ("vector", "score"),
    [
        # Examples of the CVSS v3.1 examples document, revision 2, by FIRST.
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:N", 5.4),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
        ("CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", 4.2),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0),
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0),
    ],
)
def test_base_scores(vector: str, score: float) -> None:
    assert base_score(vector) == score


def test_techniques_are_folded() -> None:
    assert fold_techniques("t1059.001, T1059 and T1071") == {"T1059", "T1071"}


def test_vectors_need_a_package_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cvss", None)
    with pytest.raises(MissingExtraError, match="needs 'cvss'") as caught:
        vector_in_normal_form("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N")
    assert caught.value.fix == "pip install 'ctiforge[bench]'"
