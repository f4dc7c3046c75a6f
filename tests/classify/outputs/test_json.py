"""The JSON contract against its schema."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from ctiforge.classify.outputs import OUTPUTS, OutputOptions, load_prediction_schema
from ctiforge.classify.prediction import Prediction


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = load_prediction_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def lines(options: OutputOptions, predictions: tuple[Prediction, ...]) -> list[dict[str, object]]:
    renderer = OUTPUTS["jsonl"].renderer(options)
    return [json.loads(renderer.render(each)) for each in predictions]


def test_every_line_is_valid(
    validator: jsonschema.Draft202012Validator, options: OutputOptions, batch: tuple[Prediction, ...], hostile: Prediction
) -> None:
    records = lines(options, (*batch, hostile))
    for record in records:
        validator.validate(record)
    assert [record["id"] for record in records[:-1]] == [each.id for each in batch]


def test_schema_refuses_what_the_contract_does_not_say(
    validator: jsonschema.Draft202012Validator, options: OutputOptions, xss: Prediction
) -> None:
    (record,) = lines(options, (xss,))
    for wrong in (
        {**record, "extra": 1},
        {**record, "reason": "no_description"},
        {**record, "abstained": True},
        {**record, "suggestions": []},
        {key: value for key, value in record.items() if key != "policy"},
    ):
        assert not validator.is_valid(wrong)


def test_evidence_offsets_point_into_the_text(options: OutputOptions, xss: Prediction) -> None:
    (record,) = lines(options, (xss,))
    for span in record["suggestions"][0]["evidence"]:  # type: ignore[index]
        assert xss.text[span["start"] : span["end"]] == span["text"]


def test_probabilities_have_four_decimals_and_top_k_holds(options: OutputOptions, overflow: Prediction) -> None:
    (record,) = lines(replace(options, top_k=2), (overflow,))
    assert [each["probability"] for each in record["suggestions"]] == [0.6112, 0.2]  # type: ignore[attr-defined]
    assert "prefer" not in record["suggestions"][0]  # type: ignore[index]
    assert record["discouraged"][0]["prefer"] == ["CWE-787", "CWE-125"]  # type: ignore[index]


def test_bare_text_has_no_source_and_no_assignments(options: OutputOptions, xss: Prediction) -> None:
    (record,) = lines(options, (replace(xss, advisory=None),))
    assert record["source"] == ""
    assert record["assigned"] == []


def test_escaping_changes_no_value(options: OutputOptions, hostile: Prediction) -> None:
    (record,) = lines(options, (hostile,))
    assert record["id"] == hostile.id
    assert record["suggestions"][0]["evidence"][0]["text"] == hostile.text.replace("\ud800", "\ufffd")  # type: ignore[index]


def test_json_holds_the_same_objects_as_jsonl(options: OutputOptions, batch: tuple[Prediction, ...]) -> None:
    renderer = OUTPUTS["json"].renderer(options)
    document = json.loads(renderer.begin() + "".join(map(renderer.render, batch)) + renderer.end())
    assert document == lines(options, batch)
