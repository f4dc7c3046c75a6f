"""ATT&CK bundles: what is live, what was withdrawn and where that leads, relations from both ends, damaged files."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from ctiforge.core.errors import CatalogueError, InputError, SettingError
from ctiforge.sources.attack import AttackCatalogue, data_components, load_attack
from ctiforge.sources.attack_objects import Analytic, Campaign, Group, Mitigation, Software, Tactic, Technique

Write = Callable[..., Path]


@pytest.fixture
def attack(invented: SimpleNamespace, write_json: Write) -> AttackCatalogue:
    return load_attack([write_json(invented.attack_bundle())], version="99.1")


def test_live_objects_are_typed(attack: AttackCatalogue) -> None:
    counts = {kind: len(attack.of_type(kind)) for kind in (Technique, Tactic, Mitigation, Group, Software, Campaign, Analytic)}
    assert counts == {Technique: 14, Tactic: 5, Mitigation: 6, Group: 6, Software: 6, Campaign: 1, Analytic: 10}
    technique = attack["T9000.001"]
    assert isinstance(technique, Technique)
    assert technique.is_subtechnique
    assert technique.platforms == ("Kettles",)
    assert technique.domains == ("enterprise",)
    assert (technique.created, technique.modified, technique.version) == ("2031-02-03", "2032-03-04", "1.0")
    assert len(technique.sha256) == 64
    group, tool = attack["G9001"], attack["S9000"]
    assert isinstance(group, Group)
    assert group.aliases == ("Brass Spoon 1",)  # without the name itself
    assert isinstance(tool, Software)
    assert tool.kind == "tool"
    campaign = attack["C9000"]
    assert isinstance(campaign, Campaign)
    assert campaign.first_seen == "2030-01-01"


def test_descriptions_are_plain_text(attack: AttackCatalogue) -> None:
    assert attack["T9001"].description == (
        "Adversaries may toast number 1 of the many spoons in the drawer to reach the sugar bowl. "
        "See Other Frobs and spoon.exe."
    )


def test_relations_are_asked_from_both_ends(attack: AttackCatalogue) -> None:
    assert attack.neighbours("T9000", "has-subtechnique") == ("T9000.001", "T9000.002")
    assert attack.neighbours("T9000.001", "subtechnique-of") == ("T9000",)
    assert attack.neighbours("T9004", "mitigated-by") == ("M9000", "M9004")
    assert attack.neighbours("T9001", "in-tactic") == ("TA9001",)
    assert attack.neighbours("TA9001", "has-technique") == ("T9001", "T9006", "T9001.001", "T9001.002")
    assert attack.neighbours("C9000", "attributed-to") == ("G9000",)
    assert attack.neighbours("G9000", "has-campaign") == ("C9000",)
    assert data_components(attack, "T9007") == ("DC9001",)
    assert attack.full_name("T9000.001") == "Boil Frobs 0: Small Paint Frobs 10"
    use = attack.graph.get("T9001", "used-by", "G9001")
    assert use is not None
    assert use.description == "Guild 1 has taken 4 spoons out of a locked drawer by night."


def test_withdrawn_objects_are_left_out_and_lead_to_their_successors(attack: AttackCatalogue) -> None:
    assert "T9090" not in attack
    assert attack.resolve("T9091") == "T9003"  # revoked twice over
    assert attack.resolve("T9092") is None  # deprecated
    assert attack.resolve("T9003") == "T9003"
    assert "T9003" in attack.neighbours("G9005", "uses")  # the relation follows
    assert "T9008" not in attack.neighbours("G9004", "uses")  # the relation itself was revoked
    assert attack.neighbours("T9003", "subtechnique-of") == ()  # the old place says nothing of the successor
    assert attack.bundles[0].withdrawn == {"attack-pattern": 3}
    with pytest.raises(CatalogueError, match=r"T9091.*\n.*use T9003"):
        attack["T9091"]


def test_version_comes_from_the_collection_else_from_the_caller(invented: SimpleNamespace, write_json: Write) -> None:
    bundle = invented.attack_bundle()
    assert load_attack([write_json(bundle)]).version == ""
    assert load_attack([write_json(bundle)], version="99.1").version == "99.1"
    bundle["objects"].append({**invented.stix("x-mitre-collection", 1, "All"), "x_mitre_version": "99.2"})
    assert load_attack([write_json(bundle)], version="99.1").version == "99.2"


def test_an_object_of_two_bundles_is_taken_from_the_newer(invented: SimpleNamespace, write_json: Write) -> None:
    first, second = invented.attack_bundle(), invented.attack_bundle()
    changed = next(each for each in second["objects"] if each["name"] == "Guild 1")
    changed.update(description="Newer.", modified="2033-01-01T00:00:00.000Z", x_mitre_domains=["ics-attack"])
    for order in ((first, second), (second, first)):
        paths = [write_json(bundle, f"{number}.json") for number, bundle in enumerate(order)]
        attack = load_attack(paths)
        assert attack["G9001"].description == "Newer."
        assert set(attack["G9001"].domains) == {"enterprise", "ics"}
        assert len(attack.of_type(Group)) == 6
        assert len(attack.bundles) == 2


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_bundles_are_read(invented: SimpleNamespace, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(pack(orjson.dumps(invented.attack_bundle())))
    assert len(load_attack([path]).of_type(Technique)) == 14


def test_a_zip_may_hold_one_bundle(invented: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("enterprise-attack.json", orjson.dumps(invented.attack_bundle()))
        archive.writestr("index.txt", "not this one")
    assert len(load_attack([path]).of_type(Technique)) == 14
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("ics-attack.json", orjson.dumps(invented.attack_bundle()))
    with pytest.raises(InputError, match=r"bundle.zip.* 2 such files are in it: enterprise-attack.json, ics-attack.json"):
        load_attack([path])


def test_what_is_no_attack_bundle_is_refused_with_a_reason(
    invented: SimpleNamespace, write_json: Write, tmp_path: Path
) -> None:
    whole = orjson.dumps(invented.attack_bundle())
    cases: list[tuple[bytes, str]] = [
        (whole[: len(whole) // 2], r"not JSON: .* at line 1, column \d+, where the file ends: it is cut off"),
        (whole[:500] + b"\x01" + whole[500:], r"not JSON: .* at line 1, column \d+"),
        (b'{"type": "report"}', "an object of type 'report', not a STIX bundle"),
        (b"[1, 2]", "a list, not a STIX bundle"),
        (b'{"type": "bundle", "objects": []}', "holds no objects"),
        (
            b'{"type": "bundle", "objects": [{"type": "tool", "id": "tool--1"}, 7]}',
            "object 2 of the bundle has no type or no id",
        ),
        (
            orjson.dumps({"type": "bundle", "objects": [invented.stix("tool", 1, "x", "S1")]}),
            "without a single ATT&CK technique",
        ),
        (b"", "not JSON"),
        (lzma.compress(whole)[:-40], "ends too early"),
        (b"\x1f\x8b\x08\x00" + b"\xff" * 600, "gz data is damaged: "),
    ]
    for number, (data, message) in enumerate(cases):
        path = tmp_path / f"case{number}"
        path.write_bytes(data)
        with pytest.raises(InputError, match=message) as raised:
            load_attack([path])
        assert str(path) in raised.value.message
        assert "attack-stix-data" in str(raised.value)
    with pytest.raises(InputError, match="it is a directory"):
        load_attack([tmp_path])
    with pytest.raises(InputError, match="No such file"):
        load_attack([tmp_path / "nowhere.json"])
    with pytest.raises(InputError, match="no ATT&CK bundle was given"):
        load_attack([])


def test_an_unknown_relation_is_named_with_a_guess(attack: AttackCatalogue) -> None:
    with pytest.raises(SettingError, match=r"'mitigate' is not a relation.*\n.*did you mean 'mitigates'"):
        attack.neighbours("T9000", "mitigate")


def test_odd_fields_do_no_harm(invented: SimpleNamespace, write_json: Write) -> None:
    bundle: dict[str, Any] = invented.attack_bundle()
    technique = next(each for each in bundle["objects"] if each["type"] == "attack-pattern")
    technique.update(
        description=None,
        x_mitre_platforms="Kettles",
        kill_chain_phases=None,
        external_references=technique["external_references"],
    )
    bundle["objects"].append({"type": "attack-pattern", "id": "attack-pattern--x"})  # neither name nor identifier
    attack = load_attack([write_json(bundle)])
    found = attack["T9000"]
    assert isinstance(found, Technique)
    assert (found.description, found.platforms) == ("", ())
