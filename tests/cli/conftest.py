"""A knowledge base of invented catalogues, for all commands that read one."""

from __future__ import annotations

import runpy
from pathlib import Path

import orjson
import pytest

from ctiforge.ask import BuildInputs, build_knowledge_base


@pytest.fixture(scope="session")
def invented_kb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the invented matrix and weaknesses, searched by words."""
    invented = runpy.run_path(str(Path(__file__).resolve().parents[1] / "invented_cti.py"))
    folder = tmp_path_factory.mktemp("quiz")
    (folder / "attack.json").write_bytes(orjson.dumps(invented["attack_bundle"]()))
    (folder / "cwe.xml").write_text(invented["cwe_xml"]())
    inputs = BuildInputs(attack=(folder / "attack.json",), attack_version="99", cwe=folder / "cwe.xml")
    build_knowledge_base(inputs, folder / "kb", embeddings=False)
    return folder / "kb"
