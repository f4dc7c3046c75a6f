"""Every format against its published schema, or read by its ecosystem's own library."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ctiforge.bench.declared import load_declared
from ctiforge.classify.outputs import OutputOptions
from ctiforge.core.advisory import Advisory
from ctiforge.core.errors import SettingError
from ctiforge.sources.read import read_advisories
from ctiforge.triage import ExportSummary, QueueFilter, TriageStore, export
from ctiforge.triage.exports import EXPORTS

TextOf = Callable[..., str]


@pytest.fixture
def text_of(options: OutputOptions) -> TextOf:
    """Export a store as one text."""
    return lambda store, form, summary=None: "".join(export(store, form, options, summary=summary))


@pytest.mark.parametrize("form", EXPORTS)
def test_nothing_is_lost_and_no_reviewer_is_named(form: str, filled: TriageStore, text_of: TextOf) -> None:
    summary = ExportSummary()
    text = text_of(filled, form, summary)
    assert summary.written + sum(summary.left_out.values()) == 5
    assert "Ada" not in text
    assert "\x1b" not in text
    assert text_of(filled, form) == text


@pytest.mark.parametrize("form", EXPORTS)
def test_an_empty_store_gives_a_whole_document(
    form: str, quick_store: TriageStore, text_of: TextOf, checks: SimpleNamespace, request: pytest.FixtureRequest
) -> None:
    checks.check(form, text_of(quick_store, form), request)


def test_cve_adp(filled: TriageStore, text_of: TextOf, checks: SimpleNamespace) -> None:
    containers = [each["containers"]["adp"][0] for each in checks.check_cve_adp(text_of(filled, "cve-adp"))]
    assert {each["title"] for each in containers} == {"CWE assigned in a review"}
    named = [[one["descriptions"][0]["cweId"] for one in each["problemTypes"]] for each in containers]
    assert named == [["CWE-89"], ["CWE-564", "CWE-79"], ["CWE-787"]]


def test_nvd(filled: TriageStore, text_of: TextOf, checks: SimpleNamespace) -> None:
    made = checks.check_nvd(text_of(filled, "nvd"))
    weaknesses = [each["cve"]["weaknesses"] for each in made["vulnerabilities"]]
    assert [[entry["value"] for one in each for entry in one["description"]] for each in weaknesses] == [
        ["CWE-89"], ["CWE-564", "CWE-79"], [], ["CWE-787"],
    ]  # fmt: skip


def test_csaf(filled: TriageStore, text_of: TextOf, checks: SimpleNamespace, shared_data: Path) -> None:
    made = checks.check_csaf(text_of(filled, "csaf"), shared_data)
    assert made["document"]["tracking"]["status"] == "final"
    assert [[cwe["id"] for cwe in each.get("cwes", [])] for each in made["vulnerabilities"]] == [
        ["CWE-89"], ["CWE-564", "CWE-79"], [], ["CWE-787"], ["CWE-89"],
    ]  # fmt: skip
    notes = [each["notes"][0]["text"] for each in made["vulnerabilities"]]
    assert notes[0].startswith("CWE-89 assigned as the model suggested; decided in a review on 2099-03-01T09:30:00Z.")
    assert notes[2].startswith("No CWE can be assigned; decided in a review")


def test_stix(filled: TriageStore, text_of: TextOf, checks: SimpleNamespace) -> None:
    bundle = checks.check_stix(text_of(filled, "stix"))
    assert [each.type for each in bundle.objects] == ["vulnerability"] * 5
    named = {each.name: [one.external_id for one in each.external_references] for each in bundle.objects}
    assert named["CVE-2099-10002"] == ["CVE-2099-10002", "CWE-564", "CWE-79"]
    assert named["VENDOR-7"] == ["VENDOR-7", "CWE-89"]


def test_misp(filled: TriageStore, text_of: TextOf, checks: SimpleNamespace) -> None:
    event = checks.check_misp(text_of(filled, "misp"))
    vulnerabilities = event.get_objects_by_name("vulnerability")
    ids = [[one.value for one in each.get_attributes_by_relation("id")] for each in vulnerabilities]
    assert ids == [["CVE-2099-10001"], ["CVE-2099-10002"], ["CVE-2099-10003"], ["CVE-2099-10004"], []]
    assert vulnerabilities[-1].get_attributes_by_relation("summary")[0].value.startswith("VENDOR-7: CWE-89 assigned")
    assert sorted(each.get_attributes_by_relation("id")[0].value for each in event.get_objects_by_name("weakness")) == [
        "CWE-564", "CWE-787", "CWE-79", "CWE-89",
    ]  # fmt: skip


def test_sarif(filled: TriageStore, text_of: TextOf, checks: SimpleNamespace, shared_data: Path) -> None:
    (run,) = checks.check_sarif(text_of(filled, "sarif"), shared_data)["runs"]
    assert [each["id"] for each in run["taxonomies"][0]["taxa"]] == ["79", "89", "564", "787"]
    assert [(each["level"], [taxon["id"] for taxon in each["taxa"]]) for each in run["results"]][:3] == [
        ("error", ["89"]), ("warning", ["564", "79"]), ("none", []),
    ]  # fmt: skip


def test_cyclonedx(filled: TriageStore, text_of: TextOf, checks: SimpleNamespace) -> None:
    by_id = {each["id"]: each for each in checks.check_cyclonedx(text_of(filled, "cyclonedx"))["vulnerabilities"]}
    assert by_id["CVE-2099-10002"]["cwes"] == [564, 79]
    assert by_id["CVE-2099-10001"]["ratings"] == [{"score": 9.8, "method": "CVSSv31", "vector": "CVSS:3.1/AV:N"}]
    assert "cwes" not in by_id["CVE-2099-10003"]


def test_defectdojo(filled: TriageStore, text_of: TextOf, checks: SimpleNamespace) -> None:
    findings = checks.check_defectdojo(text_of(filled, "defectdojo"))
    assert [(each["severity"], each.get("cwe")) for each in findings[:3]] == [("Critical", 89), ("Info", 564), ("Info", None)]


def test_csv(filled: TriageStore, text_of: TextOf, checks: SimpleNamespace) -> None:
    rows = checks.check_csv(text_of(filled, "csv"))
    assert [(row["verdict"], row["cwe_ids"], row["suggested"], row["in_bulk"]) for row in rows] == [
        ("accept", "CWE-89", "CWE-89", "false"),
        ("correct", "CWE-564; CWE-79", "CWE-89", "false"),
        ("reject", "", rows[2]["suggested"], "false"),
        ("accept", "CWE-787", "CWE-787", "true"),
        ("accept", "CWE-89", "CWE-89", "false"),
    ]


def test_training_rows_are_a_feed_without_what_nobody_looked_at(filled: TriageStore, text_of: TextOf, tmp_path: Path) -> None:
    path = tmp_path / "reviewed.jsonl"
    path.write_text(text_of(filled, "training"))
    found = [each for each in read_advisories([str(path)]) if isinstance(each, Advisory)]
    assert [(each.id, each.cwe_ids("user")) for each in found] == [
        ("CVE-2099-10001", ("CWE-89",)), ("CVE-2099-10002", ("CWE-564", "CWE-79")), ("VENDOR-7", ("CWE-89",)),
    ]  # fmt: skip
    assert json.loads(path.read_text().splitlines()[1])["provenance"]["label_by"] == "review"


def test_evaluation_cases_are_a_task_of_bench(filled: TriageStore, text_of: TextOf, tmp_path: Path) -> None:
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


def test_what_is_not_decided_is_not_exported(filled: TriageStore, options: OutputOptions) -> None:
    with pytest.raises(SettingError, match="only decided items"):
        list(export(filled, "csv", options, wanted=QueueFilter()))
    with pytest.raises(SettingError, match="did you mean 'stix'"):
        list(export(filled, "sticks", options))
