from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import orjson
import pytest

from ctiforge.core.errors import CtiforgeError
from ctiforge.serve.classify_worker import AskedText, ClassifierPlan, ClassifyWorkers, records_of

ASKED = [AskedText("a", "SQL injection in the login allows attackers", 2), AskedText("b", "nothing", 1)]


@pytest.mark.slow
@pytest.mark.enable_socket
def test_other_processes_answer_the_same_and_are_replaced_when_killed(tiny_model: Path) -> None:
    plan = ClassifierPlan(str(tiny_model), "mitre", 5, 1)
    here = records_of(plan.build(), ASKED)
    assert [orjson.loads(each)["id"] for each in here] == ["a", "b"]
    assert len(orjson.loads(here[0])["suggestions"]) == 2

    async def run() -> None:
        workers = ClassifyWorkers(plan, 2)
        try:
            await workers.start()
            assert await asyncio.gather(*(workers.run(ASKED) for _ in range(9))) == [here] * 9
            for seat in workers._seats:
                assert seat.process is not None
                assert seat.process.process.pid is not None
                os.kill(seat.process.process.pid, signal.SIGKILL)
            assert await asyncio.gather(*(workers.run(ASKED) for _ in range(9))) == [here] * 9
        finally:
            await workers.close()

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.enable_socket
def test_what_fails_in_the_process_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        workers = ClassifyWorkers(ClassifierPlan(str(tmp_path), "mitre", 5, 1))
        try:
            with pytest.raises(CtiforgeError, match=r"manifest\.json"):
                await workers.run(ASKED)
        finally:
            await workers.close()

    asyncio.run(run())
