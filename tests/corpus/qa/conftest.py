"""Questions about the invented catalogues."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from ctiforge.core.advisory import Advisory, AssignedWeakness, CvssScore, SourceRef
from ctiforge.corpus.qa import QaObjects
from ctiforge.sources.attack import load_attack
from ctiforge.sources.capec import load_capec
from ctiforge.sources.cwe_texts import load_cwe_texts

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> QaObjects:
    """All four kinds of objects, invented."""
    invented = SimpleNamespace(**runpy.run_path(str(HERE.parents[1] / "invented_cti.py")))
    folder = tmp_path_factory.mktemp("catalogues")
    (folder / "attack.json").write_bytes(orjson.dumps(invented.attack_bundle()))
    (folder / "capec.json").write_bytes(orjson.dumps(invented.capec_bundle()))
    (folder / "cwe.xml").write_text(invented.cwe_xml())
    advisories = [
        Advisory(
            id=f"CVE-2099-{20000 + n}",
            source=SourceRef("cve.jsonl", n + 1, "cve5"),
            description=f"Pantry Manager {n}.1 lets remote guests lift the lid of jar {n} and count what is inside of it",
            weaknesses=(AssignedWeakness("cna", f"CWE-{903 + n % 9}"),),
            cvss=(CvssScore("cna", "3.1", f"CVSS:3.1/AV:{'NALP'[n % 4]}/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N", 4.0),),
            published=f"2099-01-{n + 1:02d}T00:00:00Z",
        )
        for n in range(12)
    ]
    return QaObjects(
        attack=load_attack([folder / "attack.json"], version="99"),
        capec=load_capec(folder / "capec.json"),
        weaknesses=load_cwe_texts(folder / "cwe.xml"),
        advisories=advisories,
        advisory_licence="invented",
    )


@pytest.fixture(scope="session")
def graph_checker() -> Callable[..., SimpleNamespace]:
    """The class of ``graph_checker.py``, which derives answers from MITRE's files without our readers."""
    checker: Callable[..., SimpleNamespace] = runpy.run_path(str(HERE / "graph_checker.py"))["GraphChecker"]
    return checker
