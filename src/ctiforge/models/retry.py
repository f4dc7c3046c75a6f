"""How long to wait before asking a server again: exponential backoff with full jitter, and Retry-After where it is sent."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["RetryPolicy", "retry_after_seconds"]

_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often a request is repeated.

    Attributes:
        max_attempts: requests at most, the first one included.
        base_s: the first wait is drawn evenly from 0 to this many seconds, each later one from twice the range ("full jitter",
            M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015), so that many clients do not come back at
            the same moment.
        cap_s: the range grows to this at most.
        retry_after_cap_s: a server that asks for a longer wait than this is asked again after this.
    """

    max_attempts: int = 5
    base_s: float = 0.5
    cap_s: float = 30.0
    retry_after_cap_s: float = 120.0

    def delay(self, attempt: int, rng: random.Random, retry_after: float | None = None) -> float:
        """Return the seconds to wait after attempt `attempt` (from 1) failed.

        Args:
            retry_after: what the server asked for, in seconds; the wait is then that (bounded) and up to `base_s` more.
        """
        if retry_after is not None:
            return min(retry_after, self.retry_after_cap_s) + rng.uniform(0, self.base_s)
        return rng.uniform(0, min(self.cap_s, self.base_s * 2 ** min(attempt - 1, _MOST_DOUBLINGS)))


def retry_after_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, section 10.2.3), None without a readable one.

    Args:
        headers: with lower-case names; a number of seconds and an HTTP date are read.
        now: for dates; the present if None. A date in the past gives 0.
    """
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max((date - (now or datetime.now(UTC))).total_seconds(), 0.0)
