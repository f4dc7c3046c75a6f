"""The catalogue in the package: facts of CWE 4.14, walks over View-1000, preferences, which file is in force."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.errors import CatalogueError
from ctiforge.sources import cwe
from ctiforge.sources.cwe import installed_table, load_catalogue, shipped_table

CATALOGUE = load_catalogue(shipped_table())
IDS = [weakness.cwe_id for weakness in CATALOGUE]
EVERY_ID = [*IDS, *CATALOGUE.categories, *CATALOGUE.views]
some_id = st.sampled_from(IDS)


def test_counts_of_4_14() -> None:
    assert (CATALOGUE.version, CATALOGUE.date) == ("4.14", "2024-02-29")
    assert len(CATALOGUE) == 963
    assert len(CATALOGUE.categories) == 409
    assert len(CATALOGUE.views) == 54
    assert sum(weakness.status == "Deprecated" for weakness in CATALOGUE) == 25
    # MITRE: "Total Software and Hardware Weaknesses 938" in 4.14
    assert sum(CATALOGUE.is_weakness(cwe_id) for cwe_id in IDS) == 938


def test_usage_by_abstraction() -> None:
    usage = Counter((w.abstraction, w.usage) for w in CATALOGUE if w.status != "Deprecated")
    assert usage == {  # counted in the XML by itself
        ("Pillar", "Discouraged"): 10,
        ("Class", "Allowed"): 1,
        ("Class", "Allowed-with-Review"): 83,
        ("Class", "Discouraged"): 23,
        ("Class", "Prohibited"): 3,
        ("Base", "Allowed"): 458,
        ("Base", "Allowed-with-Review"): 3,
        ("Base", "Discouraged"): 4,
        ("Base", "Prohibited"): 54,
        ("Variant", "Allowed"): 289,
        ("Variant", "Discouraged"): 1,
        ("Variant", "Prohibited"): 2,
        ("Compound", "Allowed"): 4,
        ("Compound", "Discouraged"): 3,
    }
    groups = {CATALOGUE[cwe_id].usage for cwe_id in (*CATALOGUE.categories, *CATALOGUE.views)}
    assert groups == {"Prohibited"}
    assert {w.usage for w in CATALOGUE if w.status == "Deprecated"} == {"Prohibited"}


def test_cross_site_scripting() -> None:
    entry = CATALOGUE["CWE-79"]
    assert entry.name == "Improper Neutralization of Input During Web Page Generation ('Cross-site Scripting')"
    assert (entry.abstraction, entry.status, entry.usage) == ("Base", "Stable", "Allowed")
    assert entry.parents == ("CWE-74",)
    assert entry.peers == ("CWE-352",)
    assert "CWE-184" in entry.can_follow  # stated at CWE-184 only
    assert entry.terms == ("XSS", "HTML Injection", "CSS")
    assert CATALOGUE.in_view("CWE-79", "CWE-1003")
    assert CATALOGUE.in_view("CWE-79", 1000)
    assert not CATALOGUE.in_view("CWE-80", 1003)
    assert "CVE-2021-25926" in CATALOGUE.observed_examples("CWE-79")
    assert "CWE-80" in CATALOGUE.children("CWE-79")


def test_view_1003_has_its_130_weaknesses() -> None:
    assert sum(CATALOGUE.in_view(cwe_id, 1003) for cwe_id in IDS) == 130


def test_every_live_weakness_is_in_view_1000_below_a_pillar() -> None:
    for cwe_id in IDS:
        if CATALOGUE.is_weakness(cwe_id):
            assert CATALOGUE.in_view(cwe_id, 1000)
            for path in CATALOGUE.paths_to_root(cwe_id):
                assert CATALOGUE[path[-1]].abstraction == "Pillar"


@pytest.mark.parametrize(
    ("cwe_id", "preferred", "source"),
    [
        ("CWE-79", ("CWE-79",), "itself"),
        ("CWE-119", ("CWE-787", "CWE-125"), "mitre"),
        ("CWE-284", ("CWE-862", "CWE-863", "CWE-732", "CWE-306", "CWE-1390", "CWE-923", "CWE-286"), "mitre"),
        ("CWE-264", ("CWE-862", "CWE-863", "CWE-732", "CWE-306", "CWE-1390", "CWE-923", "CWE-286"), "mitre"),
        ("CWE-391", ("CWE-252", "CWE-248", "CWE-754"), "mitre"),  # CWE-1069, Prohibited, is left out
        ("CWE-292", ("CWE-350",), "mitre"),  # deprecated, replaced
        ("CWE-680", ("CWE-190",), "chain"),  # its other link, CWE-119, is Discouraged
        ("CWE-690", ("CWE-252", "CWE-476"), "chain"),
        ("CWE-999999", (), "none"),
    ],
)
def test_what_to_prefer(cwe_id: str, preferred: tuple[str, ...], source: str) -> None:
    preference = CATALOGUE.preference(cwe_id)
    assert preference.cwe_ids == preferred
    assert preference.source == source


def test_preference_among_descendants_puts_allowed_entries_of_view_1003_first() -> None:
    preference = CATALOGUE.preference("CWE-74")
    assert preference.source == "descendants"
    assert preference.cwe_ids[:3] == ("CWE-79", "CWE-91", "CWE-94")
    assert CATALOGUE[preference.cwe_ids[-1]].usage == "Allowed-with-Review"


def test_nearest_allowed_is_always_suggestable() -> None:
    for cwe_id in EVERY_ID:
        assert all(CATALOGUE.is_suggestable(other) for other in CATALOGUE.nearest_allowed(cwe_id))
        assert all(CATALOGUE[other].usage == "Allowed" for other in CATALOGUE.nearest_allowed(cwe_id, review=False))


def test_a_discouraged_entry_has_something_to_prefer() -> None:
    discouraged = [w.cwe_id for w in CATALOGUE if w.usage == "Discouraged"]
    without = {cwe_id for cwe_id in discouraged if not CATALOGUE.nearest_allowed(cwe_id)}
    # Entries without children, under parents that may not be used either; MITRE plans to deprecate them.
    assert without == {"CWE-274", "CWE-372"}


def test_refusals() -> None:
    assert not CATALOGUE.is_weakness("CWE-264")
    assert not CATALOGUE.is_weakness("CWE-1003")
    assert not CATALOGUE.is_weakness("CWE-292")
    assert not CATALOGUE.is_suggestable("CWE-20")
    assert CATALOGUE.is_suggestable("CWE-120")  # Allowed-with-Review
    assert CATALOGUE["CWE-264"].abstraction == "Category"
    assert CATALOGUE["CWE-1003"].abstraction == "View"
    assert CATALOGUE.get("CWE-99999") is None
    with pytest.raises(CatalogueError, match="no entry 'CWE-7999'") as refused:
        CATALOGUE["CWE-7999"]
    assert refused.value.fix is not None
    assert "CWE-799" in refused.value.fix


@given(some_id)
def test_ancestors_never_come_back(cwe_id: str) -> None:
    assert cwe_id not in CATALOGUE.ancestors(cwe_id)
    assert not set(CATALOGUE.ancestors(cwe_id)) & set(CATALOGUE.descendants(cwe_id))
    assert all(cwe_id in CATALOGUE.descendants(parent) for parent in CATALOGUE.parents(cwe_id))


@given(some_id, some_id)
def test_distance_is_symmetric_and_counts_the_path(a: str, b: str) -> None:
    distance = CATALOGUE.distance(a, b)
    assert distance == CATALOGUE.distance(b, a)
    path = CATALOGUE.path_between(a, b)
    if distance is None:
        assert path is None
        return
    assert path is not None
    assert (path[0], path[-1], len(path)) == (a, b, distance + 1)
    for here, following in pairwise(path):
        assert following in (*CATALOGUE.parents(here), *CATALOGUE.children(here))


@given(some_id, some_id, some_id)
def test_distance_keeps_the_triangle(a: str, b: str, c: str) -> None:
    ab, bc, ac = CATALOGUE.distance(a, b), CATALOGUE.distance(b, c), CATALOGUE.distance(a, c)
    if ab is not None and bc is not None:
        assert ac is not None
        assert ac <= ab + bc


def test_ancestors_are_nearest_first() -> None:
    assert CATALOGUE.ancestors("CWE-121")[:2] == CATALOGUE.parents("CWE-121")
    assert CATALOGUE.ancestors("CWE-121")[-1] == "CWE-664"
    assert CATALOGUE.distance("CWE-79", "CWE-74") == 1
    assert CATALOGUE.distance("CWE-79", "CWE-264") is None
    assert CATALOGUE.paths_to_root("CWE-264") == ()


def test_shipped_table_is_what_the_xml_gives() -> None:
    pytest.importorskip("cwe2", reason="the CWE XML comes with the package cwe2")
    assert cwe.build_table(cwe.find_cwe2_xml()) == shipped_table().read_bytes()


def test_membership_agrees_with_mitres_own_view_files() -> None:
    """The package cwe2 also carries MITRE's export of each view; graph and explicit views must agree entry by entry."""
    pytest.importorskip("cwe2", reason="MITRE's exports come with the package cwe2")
    compared = 0
    for export in cwe.find_cwe2_xml().parent.glob("*/*.csv"):
        ours = {cwe_id for cwe_id in IDS if CATALOGUE.in_view(cwe_id, export.stem)}
        with export.open(encoding="utf-8", newline="") as stream:
            theirs = {f"CWE-{row['CWE-ID']}" for row in csv.DictReader(stream)}
        if ours:
            assert ours == theirs, export.stem
            compared += 1
    assert compared == 35  # 33 graph and 4 explicit views, two of them deprecated


