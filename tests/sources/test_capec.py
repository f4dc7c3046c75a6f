"""CAPEC from STIX and from XML: the same nouns, relations to CWE and ATT&CK, bad files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ctiforge.core.errors import CatalogueError, InputError
from ctiforge.sources.capec import load_capec
from ctiforge.sources.capec_objects import PatternConsequence

Write = Callable[..., Path]


def test_the_bundle_is_read(invented: SimpleNamespace, write_json: Write) -> None:
    capec = load_capec(write_json(invented.capec_bundle()))
    assert (capec.version, len(capec), capec.withdrawn, capec.date) == ("9.9", 11, 1, "2032-03-04")
    pattern = capec["CAPEC-9003"]
    assert (pattern.name, pattern.abstraction, pattern.severity) == ("Wind the Ledger", "Detailed", "Low")
    assert pattern.prerequisites == ("The wind clerk must leave door 3 open at noon on market days.",)
    assert pattern.consequences == (
        PatternConsequence(("Confidentiality", "Access Control"), "Read Data"),
        PatternConsequence(("Confidentiality",), "Gain Ink 3", "only blue"),
    )
    assert pattern.mitigations == ("Number the pages of book 3 and let the wind master count them daily.",)
    assert capec.neighbours("CAPEC-9003", "child-of") == ("CAPEC-9002",)
    assert capec.neighbours("CAPEC-9000", "parent-of") == ("CAPEC-9001", "CAPEC-9002")
    assert capec.neighbours("CAPEC-9004", "can-follow") == ("CAPEC-9003",)
    assert capec.neighbours("CAPEC-9003", "exploits") == ("CWE-903",)
    assert capec.neighbours("CWE-903", "exploited-by") == ("CAPEC-9003",)
    assert capec.neighbours("T9003", "same-as-pattern") == ("CAPEC-9003",)
    with pytest.raises(CatalogueError, match=r"CAPEC 9\.9 has no live entry 'CAPEC-9099'"):
        capec["CAPEC-9099"]


@pytest.mark.parametrize("packed", [False, True])
def test_the_xml_is_read(invented: SimpleNamespace, tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "capec"
    data = invented.capec_xml().encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    capec = load_capec(path)
    assert (capec.version, capec.date, len(capec), capec.withdrawn) == ("9.9", "2031-01-02", 2, 1)
    pattern = capec["CAPEC-9001"]
    assert pattern.description == "An adversary toasts it.\nSlowly."
    assert (pattern.likelihood, pattern.severity, pattern.skills) == ("High", "Low", (("Low", "Pushing a lever."),))
    assert pattern.consequences == (PatternConsequence(("Integrity", "Availability"), "Modify Data", "Brown."),)
    assert (pattern.created, pattern.modified) == ("2030-05-06", "2031-01-01")
    assert capec.neighbours("CAPEC-9001", "child-of") == ("CAPEC-9000",)  # the deprecated one is not there
    assert capec.neighbours("CAPEC-9000", "can-precede") == ("CAPEC-9001",)
    assert capec.neighbours("CAPEC-9001", "same-as-technique") == ("T9001",)
    assert capec.neighbours("CWE-901", "exploited-by") == ("CAPEC-9001",)


def test_other_files_are_refused(invented: SimpleNamespace, write_json: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without a single CAPEC attack pattern"):
        load_capec(write_json(invented.attack_bundle()))
    path = tmp_path / "other.xml"
    for text, message in (
        (invented.cwe_xml(), "not a CAPEC catalogue: the root element is 'Weakness_Catalog'"),
        (invented.capec_xml()[:900], "not well-formed XML, perhaps cut off"),
        ("<!DOCTYPE x><Attack_Pattern_Catalog/>", "declares a document type"),
        ('<Attack_Pattern_Catalog Version="1"/>', "holds no CAPEC attack patterns"),
        ("", "not JSON"),
        ("CAPEC", "not JSON"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message) as raised:
            load_capec(path)
        assert str(path) in raised.value.message
        assert raised.value.fix
    with pytest.raises(InputError, match="it is a directory"):
        load_capec(tmp_path)
