"""MITRE's XML in later shapes and in bad shape: tolerant where nothing is lost, refused where something is wrong."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctiforge.core.errors import CatalogueError, MissingExtraError
from ctiforge.sources import cwe, cwe_xml
from ctiforge.sources.cwe import CweCatalogue, build_table, load_catalogue

NAMESPACE = "http://cwe.example.org/cwe-9"


def catalogue_xml(
    weaknesses: str = "",
    *,
    version: str = "5.0",
    namespace: str = NAMESPACE,
    head: str = "",
    categories: str = "",
    views: str = "",
) -> str:
    """Return an invented XML of a later schema: another namespace, unknown elements and attributes."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>{head}
<Weakness_Catalog Name="CWE" Version="{version}" Date="2031-05-06" Licence="new" xmlns="{namespace}" xmlns:h="urn:h">
  <Release_Notes><h:p>An element that no release had before.</h:p></Release_Notes>
  <Weaknesses>{weaknesses or WEAKNESSES}</Weaknesses>
  <Categories>{CATEGORIES}</Categories>
  <Views>{VIEWS}</Views>
  <Patterns><Pattern ID="1" Name="A section that no release had before"/></Patterns>
</Weakness_Catalog>
"""


def weakness(
    number: int, name: str, body: str = "", *, abstraction: str = "Base", status: str = "Draft", usage: str = "Allowed"
) -> str:
    """Return one ``Weakness`` element."""
    notes = f"<Mapping_Notes><Usage>{usage}</Usage><Rationale>Because\n  of frobs.</Rationale></Mapping_Notes>" if usage else ""
    return (
        f'<Weakness ID="{number}" Name="{name}" Abstraction="{abstraction}" Structure="Simple" Status="{status}" Mood="calm">'
        f"<Description>About frobs.</Description>{body}{notes}</Weakness>"
    )


def child_of(*targets: int, view: int = 1000) -> str:
    """Return ``Related_Weaknesses`` with ChildOf relations, the last one primary."""
    ordinal = ["" for _ in targets[1:]] + [' Ordinal="Primary"']
    rows = [
        f'<Related_Weakness Nature="ChildOf" CWE_ID="{target}" View_ID="{view}"{primary}/>'
        for target, primary in zip(targets, ordinal, strict=True)
    ]
    return f"<Related_Weaknesses>{''.join(rows)}</Related_Weaknesses>"


WEAKNESSES = "".join(
    [
        weakness(1, "Frob Pillar", abstraction="Pillar", usage="Discouraged"),
        weakness(2, "Improper Frobnication (&#39;Frob&#39;)", child_of(1), abstraction="Class", usage="Discouraged"),
        weakness(
            3,
            "Missing Frobnication",
            child_of(1, 2)
            + "<Alternate_Terms><Alternate_Term><Term>Frobless</Term></Alternate_Term></Alternate_Terms>"
            + "<Observed_Examples><Observed_Example><Reference>CVE-2099-10001</Reference></Observed_Example>"
            + "<Observed_Example><Reference>[REF-1]</Reference></Observed_Example></Observed_Examples>",
            abstraction="Variant",
        ),
        weakness(4, "DEPRECATED: Old Frob", abstraction="Base", status="Deprecated", usage="Allowed").replace(
            "About frobs.", "This entry was a duplicate of CWE-3. It overlaps CWE-2. All content has been transferred to CWE-3."
        ),
        weakness(5, "Frob of a New Kind", child_of(2), abstraction="Molecule", usage="Encouraged"),
        weakness(6, "Frob without Notes", child_of(2, 777), usage=""),
    ]
)
CATEGORIES = (
    '<Category ID="20001" Name="Frob Errors" Status="Draft"><Summary>s</Summary><Relationships>'
    '<Has_Member CWE_ID="3" View_ID="20002"/><Has_Member CWE_ID="6" View_ID="20003"/></Relationships></Category>'
)
VIEWS = (
    '<View ID="1000" Name="Research Concepts" Type="Graph" Status="Draft"><Members>'
    '<Has_Member CWE_ID="1" View_ID="1000"/></Members></View>'
    '<View ID="20002" Name="Frob View" Type="Graph" Status="Draft"><Members>'
    '<Has_Member CWE_ID="20001" View_ID="20002"/></Members></View>'
)


def _catalogue(tmp_path: Path, text: str | None = None) -> CweCatalogue:
    source = tmp_path / "cwec.xml"
    source.write_text(text or catalogue_xml(), encoding="utf-8")
    return CweCatalogue(build_table(source), str(source))


def test_a_later_schema_is_read(tmp_path: Path) -> None:
    found = _catalogue(tmp_path)
    assert (found.version, found.date, len(found)) == ("5.0", "2031-05-06", 6)
    missing = found["CWE-3"]
    assert missing.parents == ("CWE-2", "CWE-1")  # primary first
    assert missing.views == ("CWE-1000", "CWE-20002")  # the second through its category
    assert missing.rationale == "Because of frobs."
    assert missing.terms == ("Frobless",)
    assert found.observed_examples("CWE-3") == ("CVE-2099-10001",)
    assert found.resolve("frob") == "CWE-2"
    assert found.resolve("Frob Errors") == "CWE-20001"
    assert found.members("CWE-20001") == ("CWE-3", "CWE-6")
    assert found["CWE-6"].parents == ("CWE-2",)  # CWE-777 is not in the file
    assert found.distance("CWE-3", "CWE-6") == 2


def test_the_namespace_does_not_matter(tmp_path: Path) -> None:
    one = _catalogue(tmp_path)
    other = _catalogue(tmp_path, catalogue_xml(namespace="urn:something-else"))
    assert [weakness.cwe_id for weakness in one] == [weakness.cwe_id for weakness in other]
    assert one.xml_sha256 != other.xml_sha256


def test_usage_is_cautious_where_the_xml_is_unclear(tmp_path: Path) -> None:
    found = _catalogue(tmp_path)
    assert found["CWE-4"].usage == "Prohibited"  # deprecated, although the XML says Allowed
    assert found["CWE-5"].usage == "Discouraged"  # an unknown word
    assert found["CWE-5"].abstraction == "Class"  # an unknown level
    assert found["CWE-6"].usage == "Allowed"  # no notes, as before CWE 4.12: by level
    assert found["CWE-20001"].usage == "Prohibited"


def test_what_replaced_a_deprecated_entry(tmp_path: Path) -> None:
    found = _catalogue(tmp_path)
    assert [(s.cwe_id, s.source) for s in found["CWE-4"].suggestions] == [("CWE-3", "description")]
    assert found.nearest_allowed("CWE-4") == ("CWE-3",)


@pytest.mark.parametrize("suffix", [".xml", ".xml.gz", ".xml.xz", ".xml.bz2", ".zip"])
def test_compressed_files_give_the_same_table(suffix: str, tmp_path: Path) -> None:
    plain = tmp_path / "plain.xml"
    plain.write_text(catalogue_xml(), encoding="utf-8")
    data, packed = plain.read_bytes(), tmp_path / "name-does-not-matter"
    if suffix == ".zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("cwec_v5.0.xml", data)
    else:
        packers = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
        packed.write_bytes(packers.get(Path(suffix).suffix, bytes)(data))
    assert build_table(packed) == build_table(plain)


def test_load_catalogue_takes_an_xml_too(tmp_path: Path) -> None:
    packed = tmp_path / "cwec.xml.gz"
    packed.write_bytes(gzip.compress(catalogue_xml().encode()))
    assert load_catalogue(packed).version == "5.0"


BILLION_LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (catalogue_xml(head=BILLION_LAUGHS), "document type"),
        (catalogue_xml(head='<!DOCTYPE x SYSTEM "file:///etc/hostname">'), "document type"),
        (catalogue_xml()[:-40], "not well-formed"),
        (catalogue_xml()[:900], "not well-formed"),
        ("", "not well-formed|empty"),
        ("no xml at all", "not well-formed"),
        ("<html><body/></html>", "not a CWE catalogue"),
        (catalogue_xml(version=""), "no Version"),
        (catalogue_xml("<!-- none -->"), "no weaknesses"),
        (catalogue_xml(weakness(1, "A") * 2), "CWE-1 occurs twice"),
        (catalogue_xml(weakness(0, "A")), "'0'"),
        (catalogue_xml(weakness(1, "A").replace('"1"', '"one"')), "not a CWE catalogue"),
        (catalogue_xml(weakness(1, "")), "an entry with ID"),
        (
            catalogue_xml(weakness(1, "A", child_of(2)) + weakness(2, "B", child_of(1))),
            "circle around CWE-1, CWE-2",
        ),
        (catalogue_xml(weakness(1, "A", "<d>" * 300 + "</d>" * 300)), "nested"),
        (catalogue_xml().replace("UTF-8", "no-such-encoding"), r"cwec\.xml"),
    ],
)
def test_bad_files_are_refused_by_name_and_reason(text: str, reason: str, tmp_path: Path) -> None:
    source = tmp_path / "cwec.xml"
    source.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError, match=reason) as refused:
        build_table(source)
    assert str(source) in refused.value.message
    assert refused.value.fix


def test_a_doctype_is_refused_in_utf_16_too(tmp_path: Path) -> None:
    source = tmp_path / "cwec.xml"
    source.write_bytes(catalogue_xml(head=BILLION_LAUGHS).replace("UTF-8", "UTF-16").encode("utf-16"))
    with pytest.raises(CatalogueError, match="document type"):
        build_table(source)


@pytest.mark.parametrize("keep", [10, 60, 200])
def test_cut_off_compressed_files(keep: int, tmp_path: Path) -> None:
    data = catalogue_xml().encode()
    for number, packed in enumerate((gzip.compress(data), lzma.compress(data), bz2.compress(data))):
        source = tmp_path / f"{number}"
        source.write_bytes(packed[:keep])
        with pytest.raises(CatalogueError, match=r"damaged or cut off|not well-formed|empty"):
            build_table(source)


def test_archives_that_are_not_one_xml(tmp_path: Path) -> None:
    source = tmp_path / "cwec.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("a.xml", "<a/>")
        archive.writestr("b.xml", "<b/>")
    with pytest.raises(CatalogueError, match="2 XML files"):
        build_table(source)
    source.write_bytes(source.read_bytes()[:60])
    with pytest.raises(CatalogueError, match="damaged or cut off"):
        build_table(source)


def test_a_bomb_stops_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cwe_xml, "MAX_XML_BYTES", 1 << 20)
    source = tmp_path / "bomb.xml.gz"
    source.write_bytes(gzip.compress(catalogue_xml().encode() + b" " * (8 << 20)))
    with pytest.raises(CatalogueError, match="more than 1 MB"):
        build_table(source)


@pytest.mark.parametrize("kind", ["folder", "missing"])
def test_paths_that_are_no_files(kind: str, tmp_path: Path) -> None:
    source = tmp_path if kind == "folder" else tmp_path / "gone.xml"
    with pytest.raises(CatalogueError, match="cannot be read"):
        build_table(source)


def test_without_the_package_cwe2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cwe2", None)
    monkeypatch.setattr("ctiforge.sources.cwe_table.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="cwe2"):
        cwe.find_cwe2_xml()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, 4000), junk=st.binary(min_size=1, max_size=12), cut=st.booleans())
def test_damage_anywhere_is_an_error_of_the_catalogue_or_none(position: int, junk: bytes, cut: bool, tmp_path: Path) -> None:
    data = catalogue_xml().encode()
    position %= len(data)
    source = tmp_path / "fuzz.xml"
    source.write_bytes(data[:position] if cut else data[:position] + junk + data[position + len(junk) :])
    try:
        table = build_table(source)
    except CatalogueError:
        return
    catalogue = CweCatalogue(table, "fuzz")
    assert len(list(catalogue)) == len(catalogue)
