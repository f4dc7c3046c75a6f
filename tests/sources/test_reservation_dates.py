from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.sources.reservation_dates import ReservationCalendar

DAYS = st.dates(date(2098, 6, 1), date(2099, 12, 31))
SMALL = st.integers(0, 19_999)
BLOCK = st.integers(20_000, 99_999)


def cve(number: int, year: int = 2099) -> str:
    return f"CVE-{year}-{number:04}"


@st.composite
def rising(draw: st.DrawFn) -> dict[str, date]:
    """Known dates that rise with the number in each series, as real ones do."""
    known: dict[str, date] = {}
    for numbers in (SMALL, BLOCK):
        chosen = sorted(draw(st.sets(numbers, max_size=6)))
        days = sorted(draw(st.lists(DAYS, min_size=len(chosen), max_size=len(chosen))))
        known |= {cve(number): day for number, day in zip(chosen, days, strict=True)}
    return known


@given(rising())
def test_known_dates_come_back(known: dict[str, date]) -> None:
    calendar = ReservationCalendar(known)
    assert {cve_id: calendar.estimate(cve_id) for cve_id in known} == known


@given(rising(), st.sampled_from([SMALL, BLOCK]).flatmap(lambda series: st.lists(series, min_size=2, max_size=20)))
def test_estimates_rise_within_a_series(known: dict[str, date], numbers: list[int]) -> None:
    calendar = ReservationCalendar(known)
    days = [calendar.estimate(cve(number)) for number in sorted(numbers)]
    assert days == sorted(days)


@given(rising(), SMALL | BLOCK)
def test_estimates_stay_between_their_neighbours(known: dict[str, date], number: int) -> None:
    days = [day for cve_id, day in known.items() if (int(cve_id[9:]) >= 20_000) == (number >= 20_000)]
    day = ReservationCalendar(known).estimate(cve(number))
    if days:
        assert min(*days, date(2099, 1, 1)) <= day <= max(days)
    else:
        assert day == date(2099, 7, 1)


@given(st.integers(1999, 2099), SMALL | BLOCK)
def test_a_year_without_known_dates_gives_its_middle(year: int, number: int) -> None:
    calendar = ReservationCalendar({cve(10, year - 1): date(year - 1, 5, 5)} if year > 1999 else {})
    assert calendar.estimate(cve(number, year)) == date(year, 7, 1)


def test_halfway_is_halfway() -> None:
    calendar = ReservationCalendar({cve(1000): date(2099, 3, 1), cve(2000): date(2099, 3, 31)})
    assert calendar.estimate(cve(1500)) == date(2099, 3, 16)
    assert calendar.estimate(cve(500)) == date(2099, 1, 1) + timedelta(days=29)
    assert calendar.estimate(cve(2001)) == date(2099, 3, 31)


def test_series_do_not_mix() -> None:
    calendar = ReservationCalendar(
        {cve(19_999): date(2099, 12, 1), cve(20_000): date(2099, 1, 15), cve(30_000): date(2099, 2, 1)}
    )
    assert calendar.estimate(cve(19_998)) > date(2099, 11, 1)
    assert calendar.estimate(cve(20_000)) == date(2099, 1, 15)
    assert date(2099, 1, 15) <= calendar.estimate(cve(25_000)) <= date(2099, 2, 1)


@pytest.mark.parametrize("number", [0, 1, 20_000, 20_001])
def test_the_first_ids_of_a_year_may_be_reserved_before_it(number: int) -> None:
    early = date(2098, 12, 10)
    calendar = ReservationCalendar({cve(1): early, cve(20_001): early})
    assert calendar.estimate(cve(number)) == early
