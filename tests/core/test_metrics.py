from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.metrics import expected_calibration_error, wilson_interval


def test_wilson_interval_known_value() -> None:
    # Newcombe 1998, Statistics in Medicine 17(8), table I, method 3: 81 of 263.
    interval = wilson_interval(81, 263)
    assert interval.low == pytest.approx(0.2553, abs=1e-4)
    assert interval.high == pytest.approx(0.3662, abs=1e-4)


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_interval_holds_the_share(successes: int, failures: int) -> None:
    n = successes + failures
    interval = wilson_interval(successes, n)
    assert 0 <= interval.low <= interval.high <= 1
    if n:
        assert interval.low - 1e-9 <= successes / n <= interval.high + 1e-9


def test_calibration_error_by_hand() -> None:
    # Two bins of two: sure 0.9 and right once, 0.3 and right never.
    probabilities = np.array([0.9, 0.9, 0.3, 0.3])
    right = np.array([True, False, False, False])
    assert expected_calibration_error(probabilities, right, bins=2) == pytest.approx(0.5 * 0.4 + 0.5 * 0.3)


def test_calibration_error_of_perfect_and_no_answers() -> None:
    assert expected_calibration_error(np.ones(5), np.ones(5, dtype=bool)) == 0
    assert expected_calibration_error(np.empty(0), np.empty(0, dtype=bool)) == 0
