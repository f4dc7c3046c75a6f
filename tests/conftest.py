"""What the whole suite shares: a home of its own, a terminal that is always the same, no way out to a network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Python children of the tests (subprocess, multiprocessing with spawn, the command line run for real) import the
# `sitecustomize` in this folder and refuse outward connections as pytest-socket does in the test process itself.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(ROOT / "tests" / "no_network"), os.environ.get("PYTHONPATH", "")]),
)

# No deadline: the machine may be busy. The same examples everywhere on a CI service, new ones on a developer's machine.
settings.register_profile("ctiforge", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("ctiforge")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data, which a checkout does not carry: CTIFORGE_SHARED_DATA, else ``../shared/data``."""
    given = os.environ.get("CTIFORGE_SHARED_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        if given:
            pytest.fail(f"CTIFORGE_SHARED_DATA names {folder}, which is not a folder")
        pytest.skip("real data is not here: set CTIFORGE_SHARED_DATA to the folder that has cve/ and schemas/")
    return folder


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's settings out of the tests, and the tests out of the user's home."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("CTIFORGE_HOME", str(home / "ctiforge"))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))


@pytest.fixture(autouse=True)
def _same_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One width, no colour, whatever terminal or CI service runs the suite."""
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PYTHONUTF8", "1")
