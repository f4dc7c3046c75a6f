"""Benchmark items out of the corpus: which records meet one, at which level, and which of these leave."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context

from ctiforge.core.errors import InputError
from ctiforge.corpus.contamination import ContaminationChecker, ContaminationSettings, Hit, Level
from ctiforge.corpus.contamination.benchmarks import Benchmarks
from ctiforge.corpus.lines import reject_record
from ctiforge.corpus.recipe import Decontamination
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.selection import draw_key
from ctiforge.corpus.stages import StageWriter

__all__ = ["decontaminate", "find_hits"]

_BACKGROUND = 10_000
_CHUNK = 200
_SMALL = 2000
"""Records up to which no further process is started."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What a process needs to check records; `background` are texts that say which words are common."""

    benchmarks: Benchmarks
    settings: Decontamination
    background: tuple[str, ...]

    def build_check(self) -> Callable[[CorpusRecord], list[Hit]]:
        settings = self.settings
        thresholds = ContaminationSettings(
            near_duplicate=settings.near_duplicate, rare_words=settings.rare_words, rare_phrases=settings.rare_phrases
        )
        checker = ContaminationChecker(self.benchmarks, thresholds, background=self.background)
        return lambda record: checker.check(record.text, (), record.source_id, record.kind)


def find_hits(
    benchmarks: Benchmarks, settings: Decontamination, records: Sequence[CorpusRecord], workers: int | None = None
) -> Iterator[list[Hit]]:
    """Yield what each record has in common with benchmark items, in the order of the records.

    Args:
        workers: processes; the number of cores if None. The result does not depend on it.
    """
    ordered = sorted(records, key=lambda record: draw_key(0, "background", record.id))
    job = _Job(benchmarks, settings, tuple(record.text for record in ordered[:_BACKGROUND]))
    processes = workers or _cores()
    if processes == 1 or len(records) <= _SMALL:
        yield from map(job.build_check(), records)
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=_start_worker, initargs=(job,))
    try:
        chunks = [records[start : start + _CHUNK] for start in range(0, len(records), _CHUNK)]
        for found in pool.map(_check_chunk, chunks):
            yield from found
    except BrokenProcessPool:
        raise InputError(
            "a process that looked for benchmark items ended unexpectedly (killed, or out of memory)",
            fix="run the same command again: finished stages are kept",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_check: Callable[[CorpusRecord], list[Hit]]


def _start_worker(job: _Job) -> None:
    global _check
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _check = job.build_check()


def _check_chunk(records: Sequence[CorpusRecord]) -> list[list[Hit]]:
    return [_check(record) for record in records]


def decontaminate(
    writer: StageWriter,
    records: Sequence[CorpusRecord],
    benchmarks: Benchmarks,
    settings: Decontamination,
    workers: int | None = None,
) -> None:
    """Keep the records that meet no benchmark item at a level that removes.

    The facts count, for each level and benchmark file, the records that were removed at it and those that met an item and
    stay; a record counts once for each level and file. Records that stay name what they met in ``metadata["contamination"]``.
    """
    removed: Counter[tuple[str, str]] = Counter()
    stayed: Counter[tuple[str, str]] = Counter()
    remove: frozenset[Level] = frozenset(settings.remove)
    found = find_hits(benchmarks, settings, records, workers)
    for done, (record, hits) in enumerate(zip(records, found, strict=True)):
        if done % 200 == 0:
            writer.progress(done, len(records))
        leaves = [hit for hit in hits if hit.level in remove]
        (removed if leaves else stayed).update({(hit.level, hit.file) for hit in hits})
        if leaves:
            first = leaves[0]
            detail = f"{first.item_id} of {first.file}, score {first.score:.3f}"
            writer.reject(reject_record(record, writer.name, first.level, detail))
            continue
        met = [{"level": hit.level, "item": hit.item_id, "score": hit.score} for hit in hits[:5]]
        metadata = {**record.metadata, "contamination": met} if met else record.metadata
        writer.keep(replace(record, metadata=metadata, steps=(*record.steps, "decontaminate")))
    writer.facts["removed"] = _table(removed)
    writer.facts["stayed"] = _table(stayed)


def _table(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (level, file), count in sorted(counts.items()):
        table.setdefault(level, {})[file] = count
    return table
