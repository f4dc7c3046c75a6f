"""Pictures of the datasheet as SVG; equal bytes for equal counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ctiforge.core.svg_figures import plain_style, svg_text
from ctiforge.corpus.datasheet import LENGTH_BINS
from ctiforge.corpus.outputs import SPLITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_plots"]

_COLOURS = {"train": "#0b66c2", "development": "#c4560b"}


def draw_plots(sheet: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return pictures by file name, each as SVG and the text for those who do not see it.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    drawn: dict[str, tuple[str, str]] = {}
    with plain_style():
        for name, draw, height in (("labels", _labels, 6.0), ("years", _years, 3.0), ("lengths", _lengths, 3.0)):
            figure = Figure(figsize=(8, height), layout="constrained")
            text = draw(figure.subplots(), sheet)
            drawn[f"{name}.svg"] = (svg_text(figure), text)
    return drawn


def _labels(axes: Axes, sheet: Mapping[str, Any]) -> str:
    totals: Counter[str] = Counter()
    for counts in sheet["counts"].values():
        totals.update(counts.get("label", {}))
    names = sorted(totals, key=lambda name: (-totals[name], name))[:30]
    _bars(
        axes, {split: [sheet["counts"][split].get("label", {}).get(name, 0) for name in names] for split in SPLITS}, names, True
    )
    axes.invert_yaxis()
    axes.set_xlabel("records")
    return f"Records of the {len(names)} most frequent labels, by split."


def _years(axes: Axes, sheet: Mapping[str, Any]) -> str:
    years = sorted({year for counts in sheet["counts"].values() for year in counts.get("year", {})})
    _bars(
        axes, {split: [sheet["counts"][split].get("year", {}).get(year, 0) for year in years] for split in SPLITS}, years, False
    )
    axes.tick_params(axis="x", rotation=60)
    axes.set_ylabel("records")
    return "Records by the year of their object's date, by split."


def _lengths(axes: Axes, sheet: Mapping[str, Any]) -> str:
    names = [f"{low:,}" for low in LENGTH_BINS]
    _bars(axes, {split: sheet["lengths"][split]["prompt"] for split in SPLITS}, names, False)
    axes.set_xlabel("length of the prompt in characters, from")
    axes.set_ylabel("records")
    return "Records by the length of their prompt, by split."


def _bars(axes: Axes, heights: Mapping[str, list[int]], names: list[str], across: bool) -> None:
    places = list(range(len(names)))
    base = [0] * len(names)
    for split, values in heights.items():
        if across:
            axes.barh(places, values, left=base, color=_COLOURS[split], label=split)
        else:
            axes.bar(places, values, bottom=base, color=_COLOURS[split], label=split)
        base = [low + value for low, value in zip(base, values, strict=True)]
    if across:
        axes.set_yticks(places, names)
        axes.grid(visible=False, axis="y")
    else:
        axes.set_xticks(places, names)
        axes.grid(visible=False, axis="x")
    axes.legend()
