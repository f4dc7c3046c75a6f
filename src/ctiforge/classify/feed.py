"""Classify whole feeds: several processes, constant memory, results in input order, every record accounted for."""

from __future__ import annotations

import os
import signal
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import chain, islice
from multiprocessing import get_context
from typing import Literal, NamedTuple, TypeAlias

from ctiforge.classify.classifier import DEFAULT_MODEL, Classifier
from ctiforge.classify.outputs import OutputOptions, Renderer, find_output
from ctiforge.classify.prediction import AbstainReason, Prediction
from ctiforge.core.advisory import Advisory, Reject, SourceRef
from ctiforge.core.errors import CtiforgeError
from ctiforge.sources.duplicates import DuplicateFilter, build_duplicate
from ctiforge.sources.read import RawRecord, ReadOptions, parse_record

__all__ = ["Answer", "ClassifierSettings", "FeedSummary", "classify_feed", "default_workers"]

_CHUNK_RECORDS = 128
_CHUNK_BYTES = 4 * 2**20
_CHUNKS_IN_FLIGHT = 3
_EXCERPT = 200
_SMALL_FEED = 1024
"""Feeds up to this many records are classified in this process: starting another one would take longer."""


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """How to make the same `Classifier` in every process; see there."""

    model: str = DEFAULT_MODEL
    policy: str = "mitre"
    top_k: int = 5
    threshold: float | None = None
    explain: bool = True
    view: str | None = None
    similar: str | None = None
    similar_before: date | None = None

    def build(self) -> Classifier:
        """Load the classifier."""
        return Classifier(
            self.model,
            policy=self.policy,
            top_k=self.top_k,
            threshold=self.threshold,
            explain=self.explain,
            view=self.view,
            similar=self.similar,
            similar_before=self.similar_before,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """One classified record: the rendered text, and what a summary needs to know of it."""

    id: str
    text: str
    reason: AbstainReason | None


@dataclass(slots=True)
class FeedSummary:
    """What became of every record: ``answered + abstained + rejected`` is the number of records read."""

    answered: int = 0
    abstained: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    """Classified records that the output format has no place for, by reason in words."""

    @property
    def records(self) -> int:
        """All records read."""
        return self.answered + self.abstained.total() + self.rejected.total()

    def count(self, result: Answer | Reject) -> None:
        """Count one result."""
        if isinstance(result, Reject):
            self.rejected[result.reason] += 1
        elif result.reason:
            self.abstained[result.reason] += 1
        else:
            self.answered += 1


_Raw: TypeAlias = RawRecord | Reject


class _Rendered(NamedTuple):
    """What the parent needs of a record that a worker rendered: a whole `Advisory` would take a tenth of the time to send."""

    id: str
    text: str
    reason: AbstainReason | None
    path: str
    line: int
    format: str
    member: str
    excerpt: str

    @property
    def advisory(self) -> Advisory:
        return Advisory(self.id, SourceRef(self.path, self.line, self.format, self.member), self.excerpt)


_Result: TypeAlias = _Rendered | tuple[Advisory, Prediction] | Reject
_Batch: TypeAlias = tuple[list[_Result], dict[str, int]]


def default_workers() -> int:
    """Return the number of processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def classify_feed(
    raws: Iterable[RawRecord | Reject],
    settings: ClassifierSettings,
    *,
    output: str,
    output_options: OutputOptions,
    read_options: ReadOptions | None = None,
    duplicates: Literal["reject", "keep"] = "reject",
    workers: int | None = None,
    summary: FeedSummary | None = None,
) -> Iterator[Answer | Reject]:
    """Parse, classify and render every raw record, in input order.

    Large feeds are worked on in `workers` processes; at most about a thousand records are in memory.

    Args:
        raws: what `ctiforge.sources.read.read_raw_records` yields; rejects pass through.
        output: name of an output format (`ctiforge.classify.outputs.OUTPUTS`). Its ``begin`` text comes with the first
            answer, and an `Answer` with an empty ID at the end carries its ``end`` text.
        duplicates: ``reject`` gives a `Reject` for every further record of an ID already seen.
        workers: number of processes; the number of cores if None.
        summary: counted into as results come, if given.

    Raises:
        CtiforgeError: a setting is wrong, or a worker process died.
    """
    options = read_options or ReadOptions()
    summary = summary if summary is not None else FeedSummary()
    form = find_output(output)
    renderer = form.renderer(output_options)
    stream = iter(raws)
    head = list(islice(stream, _SMALL_FEED + 1))
    in_workers = (workers or default_workers()) > 1 and len(head) > _SMALL_FEED
    work = _Work(settings, options, output if form.line_based else None, output_options)
    chunks = _chunks(chain(head, stream))
    batches = _parallel(chunks, work, workers or default_workers()) if in_workers else _serial(chunks, work)
    seen = DuplicateFilter() if duplicates == "reject" else None
    pending = renderer.begin()
    for results, left_out in batches:
        summary.left_out.update(left_out)
        for result in results:
            answer = _answer(result, renderer, seen)
            summary.count(answer)
            if isinstance(answer, Answer) and pending:
                answer = replace(answer, text=pending + answer.text)
                pending = ""
            yield answer
    summary.left_out.update(renderer.left_out)
    yield Answer("", pending + renderer.end(), None)


def _answer(result: _Result, renderer: Renderer, seen: DuplicateFilter | None) -> Answer | Reject:
    if isinstance(result, _Rendered):
        if seen is None or seen.is_new(result.id):
            return Answer(result.id, result.text, result.reason)
        return build_duplicate(result.advisory)
    if isinstance(result, Reject):
        return result
    advisory, prediction = result
    if seen is None or seen.is_new(advisory.id):
        return Answer(advisory.id, renderer.render(prediction), prediction.reason)
    return build_duplicate(advisory)


def _chunks(raws: Iterable[_Raw]) -> Iterator[list[_Raw]]:
    chunk: list[_Raw] = []
    size = 0
    for raw in raws:
        chunk.append(raw)
        size += len(raw.payload) if isinstance(raw, RawRecord) else 0
        if len(chunk) >= _CHUNK_RECORDS or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


@dataclass(frozen=True, slots=True)
class _Work:
    """What a worker does to a chunk; small enough to send to a process."""

    settings: ClassifierSettings
    read_options: ReadOptions
    output: str | None
    """Format to render to in the worker, or None to send predictions back."""
    output_options: OutputOptions


class _Worker:
    def __init__(self, work: _Work) -> None:
        self._options = work.read_options
        self._classifier = work.settings.build()
        self._renderer: Renderer | None = find_output(work.output).renderer(work.output_options) if work.output else None

    def __call__(self, chunk: Sequence[_Raw]) -> _Batch:
        records: list[Advisory | Reject] = []
        for raw in chunk:
            records += [raw] if isinstance(raw, Reject) else parse_record(raw, self._options)
        predictions = iter(self._classifier.classify(record for record in records if isinstance(record, Advisory)))
        before = self._renderer.left_out if self._renderer else {}
        results = [record if isinstance(record, Reject) else self._result(record, next(predictions)) for record in records]
        after = self._renderer.left_out if self._renderer else {}
        return results, {reason: n - before.get(reason, 0) for reason, n in after.items()}

    def _result(self, record: Advisory, prediction: Prediction) -> _Result:
        if self._renderer is None:
            return record, prediction
        source = record.source
        return _Rendered(
            record.id,
            self._renderer.render(prediction),
            prediction.reason,
            source.path,
            source.line,
            source.format,
            source.member,
            record.description[:_EXCERPT],
        )


def _serial(chunks: Iterable[list[_Raw]], work: _Work) -> Iterator[_Batch]:
    return map(_Worker(work), chunks)


_worker: _Worker | None = None


def _start_worker(work: _Work) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _worker = _Worker(work)


def _run_chunk(chunk: Sequence[_Raw]) -> _Batch:
    assert _worker is not None
    return _worker(chunk)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Start processes whose matrix products use one thread: there is a process for each core, and threads that wait spin."""
    given = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS") if name not in os.environ}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]


def _parallel(chunks: Iterator[list[_Raw]], work: _Work, workers: int) -> Iterator[_Batch]:
    running: deque[Future[_Batch]] = deque()
    with _one_thread_each():
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker, initargs=(work,))
        # Each process starts with a chunk of its own, as long as none is idle.
        running.extend(pool.submit(_run_chunk, chunk) for chunk in islice(chunks, workers))
    try:
        for chunk in chunks:
            running.append(pool.submit(_run_chunk, chunk))
            if len(running) >= workers * _CHUNKS_IN_FLIGHT:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    except BrokenProcessPool:
        raise CtiforgeError(
            "a worker process ended unexpectedly (killed, or out of memory)", fix="run again with --workers 1"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
