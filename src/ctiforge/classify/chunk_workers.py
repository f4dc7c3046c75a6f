"""Work on raw records in several processes: chunks in, batches of results out, in input order and constant memory."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing import get_context
from typing import Any, Protocol, TypeAlias, TypeVar

from ctiforge.core.advisory import Reject
from ctiforge.core.errors import CtiforgeError
from ctiforge.sources.read import RawRecord

__all__ = ["ChunkWork", "Raw", "default_workers", "map_chunks"]

_CHUNK_RECORDS = 128
_CHUNK_BYTES = 4 * 2**20
_CHUNKS_IN_FLIGHT = 3
_SMALL_FEED = 1024
"""Feeds up to this many records are worked on in this process: starting another one would take longer."""

Raw: TypeAlias = RawRecord | Reject
Batch = TypeVar("Batch")
BatchOut = TypeVar("BatchOut", covariant=True)


class ChunkWork(Protocol[BatchOut]):
    """What is done to a chunk; small enough to send to a process, which builds the worker from it once."""

    def build(self) -> Callable[[Sequence[Raw]], BatchOut]:
        """Return the worker; this is where a model is loaded."""
        ...


def default_workers() -> int:
    """Return the number of processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def map_chunks(raws: Iterable[Raw], work: ChunkWork[Batch], workers: int | None = None) -> Iterator[Batch]:
    """Yield one batch a chunk of raw records, in input order; large feeds are worked on in `workers` processes.

    Raises:
        CtiforgeError: a worker process died.
    """
    workers = workers or default_workers()
    stream = iter(raws)
    head = list(islice(stream, _SMALL_FEED + 1))
    chunks = _chunks(chain(head, stream))
    if workers > 1 and len(head) > _SMALL_FEED:
        yield from _parallel(chunks, work, workers)
    else:
        yield from map(work.build(), chunks)


def _chunks(raws: Iterable[Raw]) -> Iterator[list[Raw]]:
    chunk: list[Raw] = []
    size = 0
    for raw in raws:
        chunk.append(raw)
        size += len(raw.payload) if isinstance(raw, RawRecord) else 0
        if len(chunk) >= _CHUNK_RECORDS or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


_worker: Callable[[Sequence[Raw]], Any] | None = None


def _start_worker(work: ChunkWork[Any]) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _worker = work.build()


def _run_chunk(chunk: Sequence[Raw]) -> Any:
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


def _parallel(chunks: Iterator[list[Raw]], work: ChunkWork[Batch], workers: int) -> Iterator[Batch]:
    running: deque[Future[Batch]] = deque()
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
