"""Micro-batching: what many clients ask at once is computed together.

While a batch is computed the next one gathers, so that under load batches grow by themselves; only an idle server waits, a
few milliseconds, for others to come. A worker that can be handed a second batch while it computes the first never waits for
answers to be written.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["BatchObserver", "MicroBatcher", "OneThread"]

T = TypeVar("T")
R = TypeVar("R")
BatchObserver = Callable[[int, float], None]
"""Takes the number of items of a batch and the seconds that it took, waiting for its turn included."""


class OneThread(Generic[T, R]):
    """Runs a function of a list in a thread of its own, one call at a time."""

    def __init__(self, work: Callable[[list[T]], Sequence[R]]) -> None:
        self._work = work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ctiforge-batch")

    async def __call__(self, items: list[T]) -> Sequence[R]:
        """Return what the function returns."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, items)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()


@dataclass(slots=True)
class _Waiting(Generic[T, R]):
    items: Sequence[T]
    future: asyncio.Future[Sequence[R]]


class MicroBatcher(Generic[T, R]):
    """Gathers items of concurrent callers.

    Args:
        work: takes items and returns as many results, in order.
        most: items of a batch; a caller with more has a batch of its own.
        wait: seconds to wait for others when idle.
        at_once: batches that `work` is given before it has answered the first; further ones only if they are half full.
        observer: is told of every batch.
    """

    def __init__(
        self,
        work: Callable[[list[T]], Awaitable[Sequence[R]]],
        *,
        most: int,
        wait: float,
        at_once: int = 1,
        observer: BatchObserver = lambda items, seconds: None,
    ) -> None:
        self._work, self._most, self._wait, self._at_once, self._observer = work, most, wait, at_once, observer
        self._queue: deque[_Waiting[T, R]] = deque()
        self._size = 0  # items in the queue
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def submit(self, items: Sequence[T]) -> Sequence[R]:
        """Return the results of `items`, in order.

        Raises:
            Exception: whatever `work` raised, for all callers of the batch.
        """
        loop = asyncio.get_running_loop()
        waiting: _Waiting[T, R] = _Waiting(items, loop.create_future())
        self._queue.append(waiting)
        self._size += len(items)
        if self._running or self._size >= self._most:
            self._start()
        elif self._timer is None:
            self._timer = loop.call_later(self._wait, self._begin)
        return await waiting.future

    async def close(self) -> None:
        """Finish what was accepted."""
        while self._queue or self._running:
            self._begin()
            if self._running:  # none if everybody who waited has gone
                await asyncio.wait(self._running)

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._start()

    def _start(self) -> None:
        """Start as many batches as may run and are worth it."""
        while self._queue and len(self._running) < self._at_once:
            if self._running and self._size < self._most / 2:
                return
            if batch := self._take():
                task = asyncio.create_task(self._compute(batch))
                self._running.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()

    def _take(self) -> list[_Waiting[T, R]]:
        """Take callers in order while they fit; those who have gone away are left out."""
        taken: list[_Waiting[T, R]] = []
        size = 0
        while self._queue and (not taken or size + len(self._queue[0].items) <= self._most):
            waiting = self._queue.popleft()
            self._size -= len(waiting.items)
            if not waiting.future.done():
                taken.append(waiting)
                size += len(waiting.items)
        return taken

    async def _compute(self, batch: list[_Waiting[T, R]]) -> None:
        items = [item for each in batch for item in each.items]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            results = await self._work(items)
        except Exception as error:
            for each in batch:
                if not each.future.done():
                    each.future.set_exception(error)
            return
        self._observer(len(items), loop.time() - begun)
        start = 0
        for each in batch:
            end = start + len(each.items)
            if not each.future.done():
                each.future.set_result(results[start:end])
            start = end
