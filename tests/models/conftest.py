"""The stub server, for tests that need something to talk to."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def stub() -> SimpleNamespace:
    """The names of `stub_server.py`."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("stub_server.py")), run_name="stub_server"))
