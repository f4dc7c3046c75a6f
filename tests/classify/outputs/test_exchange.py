"""The formats that other programs read, against their schemas."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jsonschema import FormatChecker

from ctiforge.classify.outputs import OUTPUTS, OutputOptions
from ctiforge.classify.outputs.cve_adp import PLACEHOLDER_ORG_ID
from ctiforge.classify.prediction import Prediction, Suggestion

ORG = "8f7c1f2e-0f5a-4c3b-9a55-3f6f0c2d1e4b"

# NVD's schema itself is not shipped with any package; this states, in our words, the field names and values of its
# `cve_api_json_2.0.schema` that an overlay with weaknesses touches.
NVD_SCHEMA = {
    "type": "object",
    "required": ["resultsPerPage", "startIndex", "totalResults", "format", "version", "timestamp", "vulnerabilities"],
    "properties": {
        "resultsPerPage": {"type": "integer"},
        "startIndex": {"type": "integer"},
        "totalResults": {"type": "integer"},
        "format": {"const": "NVD_CVE"},
        "version": {"const": "2.0"},
        "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$"},
        "vulnerabilities": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["cve"],
                "additionalProperties": False,
                "properties": {
                    "cve": {
                        "type": "object",
                        "required": ["id"],
                        "properties": {
                            "id": {"type": "string", "pattern": "^CVE-[0-9]{4}-[0-9]{4,}$"},
                            "weaknesses": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["source", "type", "description"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "source": {"type": "string"},
                                        "type": {"enum": ["Primary", "Secondary"]},
                                        "description": {
                                            "type": "array",
                                            "minItems": 1,
                                            "items": {
                                                "type": "object",
                                                "required": ["lang", "value"],
                                                "additionalProperties": False,
                                                "properties": {
                                                    "lang": {"const": "en"},
                                                    "value": {"pattern": "^CWE-[1-9][0-9]*$"},
                                                },
                                            },
                                        },
                                    },
                                },
                            },
                        },
                    }
                },
            },
        },
    },
}


def document(name: str, options: OutputOptions, predictions: tuple[Prediction, ...]) -> Any:
    renderer = OUTPUTS[name].renderer(options)
    return json.loads(renderer.begin() + "".join(map(renderer.render, predictions)) + renderer.end())


def adp_lines(options: OutputOptions, *predictions: Prediction) -> list[dict[str, Any]]:
    renderer = OUTPUTS["cve-adp"].renderer(options)
    return [json.loads(line) for line in map(renderer.render, predictions) if line]


@pytest.fixture(scope="module")
def adp_schema() -> dict[str, Any]:
    folder = resources.files("cvelib") / "schemas"
    (path,) = [each for each in folder.iterdir() if each.name.startswith("CVE_JSON_adpContainer")]
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


def as_review(suggestion: Suggestion, usage: str) -> Suggestion:
    return replace(suggestion, usage=usage)  # type: ignore[arg-type]


@pytest.mark.parametrize("org_id", [None, ORG])
def test_adp_containers_are_valid(
    org_id: str | None, adp_schema: dict[str, Any], options: OutputOptions, batch: tuple[Prediction, ...]
) -> None:
    records = adp_lines(replace(options, adp_always=True, org_id=org_id), *batch)
    assert [record["cveMetadata"]["cveId"] for record in records] == ["CVE-2099-10001", "CVE-2099-10002"]
    for record in records:
        (container,) = record["containers"]["adp"]
        jsonschema.Draft7Validator(adp_schema).validate(container)
        assert container["providerMetadata"]["orgId"] == (org_id or PLACEHOLDER_ORG_ID)
    assert records[0]["containers"]["adp"][0]["problemTypes"] == [
        {
            "descriptions": [
                {
                    "lang": "en",
                    "type": "CWE",
                    "cweId": "CWE-79",
                    "description": f"CWE-79 {batch[0].suggestions[0].name}",
                }
            ]
        }
    ]


def test_cvelib_takes_a_line_as_it_is(adp_schema: dict[str, Any], options: OutputOptions, overflow: Prediction) -> None:
    from cvelib.cve_api import CveApi

    (record,) = adp_lines(options, overflow)
    assert CveApi._extract_adp_container(record) == record["containers"]["adp"][0]


def test_a_whole_record_with_the_container_is_valid(options: OutputOptions, overflow: Prediction) -> None:
    folder = resources.files("cvelib") / "schemas"
    (path,) = [each for each in folder.iterdir() if each.name.startswith("CVE_JSON_bundled")]
    (record,) = adp_lines(options, overflow)
    record["cveMetadata"] |= {"assignerOrgId": ORG, "state": "PUBLISHED"}
    record["containers"]["cna"] = {
        "providerMetadata": {"orgId": ORG},
        "affected": [{"vendor": "Pixelmill", "product": "Pixelmill", "defaultStatus": "affected"}],
        "descriptions": [{"lang": "en", "value": overflow.text}],
        "references": [{"url": "https://pixelmill.example/advisory"}],
    }
    jsonschema.Draft7Validator(json.loads(path.read_text())).validate(record)


def test_adp_follows_vulnrichments_rule(options: OutputOptions, xss: Prediction) -> None:
    assert adp_lines(options, xss) == []
    assert len(adp_lines(replace(options, adp_always=True), xss)) == 1


@pytest.mark.parametrize("name", ["cve-adp", "csaf"])
def test_exchange_formats_never_carry_a_discouraged_entry(name: str, options: OutputOptions, overflow: Prediction) -> None:
    first, second, _ = overflow.suggestions
    under_nvd_policy = replace(overflow, suggestions=(as_review(first, "Discouraged"), second), policy="nvd")
    only_discouraged = replace(under_nvd_policy, suggestions=(as_review(first, "Prohibited"),))
    if name == "cve-adp":
        (record,) = adp_lines(options, under_nvd_policy)
        assert record["containers"]["adp"][0]["problemTypes"][0]["descriptions"][0]["cweId"] == "CWE-122"
        assert adp_lines(options, only_discouraged) == []
    else:
        (item,) = document("csaf", options, (under_nvd_policy,))["vulnerabilities"]
        assert [each["id"] for each in item["cwes"]] == ["CWE-122"]
        (item,) = document("csaf", options, (only_discouraged,))["vulnerabilities"]
        assert "cwes" not in item
        assert "No entry that MITRE allows" in item["notes"][0]["text"]


def test_nvd_weaknesses_are_valid(options: OutputOptions, batch: tuple[Prediction, ...]) -> None:
    response = document("nvd", replace(options, org_id=ORG), batch)
    jsonschema.Draft202012Validator(NVD_SCHEMA).validate(response)
    assert response["totalResults"] == response["resultsPerPage"] == 4
    items = {each["cve"]["id"]: each["cve"]["weaknesses"] for each in response["vulnerabilities"]}
    assert items["CVE-2099-10001"] == [{"source": ORG, "type": "Secondary", "description": [{"lang": "en", "value": "CWE-79"}]}]
    assert items["CVE-2099-10003"] == []


@pytest.fixture(scope="module")
def csaf_validator(shared_data: Path) -> jsonschema.Draft202012Validator:
    schema = json.loads((shared_data / "schemas" / "csaf-2.1.json").read_text())
    # The document's own meta-schema only turns `format` into an assertion, which the format checker does here. CVSS and SSVC
    # schemas, which it refers to elsewhere, are never reached: these documents have no metrics.
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return jsonschema.Draft202012Validator(schema, format_checker=FormatChecker())


@pytest.mark.parametrize("count", [0, 1, 5])
def test_csaf_documents_are_valid(
    count: int, csaf_validator: jsonschema.Draft202012Validator, options: OutputOptions, batch: tuple[Prediction, ...]
) -> None:
    csaf_validator.validate(document("csaf", options, batch[:count]))


def test_csaf_is_a_draft_that_dates_itself_from_the_options(options: OutputOptions, xss: Prediction) -> None:
    tracking = document("csaf", options, (xss,))["document"]["tracking"]
    assert (tracking["status"], tracking["version"]) == ("draft", "0.1.0")  # section 6.1.17
    assert tracking["revision_history"][-1]["number"] == tracking["version"]  # section 6.1.16
    assert {tracking["current_release_date"], tracking["initial_release_date"]} == {"2099-03-01T09:30:00Z"}


def test_csaf_names_each_cve_once(options: OutputOptions, xss: Prediction) -> None:
    """CSAF 2.1 section 6.1.23."""
    renderer = OUTPUTS["csaf"].renderer(options)
    text = renderer.begin() + renderer.render(xss) + renderer.render(xss) + renderer.end()
    assert len(json.loads(text)["vulnerabilities"]) == 1
    assert renderer.left_out == {"CVE ID already in the document": 1}


def test_csaf_names_are_mitres(options: OutputOptions, batch: tuple[Prediction, ...]) -> None:
    """CSAF 2.1 section 6.1.11, against the catalogue that the package `cwe2` carries."""
    (path,) = (resources.files("cwe2") / "database_v49" / "navigate_cwe").glob("1000.csv")  # type: ignore[attr-defined]
    with path.open(encoding="utf-8", newline="") as stream:
        names = {f"CWE-{row['CWE-ID']}": row["Name"] for row in csv.DictReader(stream)}
    items = document("csaf", options, batch)["vulnerabilities"]
    entries = [entry for item in items for entry in item.get("cwes", [])]
    assert len(entries) == 3
    for entry in entries:
        assert entry["version"] == "4.14"
        assert names[entry["id"]] == entry["name"]


def test_csaf_abstention_and_vendor_identifiers_keep_their_place(
    options: OutputOptions, abstention: Prediction, vendor_id: Prediction
) -> None:
    first, second = document("csaf", options, (abstention, vendor_id))["vulnerabilities"]
    assert "cwes" not in first
    assert "does not say what the weakness is" in first["notes"][0]["text"]
    assert "cve" not in second
    assert second["ids"] == [{"system_name": "identifier in the input", "text": "LNS-SA-2099-004"}]
