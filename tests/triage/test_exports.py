"""Every format against its published schema, or read by its ecosystem's own library."""

from __future__ import annotations

import csv
import io
import json
import runpy
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from ctiforge.bench.declared import load_declared
from ctiforge.classify.outputs import OutputOptions
from ctiforge.core.advisory import Advisory
from ctiforge.core.errors import SettingError
from ctiforge.sources.read import read_advisories
from ctiforge.triage import ExportSummary, QueueFilter, TriageRules, TriageStore, bulk_accept, export, rank, review
from ctiforge.triage.exports import EXPORTS

OPTIONS = OutputOptions(generated_at=datetime(2099, 3, 2, tzinfo=UTC), version="0.1.0", adp_always=True)
HOSTILE = 'SQL injection \x1b[2J in the login "><script>alert(1)</script> =cmd|calc'


@pytest.fixture
def filled(quick_store: TriageStore, feed: Any, invented: SimpleNamespace) -> TriageStore:
    feed(
        quick_store,
        invented.cve(10001, cna=("CWE-20",), score=9.8),
        invented.cve(10002, HOSTILE),
        invented.cve(10003, invented.VAGUE),
        invented.cve(10004, invented.OVERFLOW),
        {"id": "VENDOR-7", "description": "SQL injection in the login"},
        invented.cve(10006),
    )
    rank(quick_store, actor="lead", rules=TriageRules(bulk_min_probability=0.5))
    review(quick_store, "CVE-2099-10001", "accept", reviewer="Ada")
    review(quick_store, "CVE-2099-10002", "correct", reviewer="Ada", cwe_ids=["CWE-564", "CWE-79"])
    review(quick_store, "CVE-2099-10003", "reject", reviewer="Ada", reason="says nothing")
    review(quick_store, "VENDOR-7", "accept", reviewer="Ada")
    bulk_accept(quick_store, min_probability=0.5, reviewer="Ada", reason="sure", wanted=QueueFilter(cwe_id="CWE-787"))
    return quick_store


def text_of(store: TriageStore, form: str, summary: ExportSummary | None = None) -> str:
    return "".join(export(store, form, OPTIONS, summary=summary))


def document(store: TriageStore, form: str) -> Any:
    return json.loads(text_of(store, form))


@pytest.mark.parametrize("form", EXPORTS)
def test_nothing_is_lost_and_no_reviewer_is_named(form: str, filled: TriageStore) -> None:
    summary = ExportSummary()
    text = text_of(filled, form, summary)
    assert summary.written + sum(summary.left_out.values()) == 5
    assert "Ada" not in text
    assert "\x1b" not in text
    assert text_of(filled, form) == text


@pytest.mark.parametrize("form", EXPORTS)
def test_an_empty_store_gives_a_whole_document(form: str, quick_store: TriageStore) -> None:
    text = text_of(quick_store, form)
    if not EXPORTS[form].line_based:
        json.loads(text)


def test_cve_adp(filled: TriageStore) -> None:
    folder = resources.files("cvelib") / "schemas"
    (path,) = [each for each in folder.iterdir() if each.name.startswith("CVE_JSON_adpContainer")]
    records = [json.loads(line) for line in text_of(filled, "cve-adp").splitlines()]
    for record in records:
        (container,) = record["containers"]["adp"]
        jsonschema.Draft7Validator(json.loads(path.read_text())).validate(container)
        assert container["title"] == "CWE assigned in a review"
    named = [
        [each["descriptions"][0]["cweId"] for each in record["containers"]["adp"][0]["problemTypes"]] for record in records
    ]
    assert named == [["CWE-89"], ["CWE-564", "CWE-79"], ["CWE-787"]]


