"""The invented records, for every test of reports."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def invented() -> SimpleNamespace:
    """The names of ``invented_records.py``."""
    names = runpy.run_path(str(Path(__file__).resolve().parents[1] / "invented_records.py"))
    return SimpleNamespace(**{name: value for name, value in names.items() if not name.startswith("__")})
