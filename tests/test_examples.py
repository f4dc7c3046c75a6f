"""The examples are valid in the formats that they claim, complete, and invented."""

from __future__ import annotations

import csv
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ctiforge.classify import Classifier
from ctiforge.core.advisory import Advisory, Reject
from ctiforge.sources.read import read_advisories

NUMBERS = {f"CVE-2099-{number}" for number in range(10001, 10014)}


@pytest.fixture(scope="module")
def examples(repository: Path) -> Path:
    return repository / "examples"


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_every_identifier_is_fictional_and_occurs_once(examples: Path) -> None:
    found: list[str] = []
    for path in examples.iterdir():
        if path.suffix != ".md":
            found += sorted(set(re.findall(r"CVE-\d{4}-\d+", path.read_text())))
    assert sorted(found) == sorted(NUMBERS)


def test_every_address_is_reserved_for_documentation(examples: Path) -> None:
    hosts = {host for path in examples.iterdir() for host in re.findall(r"https?://([^/\"\s]+)", path.read_text())}
    assert {host for host in hosts if not host.endswith(".example")} == set()


@pytest.mark.parametrize("name", ["cve5-stored-xss", "cve5-use-after-free", "cve5-uninformative", "cve5-rejected"])
def test_cve_records_are_valid(name: str, examples: Path) -> None:
    folder = resources.files("cvelib") / "schemas"
    (schema,) = [each for each in folder.iterdir() if each.name.startswith("CVE_JSON_bundled")]
    jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(load(examples / f"{name}.json"))


@pytest.mark.parametrize(
    ("name", "schema"), [("osv-deserialization", "osv.json"), ("csaf2-hard-coded-credentials", "csaf-2.0.json")]
)
def test_osv_and_csaf_are_valid(name: str, schema: str, examples: Path, shared_data: Path) -> None:
    definition = load(shared_data / "schemas" / schema)
    # CVSS schemas are referred to by address; these documents carry no scores, so they are never reached.
    jsonschema.validators.validator_for(definition)(definition).validate(load(examples / f"{name}.json"))


def test_nvd_response_counts_its_records(examples: Path) -> None:
    response = load(examples / "nvd2-response.json")
    assert response["totalResults"] == len(response["vulnerabilities"]) == 2


def test_table_has_a_description_in_every_row(examples: Path) -> None:
    with (examples / "tracker.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3
    assert all(len(row["summary"]) > 80 for row in rows)


def test_readme_names_every_file(examples: Path) -> None:
    text = (examples / "README.md").read_text()
    assert [path.name for path in examples.iterdir() if f"`{path.name}`" not in text] == ["README.md"]


EXPECTED = {
    "CVE-2099-10001": "CWE-79",
    "CVE-2099-10002": "CWE-416",
    "CVE-2099-10005": "CWE-22",
    "CVE-2099-10006": "CWE-862",
    "CVE-2099-10007": "CWE-502",
    "CVE-2099-10008": "CWE-798",
    "CVE-2099-10009": "CWE-918",
    "CVE-2099-10010": "CWE-78",
    "CVE-2099-10011": "CWE-89",
    "CVE-2099-10012": "CWE-787",
    "CVE-2099-10013": "CWE-295",
}


def test_every_example_is_read_or_rejected_for_the_reason_it_shows(examples: Path) -> None:
    records = list(read_advisories([str(examples)]))
    rejects = {record.id: record.reason for record in records if isinstance(record, Reject)}
    assert rejects == {"CVE-2099-10004": "cve_rejected"}
    assert sorted(record.id for record in records) == sorted(NUMBERS)


def test_the_shipped_model_reads_them_as_a_person_does(examples: Path) -> None:
    """These texts name their weakness plainly: a model that misses one of them is broken, not merely less accurate."""
    advisories = [record for record in read_advisories([str(examples)]) if isinstance(record, Advisory)]
    predictions = {each.id: each for each in Classifier().classify(advisories)}
    abstained = {each.id: each.reason for each in predictions.values() if each.abstained}
    assert abstained == {"CVE-2099-10003": "low_information"}
    found = {cve_id: each.suggestions[0].cwe_id for cve_id, each in predictions.items() if cve_id not in abstained}
    assert found == EXPECTED
