"""``ctiforge kb`` and ``ctiforge sources``: what a person sees, what a program reads, what the exit code says."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from ctiforge.cli.commands import app
from ctiforge.core.errors import CtiforgeError, InputError, SettingError
from ctiforge.core.paths import user_data_dir

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    invented: dict[str, Any] = runpy.run_path(str(HERE.parent / "invented_cti.py"))
    folder = tmp_path_factory.mktemp("sources")
    (folder / "enterprise-attack-18.1.json").write_bytes(orjson.dumps(invented["attack_bundle"]()))
    (folder / "stix-capec.json").write_bytes(orjson.dumps(invented["capec_bundle"]()))
    (folder / "cwe.xml").write_text(invented["cwe_xml"]())
    (folder / "docs").mkdir()
    (folder / "docs" / "bell.md").write_text("# The bell\n\nRing the bell when a spoon is gone.\n")
    (folder / "docs" / "bad.txt").write_bytes(b"\xff")
    return folder


@pytest.fixture(scope="module")
def kb(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kb")
    run("kb", "build", *given(sources), "--out", str(folder))
    return folder


def given(sources: Path) -> list[str]:
    return [
        "--attack", str(sources / "enterprise-attack-18.1.json"), "--attack-version", "99", "--capec",
        str(sources / "stix-capec.json"), "--cwe", str(sources / "cwe.xml"), "--docs", str(sources / "docs"), "--no-embeddings",
    ]  # fmt: skip


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    return result


def failed(*arguments: str) -> CtiforgeError:
    error = CliRunner().invoke(app, list(arguments)).exception
    assert isinstance(error, CtiforgeError), error
    return error


def test_build_says_what_it_made_and_what_it_left_out(sources: Path, tmp_path: Path) -> None:
    made = run("kb", "build", *given(sources), "--out", str(tmp_path / "kb"))
    assert "passages" in made.stdout
    assert "MITRE ATT&CK Enterprise 99 of 2032-03-04, sha256 " in made.stdout
    assert "left out: bad.txt" in made.stderr
    assert "built without embeddings" in made.stderr
    assert "reading the sources" in made.stderr
    again = run("kb", "build", *given(sources), "--out", str(tmp_path / "kb"))
    assert "nothing changed" in again.stdout
    told = json.loads(run("kb", "build", *given(sources), "--out", str(tmp_path / "kb"), "--json").stdout)
    assert told["unchanged"] is True
    assert told["counts"]["technique"] == 14


def test_build_takes_what_was_pulled(sources: Path, tmp_path: Path) -> None:
    run("kb", "build", "--sources", str(sources), "--cwe", str(sources / "cwe.xml"), "--no-embeddings")
    shown = run("kb", "info").stdout
    assert (user_data_dir() / "kb" / "manifest.json").is_file()
    for part in ("technique", "attack pattern", "words only", "MITRE CAPEC 9.9"):
        assert part in shown
    error = failed("kb", "build", "--sources", str(tmp_path))
    assert "ctiforge sources pull attack capec cwe" in str(error)


def test_search_shows_passages_with_what_to_cite(kb: Path) -> None:
    shown = run("kb", "search", "ring", "the", "bell", "--kb", str(kb))
    assert "Ring the bell when a spoon is gone." in shown.stdout
    assert "DOC:bell.md#section.0" in shown.stdout
    assert "MITRE CWE 9.1 of 2031-04-05" in shown.stdout
    assert "note: built without embeddings" in shown.stderr


def test_search_filters_and_speaks_json(kb: Path) -> None:
    arguments = [
        "kb",
        "search",
        "spoons in the drawer",
        "--kb",
        str(kb),
        "--kind",
        "technique",
        "--platform",
        "Kettles",
        "-n",
        "3",
    ]
    found = json.loads(run(*arguments, "--json").stdout)
    assert found["query"] == "spoons in the drawer"
    assert 0 < len(found["passages"]) <= 3
    assert {each["object"]["kind"] for each in found["passages"]} == {"technique"}
    first = found["passages"][0]
    assert first["object"]["url"].startswith("https://attack.mitre.org/techniques/T9")
    assert first["passage"]["object_id"] == first["object"]["id"]
    assert first["cosine"] is None
    assert [each["key"] for each in found["sources"]] == ["attack-enterprise", "capec", "cwe", "docs"]
    assert all(len(each["sha256"]) == 64 for each in found["sources"])


def test_nothing_found_is_said_and_is_exit_code_1(kb: Path) -> None:
    assert "nothing was found" in run("kb", "search", "xylophone", "--kb", str(kb), code=1).stdout


def test_show_prints_an_object_with_its_relations(kb: Path) -> None:
    shown = run("kb", "show", "t9000", "--kb", str(kb)).stdout
    for part in (
        "T9000",
        "Boil Frobs 0",
        "technique (enterprise)",
        "Stage Boil",
        "Kettles",
        "mitigated by",
        "M9000 Lock Cupboard 0",
        "has subtechnique",
        "https://attack.mitre.org/techniques/T9000",
        "MITRE ATT&CK Enterprise 99",
    ):
        assert part in shown
    assert "CAPEC 9.9" not in shown  # only the source that was asked


def test_show_follows_successors_names_and_relations(kb: Path) -> None:
    assert "was withdrawn by its source; this took its place" in run("kb", "show", "T9090", "--kb", str(kb)).stdout
    assert "G9001" in run("kb", "show", "Brass Spoon 1", "--kb", str(kb)).stdout
    listed = run("kb", "show", "T9001", "--relation", "used-by", "--kb", str(kb)).stdout
    assert "Guild 1 has taken 4 spoons out of a locked drawer by night." in listed
    assert "T9001#description.0" in run("kb", "show", "T9001", "--passages", "--kb", str(kb)).stdout
    facts = json.loads(run("kb", "show", "T9001", "--relation", "used-by", "--json", "--kb", str(kb)).stdout)
    assert {each["kind"] for each in facts["objects"][0]["relations"]} == {"used-by"}


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (["search", ""], SettingError, "the query is empty"),
        (["search", "x" * 100_000], SettingError, "100,000 characters"),
        (["search", "jar", "--kind", "weekness"], SettingError, "weakness"),
        (["show", "T9999"], CtiforgeError, "has no object 'T9999'"),
        (["show", "T9000", "--relation", "eats"], SettingError, "not a relation"),
    ],
)
def test_faults_name_what_to_do(kb: Path, arguments: list[str], kind: type[CtiforgeError], said: str) -> None:
    error = failed("kb", *arguments, "--kb", str(kb))
    assert isinstance(error, kind)
    assert said in str(error)
    assert error.fix


def test_without_a_knowledge_base_the_way_to_one_is_said() -> None:
    error = failed("kb", "search", "jar")
    assert isinstance(error, InputError)
    assert "ctiforge kb build" in str(error)


def test_sources_are_pulled_from_a_folder(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "stix-capec.json").write_text('{"type": "bundle", "objects": []}')
    done = run("sources", "pull", "capec", "--from", str(stick))
    target = user_data_dir() / "sources" / "stix-capec.json"
    assert target.exists()
    assert "capec 3.9" in done.stdout
    assert "copied" in done.stdout
    assert "not pinned: this is what came" in done.stdout
    assert "termsofuse" in done.stderr
    error = failed("sources", "pull", "capec", "--release", "capec")
    assert "NAME=VALUE" in str(error)
