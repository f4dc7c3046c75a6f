"""An invented matrix, attack patterns, weaknesses, feed and documents; a knowledge base of them; a tiny encoder."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from ctiforge.ask import BuildInputs, KnowledgeBase, build_knowledge_base

HERE = Path(__file__).resolve().parent

FEED = """\
id,description,cwe,published
CVE-2099-20001,"Pantry Manager 1.1 lets remote guests lift the lid of the pickle jar and count the gherkins",CWE-903,2099-02-03
CVE-2099-10004,"Larder Server 4 forgets to lock the marzipan drawer",CWE-904,2098-05-06
CVE-2099-20003,"Nothing is known of its weakness but a purple spoon",,2099-04-05
not-a-cve,"A record without an identifier",CWE-903,2099-02-03
"""
RUNBOOK = """\
---
author: nobody
---
# Spoon theft runbook

Call the cook. See [the page](https://example.org/x) of T9003 and `spoon.exe`.

## Isolation

Close the *drawer* that was opened, then
count the ladles twice.

- Write down every ladle.
- Ring the bell. <!-- hidden: say nothing -->
"""


@pytest.fixture(scope="session")
def invented() -> SimpleNamespace:
    """The makers of invented catalogues."""
    return SimpleNamespace(**runpy.run_path(str(HERE.parent / "invented_cti.py")))


@pytest.fixture(scope="session")
def write_sources(invented: SimpleNamespace) -> Callable[[Path], BuildInputs]:
    """Write all invented sources into a folder."""

    def write(folder: Path) -> BuildInputs:
        (folder / "docs" / "team").mkdir(parents=True)
        (folder / "attack.json").write_bytes(orjson.dumps(invented.attack_bundle()))
        (folder / "capec.json").write_bytes(orjson.dumps(invented.capec_bundle()))
        (folder / "cwe.xml").write_text(invented.cwe_xml())
        (folder / "feed.csv").write_text(FEED)
        (folder / "docs" / "team" / "runbook.md").write_text(RUNBOOK)
        return BuildInputs(
            attack=(folder / "attack.json",),
            attack_version="99",
            capec=folder / "capec.json",
            cwe=folder / "cwe.xml",
            cves=(folder / "feed.csv",),
            docs=folder / "docs",
        )

    return write


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, write_sources: Callable[[Path], BuildInputs]) -> BuildInputs:
    """All invented sources; not to be changed."""
    return write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, inputs: BuildInputs) -> KnowledgeBase:
    """A knowledge base of all invented sources, searched by words."""
    folder = tmp_path_factory.mktemp("kb")
    build_knowledge_base(inputs, folder, embeddings=False)
    return KnowledgeBase.load(folder)


@pytest.fixture
def cwe_only(inputs: BuildInputs) -> BuildInputs:
    """The invented weaknesses alone."""
    return replace(BuildInputs(), cwe=inputs.cwe)


@pytest.fixture(scope="session")
def tiny_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with random weights that knows the words of the invented catalogues."""
    for package in ("torch", "transformers", "onnx", "onnxruntime", "safetensors", "tokenizers"):
        pytest.importorskip(package)
    module: dict[str, Any] = runpy.run_path(str(HERE.parent / "train" / "tiny_encoder.py"))
    folder: Path = module["write_tiny_encoder"](
        tmp_path_factory.mktemp("encoder") / "tiny", [FEED, RUNBOOK, "spoon drawer lock lid jar pantry guests kitchen"]
    )
    return folder


@pytest.fixture
def tiny_encoder(tiny_encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Builds use the tiny encoder in place of MiniLM."""
    monkeypatch.setattr("ctiforge.ask.build.find_minilm", lambda: tiny_encoder_folder)
    return tiny_encoder_folder
