"""Micro-batching: what many clients ask at once is computed together, in one call in a thread of its own.

While a batch is computed the next one gathers, so that under load batches grow by themselves; only an idle server waits, a
few milliseconds, for others to come.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["BatchObserver", "MicroBatcher"]

T = TypeVar("T")
R = TypeVar("R")
BatchObserver = Callable[[int, float], None]
"""Takes the number of items of a batch and the seconds that it took."""


@dataclass(slots=True)
class _Waiting(Generic[T, R]):
    items: Sequence[T]
    future: asyncio.Future[Sequence[R]]


class MicroBatcher(Generic[T, R]):
    """Gathers items of concurrent callers.

    Args:
        work: takes items and returns as many results, in order; runs in one thread, one call at a time.
        most: items of a batch; a caller with more has a batch of its own.
        wait: seconds to wait for others when idle.
        observer: is told of every batch.
    """

    def __init__(
        self,
        work: Callable[[list[T]], Sequence[R]],
        *,
        most: int,
        wait: float,
        observer: BatchObserver = lambda items, seconds: None,
    ) -> None:
        self._work, self._most, self._wait, self._observer = work, most, wait, observer
        self._queue: deque[_Waiting[T, R]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ctiforge-batch")
        self._running: asyncio.Task[None] | None = None

    async def submit(self, items: Sequence[T]) -> Sequence[R]:
        """Return the results of `items`, in order.

        Raises:
            Exception: whatever `work` raised, for all callers of the batch.
        """
        waiting: _Waiting[T, R] = _Waiting(items, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await waiting.future

    async def close(self) -> None:
        """Finish what was accepted, and end the thread."""
        if self._running is not None:
            await self._running
        self._thread.shutdown()

    async def _run(self) -> None:
        try:
            if sum(len(each.items) for each in self._queue) < self._most:
                await asyncio.sleep(self._wait)
            while batch := self._take():
                await self._compute(batch)
        finally:
            self._running = None

    def _take(self) -> list[_Waiting[T, R]]:
        """Take callers in order while they fit; those who have gone away are left out."""
        taken: list[_Waiting[T, R]] = []
        size = 0
        while self._queue and (not taken or size + len(self._queue[0].items) <= self._most):
            waiting = self._queue.popleft()
            if not waiting.future.done():
                taken.append(waiting)
                size += len(waiting.items)
        return taken

    async def _compute(self, batch: list[_Waiting[T, R]]) -> None:
        items = [item for each in batch for item in each.items]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            results = await loop.run_in_executor(self._thread, self._work, items)
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
