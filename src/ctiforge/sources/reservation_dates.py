"""When a CVE record without a date was reserved, judged by its ID.

CVE IDs of one year are handed out in two rising series: small numbers (below 20000) and five-digit blocks. Between two IDs of
one series whose reservation dates are known (``dateReserved`` in the CVE list), the date of a third is interpolated. Blocks
that were given to large vendors in advance are older than their publication, so the estimate says 'not published before',
never 'published on'.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import date, timedelta

__all__ = ["ReservationCalendar"]

_BLOCK_SERIES = 20_000


class ReservationCalendar:
    """Estimates reservation dates from known ones."""

    def __init__(self, reserved: Mapping[str, date]) -> None:
        self._series: dict[tuple[int, bool], list[tuple[int, date]]] = {}
        for cve_id, day in reserved.items():
            year, number = _parts(cve_id)
            self._series.setdefault((year, number >= _BLOCK_SERIES), []).append((number, day))
        for known in self._series.values():
            known.sort()

    def estimate(self, cve_id: str) -> date:
        """Return the estimated reservation date of `cve_id` (``CVE-2025-53000``).

        A known ID gets its own date. One below the first known ID counts from 1 January (or from the first known date, where
        that is earlier: the first IDs of a year are reserved before it begins); one beyond the last known ID gets the last
        known date; a series without known dates gives 1 July.
        """
        year, number = _parts(cve_id)
        known = self._series.get((year, number >= _BLOCK_SERIES))
        if not known:
            return date(year, 7, 1)
        place = bisect_left(known, (number, date.min))
        if place == len(known):
            return known[-1][1]
        upper_number, upper_day = known[place]
        if number == upper_number:
            return upper_day
        if place == 0:
            lower_number = _BLOCK_SERIES if number >= _BLOCK_SERIES else 0
            lower_day = min(date(year, 1, 1), upper_day)
        else:
            lower_number, lower_day = known[place - 1]
        share = (number - lower_number) / (upper_number - lower_number)
        return lower_day + timedelta(days=int(share * (upper_day - lower_day).days))


def _parts(cve_id: str) -> tuple[int, int]:
    _, year, number = cve_id.split("-")
    return int(year), int(number)
