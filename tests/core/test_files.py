from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ctiforge.core.files import atomic_writer, file_sha256, sha256, write_json, write_text


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    write_text(target, "old")
    with pytest.raises(TypeError), atomic_writer(target) as stream:
        stream.write("not bytes")  # type: ignore[arg-type]
    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_equal_values_give_equal_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": 1, "y": [2]})
    write_json(tmp_path / "b.json", {"y": [2], "x": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_new_files_have_ordinary_permissions_and_old_ones_keep_theirs(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    write_text(target, "a")
    plain = tmp_path / "plain"
    plain.write_text("")
    assert target.stat().st_mode == plain.stat().st_mode
    target.chmod(0o600)
    write_text(target, "b")
    assert target.stat().st_mode & 0o777 == 0o600


def test_digests(tmp_path: Path) -> None:
    write_text(tmp_path / "f", "text")
    assert file_sha256(tmp_path / "f") == sha256(b"text") == hashlib.sha256(b"text").hexdigest()
