"""Figures as inline SVG: one style, colours that follow the page's, equal bytes for equal data."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ctiforge.core.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ACCENT", "GRID", "INK", "MUTED", "PAPER", "SECOND", "bare", "inline_svg", "new_figure", "style"]

INK: Final = "#1b1f24"
MUTED: Final = "#656d76"
GRID: Final = "#d8dee4"
ACCENT: Final = "#0b66c2"
SECOND: Final = "#c4560b"
PAPER: Final = "#fefefd"
_VARIABLES: Final = {INK: "ink", MUTED: "muted", GRID: "grid", ACCENT: "accent", SECOND: "second", PAPER: "paper"}
"""Colours of a figure by the CSS variable of the page that takes their place."""

_SETTINGS: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ctiforge",
    "text.parse_math": False,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "axes.unicode_minus": True,
}
_METADATA: Final = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_FONT: Final = re.compile(r"(font(?:-family)?: [^;\"]*?)'DejaVu Sans'[^;\"]*")


@contextmanager
def style() -> Iterator[None]:
    """Draw in the report's style inside the block, whatever the user's matplotlib is set to.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise MissingExtraError("matplotlib", "bench") from None
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A name in a script that the measuring font lacks is drawn by the reader's own fonts.
        warnings.filterwarnings("ignore", r"(Glyph .* missing|Matplotlib currently does not support)", UserWarning)
        matplotlib.rcdefaults()
        for name, value in _SETTINGS.items():
            matplotlib.rcParams[name] = value  # type: ignore[index]
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches, one that no window and no global list knows."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def bare(axes: Axes, *, grid: str = "x") -> None:
    """Take away what carries no information: the box, the ticks, the grid across `grid`."""
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(False)
    if grid != "x":
        axes.tick_params(axis="y", labelcolor=MUTED)
    if grid:
        axes.grid(True, axis=grid)  # type: ignore[arg-type]


def inline_svg(figure: Figure, key: str, description: str) -> str:
    """Return the figure as an ``<svg>`` element for an HTML page.

    Args:
        key: unique on the page; every id in the element starts with it.
        description: escaped text for those who do not see it.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = stream.getvalue()
    svg = _METADATA.sub("", svg[svg.index("<svg") :]).strip()
    svg = svg.replace(' id="', f' id="{key}-').replace("url(#", f"url(#{key}-").replace('href="#', f'href="#{key}-')
    for colour, name in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = _FONT.sub(r"\1var(--font)", svg)
    head, body = svg.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{description}">{body}'
