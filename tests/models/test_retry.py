from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.models.retry import RetryPolicy, retry_after_seconds

NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("-2", 0.0),
        ("Mon, 05 Jan 2026 12:00:07 GMT", 7.0),
        ("Mon, 05 Jan 2026 14:00:09 +0200", 9.0),
        ("Mon, 05 Jan 2026 11:00:00 GMT", 0.0),
        ("Mon, 05 Jan 2026 12:00:07 -0000", 7.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value: str, seconds: float | None) -> None:
    assert retry_after_seconds({"retry-after": value}, NOON) == seconds


def test_no_header_asks_for_nothing() -> None:
    assert retry_after_seconds({}) is None


@given(st.text())
def test_any_header_gives_a_wait_that_can_be_slept_or_none(value: str) -> None:
    seconds = retry_after_seconds({"retry-after": value}, NOON)
    assert seconds is None or 0 <= seconds < float("inf")


@given(attempt=st.integers(1, 5000), seed=st.integers(), asked=st.none() | st.floats(0, 1e9))
def test_a_wait_is_bounded(attempt: int, seed: int, asked: float | None) -> None:
    policy = RetryPolicy(base_s=0.5, cap_s=8, retry_after_cap_s=60)
    wait = policy.delay(attempt, random.Random(seed), asked)
    if asked is None:
        assert 0 <= wait <= min(8, 0.5 * 2.0 ** min(attempt - 1, 10))
    else:
        assert min(asked, 60) <= wait <= min(asked, 60) + 0.5


def test_waits_grow_and_differ_between_clients_but_not_between_runs() -> None:
    policy = RetryPolicy(base_s=1, cap_s=1000)
    means = [sum(policy.delay(attempt, random.Random(seed)) for seed in range(300)) / 300 for attempt in (1, 2, 3, 4)]
    assert means == pytest.approx([0.5, 1, 2, 4], rel=0.15)
    assert policy.delay(3, random.Random(7)) == policy.delay(3, random.Random(7)) != policy.delay(3, random.Random(8))
