"""Another release in force: atomically, compared entry by entry, and never half."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ctiforge.core.errors import CatalogueError
from ctiforge.core.paths import user_data_dir
from ctiforge.sources.cwe import CweCatalogue, installed_table, load_catalogue, shipped_table
from ctiforge.sources.cwe_install import compare_catalogues, install_catalogue, use_shipped


@pytest.fixture
def small_xml(tmp_path: Path) -> Path:
    source = tmp_path / "small.xml"
    source.write_text(
        '<Weakness_Catalog Version="5.0" Date="2031-01-01"><Weaknesses>'
        '<Weakness ID="79" Name="Frob" Abstraction="Base" Status="Draft"/></Weaknesses></Weakness_Catalog>',
        encoding="utf-8",
    )
    return source


def test_install_and_back(small_xml: Path) -> None:
    target = install_catalogue(small_xml, partial=True)
    assert target == installed_table() == user_data_dir() / "cwe.json"
    assert load_catalogue().version == "5.0"
    assert use_shipped()
    assert load_catalogue().version == "4.14"
    assert not use_shipped()


def test_a_part_of_cwe_is_refused_unless_asked_for(small_xml: Path) -> None:
    with pytest.raises(CatalogueError, match="single view"):
        install_catalogue(small_xml)
    assert not installed_table().exists()


def test_a_damaged_file_leaves_the_old_table(small_xml: Path) -> None:
    install_catalogue(small_xml, partial=True)
    before = installed_table().read_bytes()
    small_xml.write_bytes(small_xml.read_bytes()[:-30])
    with pytest.raises(CatalogueError, match="not well-formed"):
        install_catalogue(small_xml, partial=True)
    assert installed_table().read_bytes() == before
    assert list(installed_table().parent.iterdir()) == [installed_table()]


def test_a_folder_that_cannot_be_written(small_xml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CTIFORGE_HOME", str(tmp_path / "file"))
    with pytest.raises(CatalogueError, match="cannot be written"):
        install_catalogue(small_xml, partial=True)


def test_what_changed() -> None:
    before = load_catalogue(shipped_table())
    table = shipped_table().read_text(encoding="utf-8")
    table = table.replace('"version":"4.14"', '"version":"4.99"')
    table = re.sub(r'(\{"id":79,.*?"usage":)"Allowed"', r'\1"Discouraged"', table)
    table = re.sub(r'(\{"id":89,.*?"status":)"Stable"', r'\1"Deprecated"', table)
    table = re.sub(r'\{"id":125,"name":"Out-of-bounds Read"', '{"id":9125,"name":"Reading Too Far"', table)
    table = re.sub(r'\{"id":787,"name":"[^"]*"', '{"id":787,"name":"Writing Too Far"', table)
    change = compare_catalogues(before, CweCatalogue(table.encode(), "later"))
    assert (change.before, change.after) == ("4.14", "4.99")
    assert [entry.cwe_id for entry in change.added] == ["CWE-9125"]
    assert [entry.cwe_id for entry in change.removed] == ["CWE-125"]
    assert [entry.cwe_id for entry in change.deprecated] == ["CWE-89"]
    assert [(item.cwe_id, item.before, item.after) for item in change.usage] == [("CWE-79", "Allowed", "Discouraged")]
    assert [entry.name for entry in change.renamed] == ["Writing Too Far"]
    assert not change.is_empty
    assert compare_catalogues(before, before).is_empty