def test_nvd(filled: TriageStore, repository: Path) -> None:
    schema = runpy.run_path(str(repository / "tests" / "classify" / "outputs" / "test_exchange.py"))["NVD_SCHEMA"]
    made = document(filled, "nvd")
    jsonschema.Draft202012Validator(schema).validate(made)
    weaknesses = [each["cve"]["weaknesses"] for each in made["vulnerabilities"]]
    assert [[entry["value"] for one in each for entry in one["description"]] for each in weaknesses] == [
        ["CWE-89"], ["CWE-564", "CWE-79"], [], ["CWE-787"],
    ]  # fmt: skip


def test_csaf(filled: TriageStore, shared_data: Path) -> None:
    schema = json.loads((shared_data / "schemas" / "csaf-2.1.json").read_text())
    schema["$schema"] = (
        "https://json-schema.org/draft/2020-12/schema"  # as the tests of suggestions do, and for the same reason
    )
    made = document(filled, "csaf")
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(made)
    assert made["document"]["tracking"]["status"] == "final"
    assert [[cwe["id"] for cwe in each.get("cwes", [])] for each in made["vulnerabilities"]] == [
        ["CWE-89"], ["CWE-564", "CWE-79"], [], ["CWE-787"], ["CWE-89"],
    ]  # fmt: skip
    notes = [each["notes"][0]["text"] for each in made["vulnerabilities"]]
    assert notes[0].startswith("CWE-89 assigned as the model suggested; decided in a review on 2099-03-01T09:30:00Z.")
    assert notes[2].startswith("No CWE can be assigned; decided in a review")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_stix(filled: TriageStore) -> None:
    stix2 = pytest.importorskip("stix2")
    bundle = stix2.parse(text_of(filled, "stix"), allow_custom=False)
    assert [each.type for each in bundle.objects] == ["vulnerability"] * 5
    named = {each.name: [one.external_id for one in each.external_references] for each in bundle.objects}
    assert named["CVE-2099-10002"] == ["CVE-2099-10002", "CWE-564", "CWE-79"]
    assert named["VENDOR-7"] == ["VENDOR-7", "CWE-89"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_misp(filled: TriageStore) -> None:
    pymisp = pytest.importorskip("pymisp")
    made = document(filled, "misp")
    event = pymisp.MISPEvent()
    event.load(document(filled, "misp"))  # it empties what it is given
    assert len(event.get_objects_by_name("vulnerability")) == 5
    assert sorted(each.get_attributes_by_relation("id")[0].value for each in event.get_objects_by_name("weakness")) == [
        "CWE-564", "CWE-787", "CWE-79", "CWE-89",
    ]  # fmt: skip
    for each in made["Event"]["Object"]:
        strict = pymisp.MISPObject(each["name"], strict=True)
        assert (strict.template_uuid, str(strict.template_version)) == (each["template_uuid"], each["template_version"])
        for attribute in each["Attribute"]:
            added = strict.add_attribute(attribute["object_relation"], value=attribute["value"])
            assert (added.type, added.category) == (attribute["type"], attribute["category"])
        strict.to_json()


def test_sarif(filled: TriageStore, shared_data: Path) -> None:
    made = document(filled, "sarif")
    schema = json.loads((shared_data / "schemas" / "sarif-2.1.0.json").read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(made)
    (run,) = made["runs"]
    assert [each["id"] for each in run["taxonomies"][0]["taxa"]] == ["79", "89", "564", "787"]
    assert [(each["level"], [taxon["id"] for taxon in each["taxa"]]) for each in run["results"]][:3] == [
        ("error", ["89"]), ("warning", ["564", "79"]), ("none", []),
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_cyclonedx(filled: TriageStore) -> None:
    pytest.importorskip("cyclonedx")
    from referencing import Registry, Resource

    text = text_of(filled, "cyclonedx")
    folder = resources.files("cyclonedx.schema") / "_res"
    names = ("bom-1.6.SNAPSHOT.schema.json", "spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    bom, *others = (json.loads((folder / name).read_text()) for name in names)
    registry: Any = Registry().with_resources([(each["$id"], Resource.from_contents(each)) for each in others])
    jsonschema.Draft7Validator(bom, registry=registry).validate(json.loads(text))
    by_id = {each["id"]: each for each in json.loads(text)["vulnerabilities"]}
    assert by_id["CVE-2099-10002"]["cwes"] == [564, 79]
    assert by_id["CVE-2099-10001"]["ratings"] == [{"score": 9.8, "method": "CVSSv31", "vector": "CVSS:3.1/AV:N"}]
    assert "cwes" not in by_id["CVE-2099-10003"]


# DefectDojo has no schema; these are the rules of its parser (dojo/tools/generic/json_parser.py), in our words.
DOJO_NEEDED = {"title", "severity", "description"}
DOJO_ALLOWED = DOJO_NEEDED | {
    "date", "cwe", "cve", "cvssv3", "cvssv3_score", "references", "active", "verified", "static_finding", "dynamic_finding",
    "unique_id_from_tool", "vuln_id_from_tool", "vulnerability_ids", "tags", "publish_date",
}  # fmt: skip


def test_defectdojo(filled: TriageStore) -> None:
    findings = document(filled, "defectdojo")["findings"]
    for finding in findings:
        assert set(finding) >= DOJO_NEEDED
        assert set(finding) <= DOJO_ALLOWED
        assert finding["severity"] in {"Critical", "High", "Medium", "Low", "Info"}
        assert len(finding["title"]) <= 511
        assert isinstance(finding.get("cwe", 0), int)
    assert [(each["severity"], each.get("cwe")) for each in findings[:3]] == [("Critical", 89), ("Info", 564), ("Info", None)]


def test_csv(filled: TriageStore) -> None:
    rows = list(csv.DictReader(io.StringIO(text_of(filled, "csv"))))
    assert [(row["verdict"], row["cwe_ids"], row["suggested"], row["in_bulk"]) for row in rows] == [
        ("accept", "CWE-89", "CWE-89", "false"),
        ("correct", "CWE-564; CWE-79", "CWE-89", "false"),
        ("reject", "", rows[2]["suggested"], "false"),
        ("accept", "CWE-787", "CWE-787", "true"),
        ("accept", "CWE-89", "CWE-89", "false"),
    ]


def test_training_rows_are_a_feed_without_what_nobody_looked_at(filled: TriageStore, tmp_path: Path) -> None:
    path = tmp_path / "reviewed.jsonl"
    path.write_text(text_of(filled, "training"))
    found = [each for each in read_advisories([str(path)]) if isinstance(each, Advisory)]
    assert [(each.id, each.cwe_ids("user")) for each in found] == [
        ("CVE-2099-10001", ("CWE-89",)), ("CVE-2099-10002", ("CWE-564", "CWE-79")), ("VENDOR-7", ("CWE-89",)),
    ]  # fmt: skip
    assert json.loads(path.read_text().splitlines()[1])["provenance"]["label_by"] == "review"


def test_evaluation_cases_are_a_task_of_bench(filled: TriageStore, tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text(text_of(filled, "evaluation"))
    (tmp_path / "task.yaml").write_text(
        "name: our-reviews\ndescription: decisions of our team\nlicence: internal\nfile: cases.jsonl\nanswer_kind: cwe\n"
        "prompt: |\n  Name the CWE.\n\n  {description}\nquestion: description\nid: id\ntarget: cwe\n"
    )
    declared = load_declared(tmp_path / "task.yaml")
    samples = declared.task.load(declared.path)
    assert [(each.id, each.target) for each in samples] == [
        ("our-reviews/CVE-2099-10001", "CWE-89"), ("our-reviews/CVE-2099-10002", "CWE-564"), ("our-reviews/VENDOR-7", "CWE-89"),
    ]  # fmt: skip


def test_what_is_not_decided_is_not_exported(filled: TriageStore) -> None:
    with pytest.raises(SettingError, match="only decided items"):
        list(export(filled, "csv", OPTIONS, wanted=QueueFilter()))
    with pytest.raises(SettingError, match="did you mean 'stix'"):
        list(export(filled, "sticks", OPTIONS))
