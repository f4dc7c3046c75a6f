"""Every export format as its readers would check it: against its published schema, or with its ecosystem's own library.

``CHECKS`` maps each format to a function of the exported text that raises where something is wrong; it returns what it read.
"""

from __future__ import annotations

import csv
import io
import json
import runpy
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[3]
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def schema_file(folder: Path, name: str) -> Any:
    return json.loads((folder / "schemas" / name).read_text())


@cache
def _adp_validator() -> Any:
    folder = resources.files("cvelib") / "schemas"
    (path,) = [each for each in folder.iterdir() if each.name.startswith("CVE_JSON_adpContainer")]
    return jsonschema.Draft7Validator(json.loads(path.read_text()))


@cache
def _nvd_validator() -> Any:
    tests = runpy.run_path(str(ROOT / "tests" / "classify" / "outputs" / "test_exchange.py"))
    return jsonschema.Draft202012Validator(tests["NVD_SCHEMA"])


@cache
def _csaf_validator(folder: Path) -> Any:
    schema = schema_file(folder, "csaf-2.1.json")
    # As the tests of suggestions do, and for the same reason.
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


@cache
def _sarif_validator(folder: Path) -> Any:
    schema = schema_file(folder, "sarif-2.1.0.json")
    return jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())


@cache
def _cyclonedx_validator() -> Any:
    pytest.importorskip("cyclonedx")
    from referencing import Registry, Resource

    folder = resources.files("cyclonedx.schema") / "_res"
    names = ("bom-1.6.SNAPSHOT.schema.json", "spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    bom, *others = (json.loads((folder / name).read_text()) for name in names)
    registry: Any = Registry().with_resources([(each["$id"], Resource.from_contents(each)) for each in others])
    return jsonschema.Draft7Validator(bom, registry=registry, format_checker=jsonschema.FormatChecker())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


def _document(text: str) -> Any:
    """Read JSON that goes to other tools: none of its texts has a character that a database or a terminal chokes on."""
    made = json.loads(text)
    for each in _strings(made):
        assert all(character in "\t\n\r" or character.isprintable() or ord(character) >= 0xA0 for character in each), each
    return made


def check_cve_adp(text: str) -> list[Any]:
    records = [_document(line) for line in text.split("\n") if line]
    for record in records:
        (container,) = record["containers"]["adp"]
        _adp_validator().validate(container)
    return records


def check_nvd(text: str) -> Any:
    made = _document(text)
    _nvd_validator().validate(made)
    assert made["totalResults"] == len(made["vulnerabilities"])
    return made


def check_csaf(text: str, shared_data: Path) -> Any:
    made = _document(text)
    _csaf_validator(shared_data).validate(made)
    return made


def check_stix(text: str) -> Any:
    stix2 = pytest.importorskip("stix2")
    _document(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        bundle = stix2.parse(text, allow_custom=False, version="2.1")
    assert len({each.id for each in bundle.get("objects", [])}) == len(bundle.get("objects", []))
    return bundle


def check_misp(text: str) -> Any:
    """Read it with pymisp, fill each object's template strictly, and check values as a server does before it takes them."""
    pymisp = pytest.importorskip("pymisp")
    from pymisp.tools import AttributeValidationTool

    validate: Callable[[str, str], object] = AttributeValidationTool.validate
    made = _document(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        event = pymisp.MISPEvent()
        event.load(json.loads(text))  # it empties what it is given
        for each in made["Event"]["Object"]:
            strict = pymisp.MISPObject(each["name"], strict=True)
            assert (strict.template_uuid, str(strict.template_version)) == (each["template_uuid"], each["template_version"])
            for attribute in each["Attribute"]:
                added = strict.add_attribute(attribute["object_relation"], value=attribute["value"])
                assert (added.type, added.category) == (attribute["type"], attribute["category"])
                assert attribute["value"].strip()
                assert validate(added.type, added.value) is True, attribute
            strict.to_json()
    return event


def check_sarif(text: str, shared_data: Path) -> Any:
    made = _document(text)
    _sarif_validator(shared_data).validate(made)
    return made


def check_cyclonedx(text: str) -> Any:
    made = _document(text)
    _cyclonedx_validator().validate(made)
    return made


# DefectDojo has no schema; these are the rules of its parser (dojo/tools/generic/json_parser.py) and of its columns, in our
# words.
_DOJO_NEEDED = {"title", "severity", "description"}
_DOJO_ALLOWED = _DOJO_NEEDED | {
    "date", "cwe", "cve", "cvssv3", "cvssv3_score", "references", "active", "verified", "static_finding", "dynamic_finding",
    "unique_id_from_tool", "vuln_id_from_tool", "vulnerability_ids", "tags", "publish_date",
}  # fmt: skip


def check_defectdojo(text: str) -> list[Any]:
    findings: list[Any] = _document(text)["findings"]
    for finding in findings:
        assert set(finding) >= _DOJO_NEEDED
        assert set(finding) <= _DOJO_ALLOWED
        assert finding["severity"] in {"Critical", "High", "Medium", "Low", "Info"}
        assert 0 < len(finding["title"]) <= 511
        assert finding["description"].strip()
        assert 0 < len(finding["vuln_id_from_tool"]) <= 500
        assert isinstance(finding.get("cwe", 0), int)
    return findings


def check_csv(text: str) -> list[dict[str, str]]:
    """Read it as RFC 4180 says; a physical line is a row, and no cell is a formula, however a spreadsheet splits the line."""
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(text.splitlines()) == 1 + len(rows)
    for row in rows:
        assert None not in row
        for cell in row.values():
            assert not cell.lstrip().startswith(FORMULA_STARTS)
    for line in text.splitlines():
        for piece in line.split(";")[1:]:  # cells, where the locale's separator is a semicolon
            assert not piece.strip(' "').startswith(FORMULA_STARTS), line
    return rows


def check_lines(text: str) -> list[Any]:
    """Read lines of JSON that this program reads itself, as they were."""
    return [json.loads(line) for line in text.split("\n") if line]


NEEDING_SCHEMAS: dict[str, Callable[[str, Path], Any]] = {"csaf": check_csaf, "sarif": check_sarif}
"""Checks whose schemas no package carries."""
CHECKS: dict[str, Callable[[str], Any]] = {
    "csv": check_csv,
    "cve-adp": check_cve_adp,
    "nvd": check_nvd,
    "stix": check_stix,
    "misp": check_misp,
    "cyclonedx": check_cyclonedx,
    "defectdojo": check_defectdojo,
    "evaluation": check_lines,
    "training": check_lines,
}


def check(form: str, text: str, request: pytest.FixtureRequest) -> Any:
    """Check a document of any format; where its schema is real data that is not here, the test is skipped."""
    if form in NEEDING_SCHEMAS:
        return NEEDING_SCHEMAS[form](text, request.getfixturevalue("shared_data"))
    return CHECKS[form](text)
