"""Where the user's data lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctiforge.core.paths import user_data_dir


def test_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CTIFORGE_HOME", "~/own")
    assert user_data_dir() == tmp_path / "own"
    monkeypatch.delenv("CTIFORGE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert user_data_dir() == tmp_path / "xdg" / "ctiforge"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert user_data_dir() == tmp_path / ".local" / "share" / "ctiforge"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert user_data_dir() == tmp_path / ".local" / "share" / "ctiforge"
