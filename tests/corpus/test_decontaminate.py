from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from ctiforge.corpus.contamination import load_benchmarks
from ctiforge.corpus.decontaminate import decontaminate, find_hits
from ctiforge.corpus.recipe import Decontamination
from ctiforge.corpus.record import CorpusRecord

Make = Callable[..., CorpusRecord]
ITEM = "A heap overflow in the quokka decoder of Benchling before 3.1 lets guests run code by a long wombat header."


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    path = tmp_path / "bench.tsv"
    path.write_text(f"URL\tDescription\nhttps://vulns.example/CVE-2099-1111\t{ITEM}\n", encoding="utf-8")
    return path


@pytest.fixture
def run(benchmark: Path, run_stage: Callable[..., Any]) -> Callable[..., Any]:
    def run(*records: CorpusRecord, remove: list[str], **settings: Any) -> Any:
        given = Decontamination.model_validate({"against": ["bench.tsv"], "remove": remove} | settings)
        return run_stage(lambda writer: decontaminate(writer, records, load_benchmarks([benchmark]), given, workers=1))

    return run


@pytest.fixture
def records(make_record: Make) -> tuple[CorpusRecord, ...]:
    return (
        make_record("id", "Quite another text about a printer.", source_id="CVE-2099-1111"),
        make_record("text", ITEM.upper(), source_id="CVE-2099-2"),
        make_record("near", ITEM + " Indeed so.", source_id="CVE-2099-3"),
        make_record("other", "A printer of Widgetron forgets its password.", source_id="CVE-2099-4"),
    )


def test_levels_that_remove_remove_and_the_others_are_counted(run: Any, records: tuple[CorpusRecord, ...]) -> None:
    result = run(*records, remove=["exact_id", "exact_text"])
    gone = {row["id"]: row["reason"] for row in map(orjson.loads, result.reject_lines())}
    kept = {record.id: record for record in result.records()}
    assert gone == {"id": "exact_id", "text": "exact_text"}
    assert set(kept) == {"near", "other"}
    assert [met["level"] for met in kept["near"].metadata["contamination"]] == ["near_duplicate"]
    assert "contamination" not in kept["other"].metadata
    assert result.facts["removed"] == {"exact_id": {"bench.tsv": 1}, "exact_text": {"bench.tsv": 1}}
    assert result.facts["stayed"] == {"near_duplicate": {"bench.tsv": 1}}


def test_the_threshold_is_the_recipes(run: Any, records: tuple[CorpusRecord, ...]) -> None:
    for threshold, kept in ((0.8, ["other"]), (0.99, ["near", "other"])):
        result = run(*records, remove=["exact_id", "exact_text", "near_duplicate"], near_duplicate=threshold)
        assert [record.id for record in result.records()] == kept


def test_the_reason_names_the_item(run: Any, records: tuple[CorpusRecord, ...]) -> None:
    (row,) = map(orjson.loads, run(records[1], remove=["exact_text"]).reject_lines())
    assert row["detail"] == "bench/0000 of bench.tsv, score 1.000"


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(benchmark: Path, make_record: Make) -> None:
    settings = Decontamination(against=["bench.tsv"], remove=["exact_id"])
    records = [
        make_record(f"r{i}", f"{ITEM} Number {i}." if i % 50 == 0 else f"Printer {i} of shop {i % 7}.") for i in range(2400)
    ]
    benchmarks = load_benchmarks([benchmark])
    alone = list(find_hits(benchmarks, settings, records, workers=1))
    assert list(find_hits(benchmarks, settings, records, workers=2)) == alone
    assert sum(map(bool, alone)) == 48
