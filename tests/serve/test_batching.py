from __future__ import annotations

import asyncio
import threading

import pytest

from ctiforge.serve.batching import MicroBatcher, OneThread
from ctiforge.serve.rates import RateLimiter


def test_what_comes_together_is_computed_together_and_goes_back_to_whom_it_belongs() -> None:
    sizes: list[int] = []

    async def work(items: list[int]) -> list[int]:
        return [each * 10 for each in items]

    async def run() -> list[list[int]]:
        batcher = MicroBatcher[int, int](work, most=100, wait=0.02, observer=lambda n, _: sizes.append(n))
        found = await asyncio.gather(*(batcher.submit([i, i + 1]) for i in range(8)))
        await batcher.close()
        return [list(each) for each in found]

    assert asyncio.run(run()) == [[i * 10, i * 10 + 10] for i in range(8)]
    assert sizes == [16]


def test_a_batch_has_a_limit_and_a_larger_caller_one_of_its_own() -> None:
    sizes: list[int] = []

    async def work(items: list[int]) -> list[int]:
        sizes.append(len(items))
        return items

    async def run() -> None:
        batcher = MicroBatcher[int, int](work, most=4, wait=0.0)
        found = await asyncio.gather(*(batcher.submit(list(range(n))) for n in (3, 2, 9, 1)))
        assert [len(each) for each in found] == [3, 2, 9, 1]
        await batcher.close()

    asyncio.run(run())
    assert sizes == [3, 2, 9, 1]


def test_a_failure_reaches_every_caller_and_the_next_batch_is_served() -> None:
    async def work(items: list[int]) -> list[int]:
        if 0 in items:
            raise ValueError("zero")
        return items

    async def run() -> None:
        batcher = MicroBatcher[int, int](work, most=10, wait=0.01)
        found = await asyncio.gather(batcher.submit([0]), batcher.submit([1]), return_exceptions=True)
        assert [type(each) for each in found] == [ValueError, ValueError]
        assert await batcher.submit([2]) == [2]
        await batcher.close()

    asyncio.run(run())


def test_a_caller_that_goes_away_takes_nobody_along() -> None:
    began, go_on = threading.Event(), threading.Event()

    def work(items: list[int]) -> list[int]:
        began.set()
        assert go_on.wait(10)
        return items

    async def run() -> None:
        thread = OneThread(work)
        batcher = MicroBatcher[int, int](thread, most=1, wait=0.0)
        first, gone, last = (asyncio.create_task(batcher.submit([i])) for i in range(3))
        await asyncio.to_thread(began.wait, 10)
        gone.cancel()
        first.cancel()
        go_on.set()
        assert await last == [2]
        await batcher.close()
        thread.close()

    asyncio.run(run())


def test_a_second_batch_is_handed_over_early_once_it_is_half_full() -> None:
    begun: list[int] = []

    async def run() -> None:
        go_on = asyncio.Event()

        async def work(items: list[int]) -> list[int]:
            begun.append(len(items))
            await go_on.wait()
            return items

        batcher = MicroBatcher[int, int](work, most=4, wait=0.0, at_once=2)
        tasks = [asyncio.create_task(batcher.submit([0] * 4))]
        await asyncio.sleep(0.01)
        tasks.append(asyncio.create_task(batcher.submit([1])))
        await asyncio.sleep(0.01)
        assert begun == [4]  # one item is not worth a batch of its own while another is computed
        tasks += [asyncio.create_task(batcher.submit([i])) for i in (2, 3)]
        await asyncio.sleep(0.01)
        assert begun == [4, 2]
        go_on.set()
        assert await asyncio.gather(*tasks) == [[0] * 4, [1], [2], [3]]
        await batcher.close()

    asyncio.run(run())
    assert begun == [4, 2, 1]


def test_closing_finishes_what_waits() -> None:
    async def work(items: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return items

    async def run() -> None:
        batcher = MicroBatcher[int, int](work, most=2, wait=60.0)
        tasks = [asyncio.create_task(batcher.submit([i])) for i in range(3)]
        gone = asyncio.create_task(batcher.submit([3]))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(batcher.close(), 10)
        assert await asyncio.gather(*tasks) == [[0], [1], [2]]

    asyncio.run(run())


def test_closing_is_quiet_when_all_who_wait_have_gone() -> None:
    async def work(items: list[int]) -> list[int]:
        return items

    async def run() -> None:
        batcher = MicroBatcher[int, int](work, most=2, wait=60.0)
        gone = asyncio.create_task(batcher.submit([1]))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        await asyncio.wait_for(batcher.close(), 10)

    asyncio.run(run())


def test_a_bucket_lets_a_burst_through_and_fills_with_time() -> None:
    limiter = RateLimiter(60)  # one a second, bursts of six
    assert [limiter.wait("a", 0.0) for _ in range(6)] == [0.0] * 6
    assert limiter.wait("a", 0.0) == pytest.approx(1.0)
    assert limiter.wait("b", 0.0) == 0.0
    assert limiter.wait("a", 1.0) == 0.0
    assert limiter.wait("a", 1.0) > 0
    assert RateLimiter(0).wait("a", 0.0) == 0.0
