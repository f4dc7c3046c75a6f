from __future__ import annotations

import os
import signal
from pathlib import Path

import orjson
import pytest

from ctiforge.serve.classify_worker import AskedText, ClassifierPlan, ClassifyWorker, records_of

ASKED = [AskedText("a", "SQL injection in the login allows attackers", 2), AskedText("b", "nothing", 1)]


@pytest.mark.slow
def test_another_process_answers_the_same_and_is_replaced_when_killed(tiny_model: Path) -> None:
    plan = ClassifierPlan(str(tiny_model), "mitre", 5, 1)
    here = records_of(plan.build(), ASKED)
    assert [orjson.loads(each)["id"] for each in here] == ["a", "b"]
    assert len(orjson.loads(here[0])["suggestions"]) == 2
    worker = ClassifyWorker(plan)
    try:
        assert worker.run(ASKED) == here
        (process,) = worker._pool._processes
        os.kill(process, signal.SIGKILL)
        assert worker.run(ASKED) == here
    finally:
        worker.close()
