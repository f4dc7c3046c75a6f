"""The pictures of a model card as SVG: equal bytes for equal results with the same matplotlib."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from ctiforge.core.files import sha256

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_calibration", "draw_coverage", "drawn_from"]

_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ctiforge",
    "text.parse_math": False,
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d8dee4",
    "figure.facecolor": "white",
    "legend.frameon": False,
}
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_BLUE, _ORANGE, _GREY = "#0b66c2", "#c4560b", "#57606a"
_SMALL_BIN = 30


def drawn_from(points: Any) -> str:
    """Return the mark that a picture carries of the numbers in it, to tell whether they are still the results'."""
    return f"<!-- drawn from numbers with SHA-256 {sha256(repr(points).encode())} -->"


def draw_calibration(results: dict[str, Any]) -> tuple[str, str]:
    """Return how often the first suggestion is right, by its probability: the picture, and the text for those who cannot see it."""
    dated, rcm = results["dated"], results["cti_rcm"]
    lines = [
        ("later CVEs", _BLUE, "o", dated["forward"]["reliability"]),
        ("development split", _ORANGE, "s", dated["development"]["reliability"]),
        ("cti-rcm, policy nvd", _GREY, "^", rcm["reliability"]),
    ]

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#8c959f", linewidth=1, linestyle="--")
        for label, colour, marker, bins in lines:
            axes.plot([b["probability"] for b in bins], [b["right"] for b in bins], color=colour, linewidth=1, alpha=0.6)
            for full in (True, False):
                some = [b for b in bins if (b["n"] >= _SMALL_BIN) == full]
                axes.plot(
                    [b["probability"] for b in some], [b["right"] for b in some], marker, color=colour, markersize=5,
                    markerfacecolor=colour if full else "white", clip_on=False, label=label if full else None,
                )  # fmt: skip
        axes.set(
            xlabel="probability of the first suggestion", ylabel="share that is right", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02)
        )
        axes.set_aspect("equal")
        axes.legend(loc="upper left", fontsize=9)

    return _picture(draw, lines, (5.2, 5.2)), (
        "How often the first suggestion is right, by its probability, in 15 bins; on the diagonal a probability is what it says. "
        f"Hollow: fewer than {_SMALL_BIN} answers."
    )


def draw_coverage(results: dict[str, Any]) -> tuple[str, str]:
    """Return the accuracy of the answers that the model is surest of, by the share of items answered; likewise."""
    rcm, forward = results["cti_rcm"], results["dated"]["forward"]
    lines = [
        (
            "later CVEs, any of the party's entries",
            _BLUE,
            forward["coverage_curve"],
            forward["policy_mitre"]["selective"],
            "mitre",
        ),
        ("cti-rcm, NVD's entry", _ORANGE, rcm["coverage_curve"], rcm["selective"], "nvd"),
    ]

    def draw(axes: Axes) -> None:
        for label, colour, curve, own, policy in lines:
            axes.plot([p["coverage"] for p in curve], [p["accuracy"] for p in curve], color=colour, label=label)
            axes.plot(
                [own["coverage"]], [own["accuracy_of_answers"]["value"]], "D", color=colour, markersize=7,
                label=f"at the model's own threshold, policy {policy}",
            )  # fmt: skip
        low = min(p["accuracy"] for _, _, curve, _, _ in lines for p in curve)
        axes.set(xlabel="share of items answered, the surest first", ylabel="accuracy of the answers", xlim=(0, 1.02))
        axes.set_ylim(max(0.0, low - 0.08), 1.01)
        axes.legend(loc="lower left", fontsize=9)

    return _picture(draw, lines, (6.4, 4.2)), (
        "Accuracy of the answers that the model is surest of, by the share of all items that they are. Diamonds: where the model "
        "stops by itself; policy mitre leaves out the answers that MITRE discourages, so its diamond lies off the curve."
    )


def _picture(draw: Any, points: Any, size: tuple[float, float]) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for name, value in _SETTINGS.items():
            matplotlib.rcParams[name] = value  # type: ignore[index]
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = "\n".join(line.rstrip() for line in _METADATA.sub("", stream.getvalue()).splitlines())
    return f"{text}\n{drawn_from(points)}\n"
