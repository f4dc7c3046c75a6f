"""The full texts of CWE's XML, and relations between weaknesses, attack patterns and observed examples."""

from __future__ import annotations

import lzma
from pathlib import Path
from types import SimpleNamespace

import pytest

from ctiforge.core.errors import CatalogueError, InputError
from ctiforge.sources.cwe_texts import CweTexts, WeaknessConsequence, WeaknessDetection, WeaknessMitigation, load_cwe_texts


@pytest.fixture
def texts(invented: SimpleNamespace, tmp_path: Path) -> CweTexts:
    path = tmp_path / "cwec.xml.xz"
    path.write_bytes(lzma.compress(invented.cwe_xml().encode()))
    return load_cwe_texts(path)


def test_all_texts_are_read(texts: CweTexts) -> None:
    assert (texts.version, texts.date, len(texts), texts.withdrawn) == ("9.1", "2031-04-05", 12, 1)
    found = texts["CWE-904"]
    assert found.description == "The pantry holds jar 52 in a way that lets any tune guest take the lid off it."
    assert found.extended_description == "First.\nSecond."
    assert (found.abstraction, found.usage, found.likelihood, found.phases) == ("Base", "Allowed", "High", ("Transport",))
    assert found.consequences == (WeaknessConsequence(("Integrity",), ("Gain Privileges",), "", "n"),)
    assert found.mitigations == (
        WeaknessMitigation(("Build",), "", "Glue lid 4 on with tune resin and mark the jar with number 12."),
    )
    assert found.detections == (WeaknessDetection("Method 4", "Lift lid 4 with tune tongs before every meal of the day."),)
    assert found.examples[0].cve_id == "CVE-2099-10004"
    assert found.platforms == (("Language", "Tongue 4"),)
    assert found.terms == (("Lidlessness 4", "x"),)
    assert (found.created, found.modified) == ("2029-01-05", "2030-01-01")


def test_relations_are_those_of_the_research_view(texts: CweTexts) -> None:
    assert texts.neighbours("CWE-906", "child-of") == ("CWE-901",)  # not View-1003's, not the deprecated one
    assert texts.neighbours("CWE-901", "parent-of") == ("CWE-904", "CWE-906", "CWE-908", "CWE-910")
    assert texts.neighbours("CWE-905", "can-follow") == ("CWE-904",)
    assert texts.neighbours("CAPEC-9004", "exploits") == ("CWE-904",)
    assert texts.neighbours("CVE-2099-10004", "example-of") == ("CWE-904",)
    assert texts.closure("CWE-904", "child-of") == {"CWE-901", "CWE-900"}
    assert len(texts.closure("CWE-900", "parent-of")) == 11


def test_an_unknown_weakness_is_named_with_near_ones(texts: CweTexts) -> None:
    with pytest.raises(CatalogueError, match=r"CWE 9.1 has no live weakness 'CWE-998'"):
        texts["CWE-998"]


def test_other_files_are_refused(invented: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    for text, message in (
        (invented.capec_xml(), "not a CWE catalogue: the root element is 'Attack_Pattern_Catalog'"),
        (invented.cwe_xml()[:3000], "not well-formed XML, perhaps cut off"),
        (invented.cwe_xml().replace('ID="903"', 'ID="x"'), "not a CWE catalogue that can be read: invalid literal"),
        ('<Weakness_Catalog Version="9"/>', "holds no weaknesses"),
        ("<Weakness_Catalog/>", "states no Version"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message) as raised:
            load_cwe_texts(path)
        assert str(path) in raised.value.message
    with pytest.raises(InputError, match="No such file"):
        load_cwe_texts(tmp_path / "nowhere.xml")
