"""Threat actors under their names."""

from __future__ import annotations

import gzip
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ctiforge.bench.actors import ActorAliases, actor_key, judge_actor, load_aliases
from ctiforge.bench.task import Sample
from ctiforge.core.errors import InputError


def actor(number: int, name: str, *aliases: str, **more: Any) -> dict[str, Any]:
    return {"type": "intrusion-set", "id": f"intrusion-set--{number}", "name": name, "aliases": [name, *aliases], **more}


def revoked_by(old: int, new: int) -> dict[str, Any]:
    ends = {"source_ref": f"intrusion-set--{old}", "target_ref": f"intrusion-set--{new}"}
    return {"type": "relationship", "relationship_type": "revoked-by", **ends}


BUNDLE = {
    "type": "bundle",
    "objects": [
        actor(1, "Velvet Heron", "TAG-900", "Shared Name"),
        actor(2, "Amber Newt", "Shared Name"),
        actor(3, "Old Heron", "TAG-1", revoked=True),
        revoked_by(3, 1),
        {"type": "intrusion-set", "id": "intrusion-set--4", "name": "Lone Gull", "aliases": None},
        {"type": "malware", "name": "Velvet Heron Loader"},
        revoked_by(5, 6),
        revoked_by(6, 5),
        actor(5, "Round"),
        "not an object",
    ],
}


@pytest.fixture
def aliases(tmp_path: Path) -> ActorAliases:
    path = tmp_path / "attack.json"
    path.write_text(json.dumps(BUNDLE), "utf-8")
    return load_aliases(path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("APT 28", "apt-28"),
        ("Lazarus", "the Lazarus Group"),
        ("ＡＰＴ２８", "APT28"),
        ("Sandworm Team", "SANDWORM"),
        ("FIN_7", "fin7"),
    ],
)
def test_spellings_are_one_name(one: str, other: str) -> None:
    assert actor_key(one) == actor_key(other)
    assert ActorAliases().same(one, other)


@pytest.mark.parametrize(("one", "other"), [("APT28", "APT29"), ("Group", "Team"), ("", ""), ("...", "-"), ("The", "Team")])
def test_names_that_are_not_one(one: str, other: str) -> None:
    assert not ActorAliases().same(one, other)


def test_aliases_make_names_one(aliases: ActorAliases) -> None:
    assert aliases.same("TAG 900", "velvet heron")
    assert aliases.same("Lone Gull", "lone gull")
    assert aliases.same("Unlisted Owl", "UNLISTED OWL")
    assert not aliases.same("Velvet Heron Loader", "Velvet Heron")
    assert not aliases.same("Lone Gull", "Velvet Heron")


def test_actors_with_a_shared_alias_stay_apart(aliases: ActorAliases) -> None:
    assert aliases.same("Shared Name", "Velvet Heron")
    assert aliases.same("Shared Name", "Amber Newt")
    assert not aliases.same("Velvet Heron", "Amber Newt")


def test_a_revoked_actor_is_its_successor(aliases: ActorAliases) -> None:
    assert aliases.same("Old Heron", "TAG-900")
    assert aliases.same("TAG-1", "Velvet Heron")


def test_several_golds_may_be_right(aliases: ActorAliases) -> None:
    judge = judge_actor(aliases)
    sample = Sample("x/0", "p", "Amber Newt; Lone Gull")
    assert judge("Lone Gull group", sample).correct
    assert judge("Shared Name", sample).value == 1.0
    assert not judge("Velvet Heron", sample).correct


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_a_compressed_bundle_is_read(compress: Any, tmp_path: Path) -> None:
    path = tmp_path / "attack.json.z"
    path.write_bytes(compress(json.dumps(BUNDLE).encode()))
    assert load_aliases(path).same("TAG-900", "Velvet Heron")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "no STIX bundle"),
        (b'{"objects": {}}', "no STIX bundle"),
        (b'{"objects": [{"type": "malware", "name": "x"}]}', "no intrusion sets"),
        (gzip.compress(b"{}", mtime=0)[:-5], "ends too early"),
    ],
)
def test_what_is_no_bundle_is_refused(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "attack.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=reason):
        load_aliases(path)


def test_a_zip_or_a_missing_file_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "attack.zip", "w") as archive:
        archive.writestr("attack.json", "{}")
    with pytest.raises(InputError, match="a zip archive"):
        load_aliases(tmp_path / "attack.zip")
    with pytest.raises(InputError, match="No such file"):
        load_aliases(tmp_path / "none.json")
