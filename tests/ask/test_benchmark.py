"""The benchmark's own arithmetic, on invented items."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from ctiforge.ask import KnowledgeBase


@pytest.fixture
def benchmark(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    monkeypatch.delitem(sys.modules, "knowledge_base", raising=False)
    import importlib

    return importlib.import_module("knowledge_base")


@pytest.mark.parametrize(
    ("url", "object_id"),
    [
        ("https://attack.mitre.org/techniques/T1548/", "T1548"),
        ("https://attack.mitre.org/techniques/T1548/001/", "T1548.001"),
        ("https://attack.mitre.org/groups/G0007", "G0007"),
        ("https://cwe.mitre.org/data/definitions/30.html", "CWE-30"),
        ("http://capec.mitre.org/data/definitions/85.html", "CAPEC-85"),
        ("Manual", None),
    ],
)
def test_pages_name_objects(benchmark: ModuleType, url: str, object_id: str | None) -> None:
    assert benchmark.page_object(url) == object_id


def test_retrieval_counts_what_is_found_and_what_is_not(benchmark: ModuleType, base: KnowledgeBase, tmp_path: Path) -> None:
    rows = [
        ("https://attack.mitre.org/techniques/T9004/", "Who may dim number 4 of the spoons?"),
        ("https://attack.mitre.org/techniques/T9091/", "What is T9090?"),  # revoked: its successor counts
        ("https://cwe.mitre.org/data/definitions/905.html", "xylophone zeppelin"),
        ("https://cwe.mitre.org/data/definitions/1.html", "spoons"),
        ("Manual", "spoons"),
    ]
    file = tmp_path / "items.tsv"
    lines = ["URL\tQuestion\tOption A\tOption B\tOption C\tOption D", *(f"{url}\t{text}\tq\tq\tq\tq" for url, text in rows)]
    file.write_text("\n".join(lines) + "\n")
    found = benchmark.measure_retrieval(base, file)
    assert (found["n"], found["recall"]) == (3, 0.6667)
    assert found["by_source"]["CWE"] == {"items": 2, "searched": 1, "about": 0, "own page": 0, "no object": 1}
    assert found["by_source"]["no page"] == {"items": 1, "no object": 1}


def test_searches_are_timed(benchmark: ModuleType, base: KnowledgeBase) -> None:
    timed = benchmark.measure_search(base)
    assert timed["queries"] > 50
    assert 0 < timed["median_ms"] <= timed["p95_ms"]
