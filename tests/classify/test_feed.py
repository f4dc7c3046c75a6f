from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from ctiforge.classify import chunk_workers
from ctiforge.classify.feed import Answer, ClassifierSettings, FeedSummary, classify_feed
from ctiforge.classify.outputs import OutputOptions
from ctiforge.core.advisory import Reject
from ctiforge.core.errors import CtiforgeError
from ctiforge.sources.read import read_raw_records

OPTIONS = OutputOptions(generated_at=datetime(2026, 1, 1, tzinfo=UTC))
TEXTS = [
    "SQL injection in the login allows attackers",
    "buffer overflow write in the login allows attackers",
    "script injection in the login",
    "nothing that anybody could know",
    "",
]


def write_feed(path: Path, n: int) -> Path:
    with path.open("wb") as stream:
        for i in range(n):
            stream.write(orjson.dumps({"id": f"CVE-2099-{10000 + i}", "description": TEXTS[i % len(TEXTS)]}) + b"\n")
            if i % 10 == 7:
                stream.write(b'{"id": "CVE-2099-1", "description": \n')
            if i % 100 == 50:
                stream.write(orjson.dumps({"id": f"CVE-2099-{10000 + i}", "description": "again"}) + b"\n")
    return path


def run(path: Path, model: Path, **options: Any) -> list[Answer | Reject]:
    settings = ClassifierSettings(model=str(model))
    arguments = {"output": "jsonl", "output_options": OPTIONS, "workers": 1} | options
    return list(classify_feed(read_raw_records([str(path)]), settings, **arguments))


def test_every_record_is_accounted_for_in_input_order(tmp_path: Path, tiny_model: Path) -> None:
    summary = FeedSummary()
    results = run(write_feed(tmp_path / "feed.jsonl", 200), tiny_model, summary=summary)
    answers = [result for result in results if isinstance(result, Answer) and result.id]
    assert [answer.id for answer in answers] == [f"CVE-2099-{10000 + i}" for i in range(200)]
    assert all(orjson.loads(answer.text)["id"] == answer.id for answer in answers)
    assert dict(summary.rejected) == {"malformed_json": 20, "duplicate_id": 2}
    assert dict(summary.abstained) == {"low_information": 40, "no_description": 40}
    assert summary.answered == 120
    assert summary.records == 222


def test_several_processes_give_what_one_gives(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_feed(tmp_path / "feed.jsonl", 400)
    alone = run(path, tiny_model)
    monkeypatch.setattr(chunk_workers, "_SMALL_FEED", 100)
    summary = FeedSummary()
    together = run(path, tiny_model, workers=2, summary=summary)
    assert together == alone
    assert summary.records == 444


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads the environment of processes in /proc")
def test_every_worker_multiplies_with_one_thread(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_workers, "_SMALL_FEED", 100)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    before = {process.pid for process in multiprocessing.active_children()}
    results = classify_feed(
        read_raw_records([str(write_feed(tmp_path / "feed.jsonl", 600))]),
        ClassifierSettings(model=str(tiny_model)),
        output="jsonl",
        output_options=OPTIONS,
        workers=2,
    )
    next(results)
    started = [process.pid for process in multiprocessing.active_children() if process.pid not in before]
    assert len(started) == 2
    for pid in started:
        assert b"OPENBLAS_NUM_THREADS=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert sum(1 for _ in results) > 600
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_a_document_is_rendered_whole_from_several_processes(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk_workers, "_SMALL_FEED", 10)
    results = run(write_feed(tmp_path / "feed.jsonl", 60), tiny_model, output="json", workers=2)
    document = orjson.loads("".join(result.text for result in results if isinstance(result, Answer)))
    assert [record["id"] for record in document] == [f"CVE-2099-{10000 + i}" for i in range(60)]


def test_duplicates_can_be_kept(tmp_path: Path, tiny_model: Path) -> None:
    results = run(write_feed(tmp_path / "feed.jsonl", 100), tiny_model, duplicates="keep")
    ids = [result.id for result in results if isinstance(result, Answer)]
    assert ids.count("CVE-2099-10050") == 2


def test_an_empty_feed_gives_an_empty_document(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "feed.jsonl").write_bytes(b"")
    results = run(tmp_path / "feed.jsonl", tiny_model, output="json")
    text = "".join(result.text for result in results if isinstance(result, Answer))
    assert orjson.loads(text) == []


def test_a_worker_that_dies_is_an_error_with_advice(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_workers, "_SMALL_FEED", 10)
    monkeypatch.setattr("ctiforge.classify.feed._Work", _Deadly)
    with pytest.raises(CtiforgeError, match="worker process ended unexpectedly"):
        run(write_feed(tmp_path / "feed.jsonl", 60), tiny_model, workers=2)


class _Deadly:
    """Takes the place of `_Work`: ends the process that unpickles it."""

    def __init__(self, *arguments: object) -> None: ...

    def build(self) -> None: ...

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os._exit, (1,)


def test_memory_does_not_grow_with_the_feed(tmp_path: Path, tiny_model: Path) -> None:
    """The reader is never more than a bounded number of records ahead of what was answered."""
    taken = 0

    def endless() -> Iterator[Any]:
        nonlocal taken
        for raw in read_raw_records([str(write_feed(tmp_path / "feed.jsonl", 5000))]):
            taken += 1
            yield raw

    results = classify_feed(
        endless(), ClassifierSettings(model=str(tiny_model)), output="jsonl", output_options=OPTIONS, workers=1
    )
    for given, _ in enumerate(results, 1):
        assert taken - given <= 1500
