"""Work in several processes: chunks in, results out, in input order and constant memory."""

from __future__ import annotations

import gc
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

from ctiforge.core.errors import CtiforgeError

__all__ = ["default_workers", "map_in_processes", "one_thread_each", "spare_garbage_collection"]

_CHUNKS_IN_FLIGHT = 3

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


def default_workers() -> int:
    """Return the number of processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Start processes whose matrix products use one thread: there is a process for each core, and threads that wait spin."""
    given = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS") if name not in os.environ}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]


def spare_garbage_collection() -> None:
    """Let a long-lived process look for cycles rarely, and never in what it holds now: call it when everything is loaded.

    Going through a loaded model and catalogue holds up a server for some 60 ms each time, and finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def map_in_processes(chunks: Iterable[Chunk], build: Callable[[], Callable[[Chunk], Result]], workers: int) -> Iterator[Result]:
    """Yield one result a chunk, in input order.

    Args:
        build: makes what takes a chunk, once in each process; itself small enough to send there.

    Raises:
        CtiforgeError: a worker process died.
    """
    stream = iter(chunks)
    running: deque[Future[Result]] = deque()
    with one_thread_each():
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(build,))
        # Each process starts with a chunk of its own, as long as none is idle.
        running.extend(pool.submit(_run, chunk) for chunk in islice(stream, workers))
    try:
        for chunk in stream:
            running.append(pool.submit(_run, chunk))
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


_work: Callable[[Any], Any] | None = None
"""What takes a chunk, in a worker process; None in all others."""


def _start(build: Callable[[], Callable[[Any], Any]]) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _work = build()


def _run(chunk: Any) -> Any:
    assert _work is not None
    return _work(chunk)
