"""How many requests a caller may make: a bucket of tokens for each, which fills with time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

__all__ = ["RateLimiter"]

_MOST_CALLERS: Final = 10_000
_BURST_SECONDS: Final = 6.0


class RateLimiter:
    """Token buckets by caller; of 10,000 callers those seen last are remembered.

    Args:
        per_minute: requests; 0 sets no limit.
    """

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60
        self._burst = max(1.0, self._rate * _BURST_SECONDS)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str, now: float) -> float:
        """Take a token; return 0, or the seconds until there is one.

        Args:
            now: seconds of a clock that does not jump.
        """
        if self._rate <= 0:
            return 0.0
        tokens, seen = self._buckets.pop(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - seen) * self._rate)
        short = max(0.0, 1.0 - tokens) / self._rate
        self._buckets[caller] = (tokens if short else tokens - 1.0, now)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        return short
