"""`run_audit`: what a training corpus has in common with benchmark files, whoever made it.

The corpus is read twice: once for a sample, from which shared instructions and common phrases are learnt, once to check every
record, in several processes. Memory does not grow with the corpus, but for what is found.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from ctiforge.core.errors import InputError
from ctiforge.core.files import file_sha256
from ctiforge.core.processes import map_in_processes
from ctiforge.corpus.audit_findings import SWEEP, AuditReport, ItemFinding, RecordFinding, gather_findings
from ctiforge.corpus.audit_records import AuditColumns, AuditRecord, read_audit_records
from ctiforge.corpus.contamination.benchmarks import Benchmarks
from ctiforge.corpus.contamination.checker import ContaminationChecker, merge_levels
from ctiforge.corpus.contamination.instructions import Instructions, find_instructions
from ctiforge.corpus.contamination.normal_form import fold_characters
from ctiforge.corpus.contamination.semantic import Embed
from ctiforge.corpus.contamination.settings import LEVELS, TEXT_LEVELS, ContaminationSettings, Level
from ctiforge.corpus.rows import data_files

__all__ = ["AuditJob", "check_record", "run_audit"]

_SAMPLE = 10_000
_PROMPTS_LOOKED_AT = 4_000
_CHUNK = 512
_SMALL = 1_024
"""Corpora up to this many records are checked in this process."""
_MIN_ANSWER_WORDS: Final = 5
_SEED = 0
_SHOWN_TEXT = 20_000

Progress = Callable[[str, int, int | None], None]
"""Called with a phase (``read``, ``check``), records done and records in all, None while that is unknown."""


@dataclass(frozen=True, slots=True)
class AuditJob:
    """What a process needs to check records."""

    benchmarks: Benchmarks
    settings: ContaminationSettings
    background: tuple[str, ...]
    instructions: Instructions
    embed: Embed | None = None


def run_audit(
    corpus: str | os.PathLike[str],
    benchmarks: Benchmarks,
    settings: ContaminationSettings | None = None,
    *,
    columns: AuditColumns | None = None,
    skip_unreadable: bool = False,
    workers: int | None = None,
    embed: Embed | None = None,
    progress: Progress = lambda phase, done, total: None,
) -> AuditReport:
    """Check every record of a file, or of the data files of a folder, against benchmark items.

    Args:
        columns: which columns hold texts and identifiers; the usual names if None.
        skip_unreadable: list rows that cannot be checked in the report instead of stopping at the first.
        workers: processes; the number of cores if None. The result does not depend on it.
        embed: for the level ``semantic``; has to be a function that can be pickled if there are several workers.

    Raises:
        InputError: a file or a row cannot be read, or there is no record at all.
    """
    path, columns, settings = Path(corpus), columns or AuditColumns(), settings or ContaminationSettings()
    read = _Reader(path, columns, skip_unreadable)
    sample = _sample(read, lambda done: progress("read", done, None))
    if not sample.size:
        raise InputError(f"{path}: no record that can be checked", fix="name a file with a text in each row")
    shared = find_instructions([fold_characters(record.prompt) for record in sample.records[:_PROMPTS_LOOKED_AT]])
    instructions = shared.joined(benchmarks.instructions)
    background = tuple(instructions.remove_from(fold_characters(record.prompt)) for record in sample.records)
    job = AuditJob(benchmarks, settings, background, instructions, embed)
    report = AuditReport(
        corpus=str(path),
        sha256=_digest(path),
        benchmarks=benchmarks,
        settings=dataclasses.asdict(settings),
        records=sample.size,
        instructions=[(" ".join(words), share) for words, share in zip(shared.prefixes, shared.shares, strict=True)],
        levels_checked=tuple(level for level in LEVELS if embed is not None or level != "semantic"),
    )
    done = 0

    def counted(chunks: Iterable[tuple[int, list[RecordFinding]]]) -> Iterator[RecordFinding]:
        nonlocal done
        for records, found in chunks:
            done += records
            progress("check", done, sample.size)
            yield from found

    gather_findings(report, counted(_check_all(read, job, workers or _cores(), sample.size)))
    report.unreadable = dict(sample.unreadable)
    return report


@dataclass(frozen=True, slots=True)
class _Reader:
    path: Path
    columns: AuditColumns
    skip_unreadable: bool

    def __call__(self) -> Iterator[AuditRecord]:
        return read_audit_records(self.path, self.columns, skip_unreadable=self.skip_unreadable)


@dataclass(slots=True)
class _Sample:
    records: list[AuditRecord]
    size: int
    unreadable: dict[str, str]


def _sample(read: _Reader, progress: Callable[[int], None]) -> _Sample:
    """Read all records and keep an even sample of them (Vitter 1985, algorithm R), in random order."""
    chance = random.Random(_SEED)
    sample = _Sample([], 0, {})
    for record in read():
        if record.fault:
            sample.unreadable[f"{record.file}:{record.number}"] = record.fault
            continue
        sample.size += 1
        if sample.size % _SMALL == 0:
            progress(sample.size)
        if len(sample.records) < _SAMPLE:
            sample.records.append(record)
        elif (place := chance.randrange(sample.size)) < _SAMPLE:
            sample.records[place] = record
    chance.shuffle(sample.records)
    return sample


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder, that of its data files' digests in order of their names."""
    if path.is_file():
        return file_sha256(path)
    lines = [f"{file_sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in data_files(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


class _Worker:
    def __init__(self, job: AuditJob) -> None:
        self._job = job
        self._checker = ContaminationChecker(job.benchmarks, job.settings, background=job.background, embed=job.embed)

    def __call__(self, chunk: Sequence[AuditRecord]) -> tuple[int, list[RecordFinding]]:
        found = [check_record(self._checker, self._job.instructions, record) for record in chunk]
        return len(chunk), [each for each in found if each.findings or each.jaccard]


def check_record(checker: ContaminationChecker, instructions: Instructions, record: AuditRecord) -> RecordFinding:
    """Compare one record with all items: its prompt without shared instructions, and its other texts, each by itself."""
    shown = instructions.remove_from(record.prompt)
    bare = instructions.remove_from(fold_characters(record.prompt))
    parts = checker.parts(bare)
    for extra in record.extra:
        stripped = instructions.remove_from(fold_characters(extra))
        parts += [part for part in checker.parts(stripped) if len(part.split()) >= _MIN_ANSWER_WORDS]
        if len(shown.split()) < _MIN_ANSWER_WORDS:
            shown = stripped
    levels: dict[int, tuple[Level, float, str]] = {}
    jaccard: dict[int, float] = {}
    for part in dict.fromkeys(parts):
        match = checker.match(part, SWEEP[0])
        merge_levels(levels, match.levels)
        for place, value in match.jaccard.items():
            jaccard[place] = max(value, jaccard.get(place, 0.0))
    by_item: dict[int, tuple[Level, float, str]] = {}
    for place, found in levels.items():
        merge_levels(by_item, dict.fromkeys(checker.items_of[place], found))
    items_near: dict[int, float] = {}
    for place, value in jaccard.items():
        for item in checker.items_of[place]:
            items_near[item] = max(value, items_near.get(item, 0.0))
    findings = [ItemFinding(item, *found) for item, found in by_item.items()]
    findings += [
        ItemFinding(item, level, 1.0, detail) for item, level, detail in checker.id_findings(record.ids, bare, record.extra)
    ]
    where = f"{record.file}:{record.number}"
    worth_showing = any(finding.level in TEXT_LEVELS for finding in findings)
    return RecordFinding(where, shown[:_SHOWN_TEXT] if worth_showing else "", findings, items_near)


def _check_all(read: _Reader, job: AuditJob, workers: int, size: int) -> Iterator[tuple[int, list[RecordFinding]]]:
    chunks = _chunks(record for record in read() if not record.fault)
    if workers > 1 and size > _SMALL:
        yield from map_in_processes(chunks, partial(_Worker, job), workers)
    else:
        yield from map(_Worker(job), chunks)


def _chunks(records: Iterable[AuditRecord]) -> Iterator[list[AuditRecord]]:
    stream = iter(records)
    while chunk := list(islice(stream, _CHUNK)):
        yield chunk