def test_a_user_table_comes_before_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_catalogue().path == str(shipped_table().resolve())
    installed_table().parent.mkdir(parents=True)
    installed_table().write_bytes(shipped_table().read_bytes().replace(b'"4.14"', b'"9.1"', 1))
    assert load_catalogue().version == "9.1"
    from_environment = tmp_path / "table.json"
    from_environment.write_bytes(shipped_table().read_bytes().replace(b'"4.14"', b'"9.2"', 1))
    monkeypatch.setenv("CTIFORGE_CWE", str(from_environment))
    assert load_catalogue().version == "9.2"
    assert load_catalogue(shipped_table()).version == "4.14"
    assert load_catalogue().digest != CATALOGUE.digest


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format":"other"}', b'{"format":"ctiforge-cwe-1"}', b"\x00\xff"])
def test_a_damaged_table_is_named(content: bytes, tmp_path: Path) -> None:
    damaged = tmp_path / "cwe.json"
    damaged.write_bytes(content)
    with pytest.raises(CatalogueError, match=r"cwe\.json"):
        load_catalogue(damaged)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"gone\.json"):
        load_catalogue(tmp_path / "gone.json")


def test_iteration_is_over_weaknesses_only() -> None:
    assert {weakness.abstraction for weakness in CATALOGUE} == {"Pillar", "Class", "Base", "Variant", "Compound"}
    assert "CWE-264" in CATALOGUE
    assert "264" not in CATALOGUE
