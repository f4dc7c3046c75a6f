"""The invented catalogues, for the tests of their readers."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest


@pytest.fixture(scope="session")
def invented() -> SimpleNamespace:
    """The names of ``tests/invented_cti.py``."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).resolve().parents[1] / "invented_cti.py")))


@pytest.fixture
def write_json(tmp_path: Path) -> Callable[[Any], Path]:
    """Write a value as a JSON file and return its path."""

    def write(value: Any, name: str = "bundle.json") -> Path:
        path = tmp_path / name
        path.write_bytes(orjson.dumps(value))
        return path

    return write
