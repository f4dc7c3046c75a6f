"""Similar CVEs and rare candidates in every format that has a place for them."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from ctiforge.classify.outputs import OUTPUTS, OutputOptions, load_prediction_schema
from ctiforge.classify.outputs.neighbours import assigned_text
from ctiforge.classify.prediction import Prediction, RareCandidate, SimilarCve

SIMILAR = (
    SimilarCve(
        "CVE-2098-1001", 0.99999, (("cna", "CWE-79"), ("nvd", "CWE-79"), ("adp", "CWE-80")), "2098-01-02", "Stored | script"
    ),
    SimilarCve("<b>\x1b[2J", 0.41, (("user", "CWE-352"),), "", "[click](https://evil.example)\n\x1b[31m"),
)
RARE = (RareCandidate("CWE-1021", "Improper Restriction of Rendered UI Layers or Frames", 0.21234, "Allowed"),)


@pytest.fixture
def answered(xss: Prediction) -> Prediction:
    return replace(xss, similar=SIMILAR)


@pytest.fixture
def doubtful(abstention: Prediction) -> Prediction:
    return replace(abstention, similar=SIMILAR, rare_candidates=RARE)


def render(name: str, options: OutputOptions, prediction: Prediction) -> str:
    renderer = OUTPUTS[name].renderer(options)
    return renderer.begin() + renderer.render(prediction) + renderer.end()


def test_the_contract_holds_them(options: OutputOptions, answered: Prediction, doubtful: Prediction, xss: Prediction) -> None:
    validator = jsonschema.Draft202012Validator(load_prediction_schema())
    for prediction in (answered, doubtful, replace(xss, similar=())):
        validator.validate(json.loads(render("jsonl", options, prediction)))
    record = json.loads(render("jsonl", options, doubtful))
    assert record["similar"][0] == {
        "id": "CVE-2098-1001",
        "similarity": 1.0,
        "assigned": [
            {"party": "cna", "cwe_id": "CWE-79"},
            {"party": "nvd", "cwe_id": "CWE-79"},
            {"party": "adp", "cwe_id": "CWE-80"},
        ],
        "published": "2098-01-02",
        "excerpt": "Stored | script",
    }
    assert record["rare_candidates"] == [{"cwe_id": "CWE-1021", "name": RARE[0].name, "similarity": 0.2123, "usage": "Allowed"}]
    assert json.loads(render("jsonl", options, replace(xss, similar=())))["similar"] == []


def test_who_asks_for_neither_sees_neither(options: OutputOptions, xss: Prediction, abstention: Prediction) -> None:
    for prediction in (xss, abstention):
        assert not {"similar", "rare_candidates"} & json.loads(render("jsonl", options, prediction)).keys()
        for name in ("table", "markdown"):
            assert "similar" not in render(name, options, prediction)
            assert "rare" not in render(name, options, prediction)


def test_the_table_gives_each_a_line(options: OutputOptions, answered: Prediction, doubtful: Prediction) -> None:
    lines = [line.strip() for line in render("table", options, doubtful).splitlines()]
    assert "similar CVE-2098-1001 0.99 CWE-79 (CNA, NVD), CWE-80 (ADP)" in lines
    assert any(
        line.startswith("rare CWE-1021 Improper Restriction") and "0.21 like MITRE's definition" in line for line in lines
    )
    assert "Stored" not in render("table", options, doubtful)
    explained = render("table", replace(options, explain=True), answered)
    assert "“Stored | script”" in explained
    assert "\x1b" not in explained


def test_markdown_keeps_them_in_their_cell_and_inert(options: OutputOptions, doubtful: Prediction) -> None:
    row = render("markdown", options, doubtful).splitlines()[-1]
    assert "<br>similar: CVE-2098-1001 0.99 CWE-79 (CNA, NVD), CWE-80 (ADP)" in row
    assert "<br>rare: CWE-1021 Improper Restriction of Rendered UI Layers or Frames 0.21 like MITRE's definition" in row
    assert "&lt;b&gt;" in row
    assert "<b>" not in row
    assert row.replace("\\|", "").count("|") == 7


def test_formats_for_exchange_do_not_change(options: OutputOptions, xss: Prediction, answered: Prediction) -> None:
    for name in ("csv", "cve-adp", "nvd", "csaf"):
        assert render(name, options, answered) == render(name, options, xss)


def test_one_cwe_of_several_parties_is_named_once() -> None:
    assert assigned_text(SIMILAR[0]) == "CWE-79 (CNA, NVD), CWE-80 (ADP)"
    assert assigned_text(SimilarCve("x", 0.5, (("nvd", "CWE-1"), ("nvd", "CWE-1")))) == "CWE-1 (NVD)"
