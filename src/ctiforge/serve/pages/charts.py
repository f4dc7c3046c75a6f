"""Geometry of the charts. Colours are the style sheet's, so that a chart follows light and dark and needs no inline style.

A chart is drawn by a template from these values, in units of its view box, 480 wide; y grows downwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ctiforge.triage import CalibrationBin, DayOfWork, DriftReport

__all__ = ["CHART", "Bars", "Frame", "Mark", "Panel", "Tick", "calibration_marks", "day_bars", "drift_panels", "nice_step"]


@dataclass(frozen=True, slots=True)
class Frame:
    """The plotting area inside the view box."""

    left: float
    top: float
    right: float
    bottom: float

    def x(self, share: float) -> float:
        """Return the place of a share of the width."""
        return round(self.left + share * (self.right - self.left), 2)

    def y(self, share: float) -> float:
        """Return the place of a share of the height, from the bottom."""
        return round(self.bottom - share * (self.bottom - self.top), 2)


CHART: Final = Frame(48, 12, 472, 228)
_SMALL: Final = Frame(56, 14, 472, 94)
_LINE: Final = 14
"""Height of a label."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked bars: `pieces` are (class, x, y, width, height)."""

    pieces: tuple[tuple[str, float, float, float, float], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point with its interval; `title` says it in words."""

    x: float
    y: float
    low: float
    high: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure of drift over periods; `zero` is the height of no drift."""

    name: str
    marks: tuple[Mark, ...]
    zero: float
    thresholds: tuple[float, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def day_bars(days: Sequence[DayOfWork], frame: Frame = CHART) -> Bars:
    """Return a bar a day: accepted, corrected, rejected, from the bottom up."""
    step = nice_step(max((each.accepted + each.corrected + each.rejected for each in days), default=0))
    top = step * 4
    width = (frame.right - frame.left) / max(1, len(days))
    pieces = []
    for number, each in enumerate(days):
        below = 0
        for kind, n in (("accepted", each.accepted), ("corrected", each.corrected), ("rejected", each.rejected)):
            if n:
                upper = frame.y((below + n) / top)
                height = round(frame.y(below / top) - upper, 2)
                pieces.append((kind, round(frame.left + number * width + width * 0.1, 2), upper, round(width * 0.8, 2), height))
                below += n
    every = max(1, math.ceil(len(days) / 5))
    places = range(len(days) - 1, -1, -every)
    x_ticks = tuple(Tick(round(frame.left + (place + 0.5) * width, 2), days[place].day[5:]) for place in reversed(places))
    return Bars(tuple(pieces), x_ticks, tuple(Tick(frame.y(n / 4), f"{n * step:,}") for n in range(5)))


def nice_step(largest: float) -> int:
    """Return 1, 2 or 5 times a power of ten, of which four reach `largest`."""
    wanted = max(1.0, largest / 4)
    power = 10 ** math.floor(math.log10(wanted))
    return next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= wanted)


def calibration_marks(bins: Sequence[CalibrationBin], frame: Frame = CHART) -> tuple[Mark, ...]:
    """Return a point for each bin: across what the model promised, up what people agreed with."""
    return tuple(
        Mark(
            x=frame.x(each.expected),
            y=frame.y(each.agreed / each.n),
            low=frame.y(each.interval.low),
            high=frame.y(each.interval.high),
            kind="calm" if each.interval.low <= each.expected <= each.interval.high else "alarm",
            title=f"probability {each.expected:.2f}: {each.agreed} of {each.n} agreed",
        )
        for each in bins
    )


def drift_panels(report: DriftReport, frame: Frame = _SMALL) -> tuple[Panel, ...]:
    """Return a panel for each measure that a period has."""
    names = list(dict.fromkeys(each.name for period in report.periods for each in period.measures))
    n = len(report.periods)
    places = [frame.x((number + 0.5) / n) for number in range(n)]
    every = max(1, math.ceil(n / 6))
    ticks = tuple(Tick(places[k], report.periods[k].period) for k in reversed(range(n - 1, -1, -every)))
    return tuple(_panel(report, name, places, ticks, frame) for name in names)


def _panel(report: DriftReport, name: str, places: Sequence[float], ticks: tuple[Tick, ...], frame: Frame) -> Panel:
    found = [
        (place, period.period, each)
        for place, period in zip(places, report.periods, strict=True)
        for each in period.measures
        if each.name == name
    ]
    threshold = found[0][2].threshold
    thresholds = [threshold, -threshold] if name in ("abstention", "override") else [threshold]
    values = [*thresholds, 0.0, *(edge for _, _, each in found for edge in (each.interval.low, each.interval.high, each.value))]
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or 0.1
    low, high = low - margin, high + margin

    def y(value: float) -> float:
        return frame.y((value - low) / (high - low))

    marks = tuple(
        Mark(
            place, y(each.value), y(each.interval.low), y(each.interval.high), "alarm" if each.alarms else "calm",
            f"{period}: {each.value:.3f}, {each.interval.low:.3f} to {each.interval.high:.3f}",
        )
        for place, period, each in found
    )  # fmt: skip
    labels = [Tick(y(value), f"{value:g}") for value in thresholds]
    if all(abs(each.at - y(0.0)) >= _LINE for each in labels):
        labels.append(Tick(y(0.0), "0"))
    return Panel(name, marks, y(0.0), tuple(map(y, thresholds)), ticks, tuple(labels))
