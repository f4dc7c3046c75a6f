"""Figures as SVG files in one plain style; equal bytes for equal data. Needs matplotlib, which is imported here only when
it is used."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plain_style", "svg_text"]

_SETTINGS: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ctiforge",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d8dee4",
    "figure.facecolor": "white",
    "legend.frameon": False,
}
_METADATA: Final = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw in the plain style inside the block, whatever the user's matplotlib is set to.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for name, value in _SETTINGS.items():
            matplotlib.rcParams[name] = value  # type: ignore[index]
        yield


def svg_text(figure: Figure) -> str:
    """Return a figure as SVG without time and program."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _METADATA.sub("", stream.getvalue())
