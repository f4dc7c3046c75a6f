"""``ctiforge cwe``: what a person sees, what a program reads, what the exit code says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ctiforge.cli.cwe import app
from ctiforge.core.errors import CatalogueError
from ctiforge.sources.cwe import installed_table, load_catalogue, shipped_table

VERSION_LINE = "CWE 4.14 of 2024-02-29, shipped with ctiforge"

SMALL_XML = """<Weakness_Catalog Version="5.0" Date="2031-01-01"><Weaknesses>
<Weakness ID="79" Name="Frob" Abstraction="Base" Status="Draft">
<Mapping_Notes><Usage>Discouraged</Usage></Mapping_Notes></Weakness>
<Weakness ID="9001" Name="New Frob" Abstraction="Base" Status="Draft"/>
<Weakness ID="89" Name="DEPRECATED: Old Frob" Abstraction="Base" Status="Deprecated"/>
</Weaknesses></Weakness_Catalog>"""


@pytest.fixture
def small_xml(tmp_path: Path) -> Path:
    source = tmp_path / "small.xml"
    source.write_text(SMALL_XML, encoding="utf-8")
    return source


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.stdout


def test_show_tells_what_matters_for_mapping() -> None:
    shown = run("show", "79")
    for part in (
        "CWE-79",
        "Cross-site Scripting",
        "Base, Stable",
        "Allowed",
        "XSS",
        "CWE-74",
        "CWE-80",
        "CWE-1003",
        "CVE-2021",
    ):
        assert part in shown
    assert shown.rstrip().endswith(VERSION_LINE)
    assert not any(line.startswith("prefer") for line in shown.splitlines())


def test_show_says_what_to_prefer_and_why() -> None:
    shown = run("show", "CWE-119")
    assert "Discouraged" in shown
    assert "commonly misused" in shown
    assert "named by MITRE" in shown
    assert shown.index("CWE-787  Out-of-bounds Write") < shown.index("parents")
    assert "[REF-1287]" in run("show", "CWE-20")  # brackets are no markup
    assert "nothing close to it may be used" in run("show", "CWE-1041")


def test_show_reads_names_with_or_without_quotes() -> None:
    assert "CWE-89  " in run("show", "SQL Injection")
    assert "CWE-89  " in run("show", "sql", "injection")
    both = run("show", "xss", "cwe 22")
    assert both.index("CWE-79  ") < both.index("CWE-22  ")
    assert both.count(VERSION_LINE) == 1


def test_show_of_a_category() -> None:
    shown = run("show", "310")
    assert "Category" in shown
    assert "Prohibited" in shown
    assert "members" in shown


def test_show_of_an_unknown_entry_fails_with_suggestions() -> None:
    result = CliRunner().invoke(app, ["show", "79", "Cros site scriptng"])
    assert result.exit_code == 1
    assert "CWE-79" in result.stdout
    assert "no entry 'Cros site scriptng'" in result.stderr
    assert "did you mean CWE-79" in result.stderr
    assert "ctiforge cwe search" in result.stderr


def test_show_as_json() -> None:
    shown = json.loads(run("show", "119", "--json"))
    assert shown["cwe_version"] == "4.14"
    assert shown["cwe_digest"] == load_catalogue(shipped_table()).digest
    (entry,) = shown["entries"]
    assert entry["cwe_id"] == "CWE-119"
    assert entry["usage"] == "Discouraged"
    assert entry["suggestable"] is False
    assert entry["prefer"] == ["CWE-787", "CWE-125"]
    assert entry["prefer_source"] == "mitre"
    assert entry["suggestions"][0] == {"cwe_id": "CWE-787", "comment": "", "source": "comment"}
    missed = json.loads(run("show", "xsss", "--json", code=1))
    assert missed["entries"] == []
    assert missed["unknown"][0]["suggestions"][0]["cwe_id"] == "CWE-79"


def test_search() -> None:
    shown = run("search", "sql", "inj")
    assert "CWE-89" in shown
    assert "CWE-564" in shown
    assert shown.rstrip().endswith(VERSION_LINE)
    found = json.loads(run("search", "buffer", "-n", "3", "--json"))
    assert len(found["matches"]) == 3
    assert set(found["matches"][0]) == {"cwe_id", "name", "matched", "score", "kind", "usage", "abstraction"}
    assert json.loads(run("search", "zebra", "--json", code=1))["matches"] == []
    assert run("search", "zebra", code=1) == ""


def test_path_to_the_pillars() -> None:
    shown = run("path", "CWE-121")
    lines = [line.strip() for line in shown.splitlines()]
    assert lines[0].startswith("CWE-664")
    assert shown.count("CWE-121") == 2  # one under each parent
    assert shown.rstrip().endswith(VERSION_LINE)
    assert "is no weakness" in run("path", "264")
    ways = json.loads(run("path", "121", "--json"))["paths_to_root"]
    assert [way[1] for way in ways] == ["CWE-788", "CWE-787"]


def test_path_between_two() -> None:
    shown = run("path", "XSS", "SQL Injection")
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("CWE-")] == [
        "CWE-79",
        "CWE-74",
        "CWE-943",
        "CWE-89",
    ]
    assert "distance 3" in shown
    assert json.loads(run("path", "79", "89", "--json"))["distance"] == 3
    assert "not connected" in run("path", "79", "264")
    assert "distance 0" in run("path", "79", "CWE-79")


def test_path_of_an_unknown_entry() -> None:
    assert run("path", "79", "frobnicate", code=1) == ""
    assert json.loads(run("path", "frobnicate", "--json", code=1))["unknown"][0]["text"] == "frobnicate"


def test_use_and_back(small_xml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run("use", str(small_xml), "--partial")
    assert "CWE 4.14 → CWE 5.0" in shown
    assert "CWE-9001" in shown
    assert "now deprecated (1)" in shown
    assert "Allowed → Discouraged" in shown
    assert "CWE 5.0 is now in force" in shown
    assert "CWE 5.0 of 2031-01-01" in run("show", "9001")
    monkeypatch.setenv("CTIFORGE_CWE", str(shipped_table()))
    result = CliRunner().invoke(app, ["use", "--shipped"])
    assert result.exit_code == 0
    assert "CTIFORGE_CWE is set" in result.stderr
    monkeypatch.delenv("CTIFORGE_CWE")
    assert VERSION_LINE in run("show", "79")


def test_use_repairs_a_damaged_table(small_xml: Path) -> None:
    installed_table().parent.mkdir(parents=True)
    installed_table().write_text("{")
    assert isinstance(CliRunner().invoke(app, ["show", "79"]).exception, CatalogueError)
    assert "CWE 4.14 is now in force" in run("use", "--shipped")
    assert VERSION_LINE in run("show", "79")


def test_use_of_a_damaged_file_keeps_the_old_release(tmp_path: Path) -> None:
    broken = tmp_path / "broken.xml"
    broken.write_text(SMALL_XML[:200])
    result = CliRunner().invoke(app, ["use", str(broken)])
    assert result.exit_code == 1
    assert isinstance(result.exception, CatalogueError)
    assert "broken.xml" in result.exception.message
    assert VERSION_LINE in run("show", "79")


def test_use_wants_a_file_or_shipped(small_xml: Path) -> None:
    run("use", code=2)
    run("use", str(small_xml), "--shipped", code=2)


def test_diff_installs_nothing(small_xml: Path) -> None:
    assert "CWE 4.14 stays in force" in run("diff", str(small_xml), "--partial")
    change = json.loads(run("diff", str(small_xml), "--partial", "--json"))
    assert [entry["cwe_id"] for entry in change["added"]] == ["CWE-9001"]
    assert change["usage"][0] == {"cwe_id": "CWE-79", "name": "Frob", "before": "Allowed", "after": "Discouraged"}
    assert not installed_table().exists()
