"""The benchmark's own arithmetic, on invented items."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ctiforge.ask import KnowledgeBase
from ctiforge.bench.completion import ScoredItem
from ctiforge.bench.task import Sample


@pytest.fixture
def benchmark(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    monkeypatch.delitem(sys.modules, "knowledge_base", raising=False)
    return importlib.import_module("knowledge_base")


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


def test_open_book_counts_by_source_page_and_rotation(
    repository: Path, monkeypatch: pytest.MonkeyPatch, base: KnowledgeBase
) -> None:
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    open_book = importlib.import_module("open_book")
    urls = [
        "https://attack.mitre.org/techniques/T9001/",
        "https://cwe.mitre.org/data/definitions/1.html",
        "https://example.org/x",
    ]
    samples = [Sample(f"cti-mcq/{i:04d}", "?", "A", source=url) for i, url in enumerate(urls)]
    items = [
        ScoredItem(
            "cti-mcq",
            f"cti-mcq/{i:04d}",
            0,
            "correct" if i < 2 and turn < 3 else "wrong",
            "A",
            "AB"[turn == 3],
            permutation=turn,
        )
        for i in range(3)
        for turn in range(4)
    ]
    found = open_book.count(base, samples, items)
    assert found["accuracy"]["accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["accuracy_over_rotations"] == 0.5
    assert found["answered_alike_in_all_rotations"] == 0.0
    assert {name: each["n"] for name, each in found["by_source"].items()} == {"ATT&CK": 1, "CWE": 1, "other documents": 1}
    assert {name: each["n"] for name, each in found["by_page"].items()} == {
        "in the index": 1, "no page of ATT&CK, CWE or CAPEC": 1, "not in the index": 1,
    }  # fmt: skip
    assert found["missing_sources"] == {"CWE-1": 1, "example.org": 1}
