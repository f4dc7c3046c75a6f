from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import partial

import pytest

from ctiforge.core.errors import CtiforgeError
from ctiforge.core.processes import map_in_processes, one_thread_each, spare_garbage_collection


def _adding(summand: int) -> Callable[[int], int]:
    return lambda number: os._exit(1) if number < 0 else number + summand  # type: ignore[func-returns-value]


def test_results_come_in_the_order_of_the_chunks_and_a_dead_process_is_told() -> None:
    assert list(map_in_processes(range(20), partial(_adding, 100), 2)) == list(range(100, 120))
    with pytest.raises(CtiforgeError, match="ended unexpectedly"):
        list(map_in_processes([1, 2, -1, 3], partial(_adding, 1), 2))


def test_processes_get_one_thread_unless_the_user_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    with one_thread_each():
        assert (os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]) == ("1", "3")
    assert "OMP_NUM_THREADS" not in os.environ


def test_what_is_held_is_left_out_of_garbage_collection() -> None:
    before = gc.get_threshold()
    try:
        spare_garbage_collection()
        assert gc.get_freeze_count() > 1_000
        assert gc.get_threshold() > before
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
