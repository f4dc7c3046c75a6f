from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ctiforge.core.errors import InputError, SettingError
from ctiforge.serve.keys import KeyRing, Principal


def test_a_key_opens_and_the_file_does_not_have_it(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "deep" / "keys.json")
    key = ring.add("Vera", "reviewer")
    assert ring.authenticate(key) == Principal("Vera", "reviewer")
    assert key.rpartition("_")[2] not in ring.path.read_text()
    assert stat.S_IMODE(ring.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("wrong", ["", "ctiforge_", "x" * 5000, "\ud800"])
def test_what_is_no_key_opens_nothing(tmp_path: Path, wrong: str) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    key = ring.add("Vera", "reviewer")
    assert ring.authenticate(wrong) is None
    assert ring.authenticate(key[:-1]) is None
    assert ring.authenticate(ring.records[0].sha256) is None


def test_a_key_that_another_process_revokes_is_refused_at_once(tmp_path: Path) -> None:
    serving = KeyRing(tmp_path / "keys.json")
    key = serving.add("Vera", "reviewer")
    KeyRing(serving.path).add("Rea", "reader")
    assert KeyRing(serving.path).revoke("Vera").role == "reviewer"
    assert serving.authenticate(key) is None
    assert [each.name for each in serving.records] == ["Rea"]


@pytest.mark.parametrize(
    ("name", "role"), [("", "reader"), ("a\nb", "reader"), ("x" * 101, "reader"), ("New", "chief"), ("vera", "reader")]
)
def test_bad_names_and_roles_are_refused(tmp_path: Path, name: str, role: str) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    ring.add("Vera", "reviewer")
    with pytest.raises(SettingError):
        ring.add(name, role)
    assert len(ring.records) == 1


def test_revoking_a_stranger_says_who_was_meant(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    ring.add("Vera", "reviewer")
    with pytest.raises(SettingError, match="did you mean 'Vera'"):
        ring.revoke("Wera")


@pytest.mark.parametrize("content", ["", "[]", '{"format": 2, "keys": []}', '{"format": 1, "keys": [{"id": "x"}]}'])
def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"keys\.json"):
        KeyRing(path)
    assert path.read_text() == content


def test_roles_contain_each_other() -> None:
    assert Principal("x", "admin").may("reader")
    assert Principal("x", "reviewer").may("reviewer")
    assert not Principal("x", "reader").may("reviewer")
