"""The picture of drift: one row a measure, one point a period, with interval and threshold; equal bytes for equal reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ctiforge.core.errors import MissingExtraError
from ctiforge.core.svg_figures import plain_style, svg_text
from ctiforge.triage.drift import DriftReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_drift"]

_NAMES: Final = ("label_psi", "confidence_psi", "text_shift", "abstention", "override")
_MOST_LABELS: Final = 24
_QUIET, _ALARM, _LINE = "#0b66c2", "#c4560b", "#656d76"


def draw_drift(report: DriftReport) -> str:
    """Return the picture as SVG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "triage") from None
    names = [name for name in _NAMES if any(each.name == name for period in report.periods for each in period.measures)]
    with plain_style():
        figure = Figure(figsize=(8, 0.6 + 1.4 * max(1, len(names))), layout="constrained")
        panels = figure.subplots(max(1, len(names)), sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, names, strict=False):
            _draw(axes, report, name)
        panels[0].set_title(f"reference {report.reference}, {report.reference_items:,} items")
        panels[-1].tick_params(axis="x", rotation=60)
        return svg_text(figure)


def _draw(axes: Axes, report: DriftReport, name: str) -> None:
    axes.set_ylabel(name.replace("_", " "))
    every = -(-len(report.periods) // _MOST_LABELS)  # the newest period always has its label
    places = range(len(report.periods) - 1, -1, -every)
    axes.set_xticks(list(places), [report.periods[place].period for place in places])
    for place, period in enumerate(report.periods):
        for each in period.measures:
            if each.name == name:
                colour = _ALARM if each.alarms else _QUIET
                axes.plot([place, place], [each.interval.low, each.interval.high], color=colour, linewidth=2)
                axes.plot([place], [each.value], marker="o", color=colour)
                threshold = each.threshold
    axes.axhline(threshold, color=_LINE, linewidth=0.8, linestyle="--")
    if name in ("abstention", "override"):
        axes.axhline(-threshold, color=_LINE, linewidth=0.8, linestyle="--")
