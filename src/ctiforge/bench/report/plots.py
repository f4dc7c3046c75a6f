"""The plots of the HTML report: what is drawn, and the sentence that says what it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ctiforge.bench.report.drawing import ACCENT, GRID, INK, MUTED, PAPER, SECOND, bare, inline_svg, new_figure, style
from ctiforge.bench.report.entries import Entry, group_by_task
from ctiforge.bench.report.findings import (
    accuracy_finding,
    confusion_finding,
    label_finding,
    letter_finding,
    reliability_finding,
    sensitivity_finding,
)
from ctiforge.bench.report.wording import escape_html, plain
from ctiforge.core.metrics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Plot", "accuracy_plots", "entry_figures", "entry_plots"]

_WIDTH: Final = 7.6
_LABELS: Final = 20
_FAMILIES: Final = {
    "CWE-284": "access control",
    "CWE-435": "interaction",
    "CWE-664": "resource lifetime",
    "CWE-682": "calculation",
    "CWE-691": "control flow",
    "CWE-693": "protection mechanism",
    "CWE-697": "comparison",
    "CWE-703": "exceptional conditions",
    "CWE-707": "neutralization",
    "CWE-710": "coding standards",
}


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot for a page.

    Attributes:
        title: the finding, plain text.
        note: how to read it, plain text.
        svg: an ``<svg>`` element, foreign text in it escaped.
    """

    title: str
    note: str
    svg: str


@dataclass(frozen=True, slots=True)
class _Drawn:
    title: str
    note: str
    figure: Figure


def accuracy_plots(entries: Sequence[Entry]) -> tuple[Plot, ...]:
    """Return accuracy with its interval, one plot a task with a valid trial.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    groups = [group for group in group_by_task(entries).values() if any(entry.accuracy for entry in group)]
    with style():
        return tuple(_plot(_accuracy(group), f"accuracy{place}") for place, group in enumerate(groups))


def entry_plots(entry: Entry, key: str) -> tuple[Plot, ...]:
    """Return the plots of one model on one task.

    Args:
        key: unique on the page.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with style():
        return tuple(_plot(drawn, f"{key}-{place}") for place, drawn in enumerate(_entry_drawings(entry)))


def entry_figures(entry: Entry) -> list[Figure]:
    """Return the figures of `entry_plots`, for any other format that matplotlib writes; draw them inside `style`."""
    return [drawn.figure for drawn in _entry_drawings(entry)]


def _entry_drawings(entry: Entry) -> list[_Drawn]:
    draw: tuple[Callable[[Entry], _Drawn | None], ...] = (_sensitivity, _letters, _labels, _confusion, _reliability)
    return [drawn for each in draw if (drawn := each(entry)) is not None]


def _plot(drawn: _Drawn, key: str) -> Plot:
    return Plot(drawn.title, drawn.note, inline_svg(drawn.figure, key, escape_html(f"{drawn.title}. {drawn.note}")))


def _accuracy(entries: Sequence[Entry]) -> _Drawn:
    shown = [(entry, entry.accuracy) for entry in entries if entry.accuracy]
    figure = new_figure(_WIDTH, 0.75 + 0.36 * len(shown))
    axes = figure.subplots()
    bare(axes)
    for place, (_, part) in enumerate(shown):
        low, high = part.get("ci95_low"), part.get("ci95_high")
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=ACCENT, linewidth=2.2, solid_capstyle="round", alpha=0.55)
        axes.plot([part["mean"]], [place], "o", color=ACCENT, markersize=7)
        axes.annotate(f"{part['mean']:.3f}", (part["mean"], place), (0, 7), textcoords="offset points", ha="center", fontsize=9)
    floor = next((entry.task["metrics"].get("majority_baseline") for entry, _ in shown), None)
    note = "Dot: mean over valid trials. Line: 95 % interval over items."
    if floor is not None:
        axes.axvline(floor, color=SECOND, linewidth=1.2, linestyle=(0, (4, 3)))
        note += f" Dashed: always the commonest letter, {floor:.3f}."
    axes.set_yticks(range(len(shown)), [_short(entry.label) for entry, _ in shown])
    axes.set_ylim(len(shown) - 0.4, -0.75)
    axes.set_xlabel("strict accuracy")
    values = [
        value for _, part in shown for value in (part["mean"], part.get("ci95_low"), part.get("ci95_high")) if value is not None
    ]
    values += [] if floor is None else [floor]
    axes.set_xlim(max(0.0, min(values) - 0.05), min(1.0, max(values) + 0.05))
    return _Drawn(accuracy_finding(entries), note, figure)


def _sensitivity(entry: Entry) -> _Drawn | None:
    rows = [row for row in entry.task["sensitivity"] if row.get("accuracy") is not None]
    if len(rows) < 2:
        return None
    figure = new_figure(_WIDTH, 0.85 + 0.32 * len(rows))
    axes = figure.subplots()
    bare(axes)
    for place, row in enumerate(rows):
        parsed = row.get("accuracy_of_parsed")
        if parsed is not None:
            axes.plot([row["accuracy"], parsed], [place, place], color=GRID, linewidth=2)
            axes.plot([parsed], [place], "o", color=PAPER, markeredgecolor=SECOND, markeredgewidth=1.6, markersize=7)
        axes.plot([row["accuracy"]], [place], "o", color=ACCENT, markersize=7)
    axes.set_yticks(range(len(rows)), [_short(row["rule"]) + (" (used)" if row.get("is_default") else "") for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("accuracy of the same completions")
    note = "Filled: over all items. Hollow: over the items that the rule could read."
    return _Drawn(sensitivity_finding(entry), note, figure)


def _letters(entry: Entry) -> _Drawn | None:
    letters: Sequence[Mapping[str, Any]] = entry.task["metrics"].get("per_letter") or []
    golds, answers = (sum(letter.get(key) or 0 for letter in letters) for key in ("golds", "answers"))
    if not golds or not answers:
        return None
    figure = new_figure(_WIDTH, 2.9)
    shares, right = figure.subplots(1, 2, sharey=False)
    names = [plain(letter["letter"], 4) for letter in letters]
    places = range(len(letters))
    shares.bar(
        [place - 0.2 for place in places], [letter["golds"] / golds for letter in letters], 0.38, color=MUTED, alpha=0.45
    )
    shares.bar([place + 0.2 for place in places], [letter["answers"] / answers for letter in letters], 0.38, color=ACCENT)
    shares.set_ylabel("share")
    shares.set_xlabel("letter: golds (grey) and answers (blue)")
    right.bar(list(places), [letter.get("accuracy") or 0.0 for letter in letters], 0.55, color=ACCENT, alpha=0.8)
    if entry.accuracy:
        right.axhline(entry.accuracy["mean"], color=SECOND, linewidth=1.2, linestyle=(0, (4, 3)))
    right.set_ylim(0, 1)
    right.set_ylabel("accuracy")
    right.set_xlabel("letter of the gold answer")
    for axes in (shares, right):
        bare(axes, grid="")
        axes.set_xticks(list(places), names)
        for bar in axes.patches:
            height, middle = bar.get_height(), bar.get_x() + bar.get_width() / 2
            axes.annotate(
                f"{height:.2f}",
                (middle, height),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
            )
    shares.margins(y=0.12)
    note = "Left: how often a letter is right and how often it is answered. Right: accuracy by gold letter; dashed: overall."
    return _Drawn(letter_finding(letters), note, figure)


def _labels(entry: Entry) -> _Drawn | None:
    labels = [
        label
        for label in (entry.task["metrics"].get("per_label") or [])[:_LABELS]
        if label.get("accuracy") is not None and label["n"]
    ]
    if not labels:
        return None
    figure = new_figure(_WIDTH, 0.8 + 0.27 * len(labels))
    axes = figure.subplots()
    bare(axes)
    for place, label in enumerate(labels):
        interval = wilson_interval(round(label["accuracy"] * label["n"]), label["n"])
        for colour, alpha in ((PAPER, 1.0), (ACCENT, 0.6)):  # the grid must not shine through
            axes.barh(place, label["accuracy"], 0.62, color=colour, alpha=alpha)
        axes.plot([interval.low, interval.high], [place, place], color=INK, linewidth=1.2)
    axes.set_yticks(range(len(labels)), [f"{_short(label['label'])} (n = {label['n']:,})" for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy")
    note = f"The {len(labels)} commonest gold labels. Bar: accuracy over valid trials. Line: 95 % Wilson interval over items."
    return _Drawn(label_finding([{**label, "label": plain(label["label"], 40)} for label in labels]), note, figure)


def _confusion(entry: Entry) -> _Drawn | None:
    families = entry.task["metrics"].get("families") or {}
    matrix: Sequence[Sequence[int]] = families.get("matrix") or []
    labels = [_family(label) for label in families.get("labels") or []]
    unanswered = families.get("unanswered") or [0] * len(labels)
    if not sum(map(sum, matrix)):
        return None
    golds = [place for place, row in enumerate(matrix) if sum(row) + unanswered[place]]
    answers = [place for place in range(len(labels)) if any(row[place] for row in matrix)]
    heads = [labels[place] for place in answers] + (["no answer"] if any(unanswered) else [])
    rows = [[matrix[gold][answer] for answer in answers] + ([unanswered[gold]] if any(unanswered) else []) for gold in golds]
    figure = new_figure(_WIDTH, 1.9 + 0.42 * len(rows))
    axes = figure.subplots()
    bare(axes, grid="")
    for line, row in enumerate(rows):
        for column, count in enumerate(row):
            share = count / sum(row)
            own = column < len(answers) and answers[column] == golds[line]
            colour = ACCENT if own else SECOND
            axes.fill_between(
                [column - 0.48, column + 0.48], line - 0.46, line + 0.46, color=colour, alpha=0.6 * share, linewidth=0
            )
            if count:
                axes.text(column, line, f"{share:.0%}" if share >= 0.005 else "<1%", ha="center", va="center", fontsize=9)
    axes.set_xticks(range(len(heads)), heads, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), [f"{labels[gold]} (n = {sum(row):,})" for gold, row in zip(golds, rows, strict=True)])
    axes.set_xlim(-0.5, len(heads) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("family of the answer")
    axes.set_ylabel("family of the gold")
    axes.tick_params(labelcolor=INK)
    note = (
        "Families are the pillars of View-1000. Each row is a gold family and adds up to 100 %; "
        "blue: the same family, orange: another."
    )
    return _Drawn(confusion_finding(labels, matrix), note, figure)


def _reliability(entry: Entry) -> _Drawn | None:
    reliability = entry.task["metrics"].get("reliability") or {}
    bins = [each for each in reliability.get("bins") or [] if each["n"] and each["accuracy"] is not None]
    if not bins:
        return None
    figure = new_figure(_WIDTH * 0.72, 4.6)
    curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    bare(curve, grid="both")
    bare(counts, grid="")
    curve.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for each in bins:
        curve.plot([each["confidence"]] * 2, [each["confidence"], each["accuracy"]], color=SECOND, linewidth=2, alpha=0.6)
    curve.plot([each["confidence"] for each in bins], [each["accuracy"] for each in bins], "o-", color=ACCENT, linewidth=1.4)
    curve.set_xlim(0, 1)
    curve.set_ylim(0, 1)
    curve.set_ylabel("accuracy")
    total = sum(each["n"] for each in bins)
    for each in bins:
        counts.bar(
            (each["low"] + each["high"]) / 2, each["n"] / total, (each["high"] - each["low"]) * 0.92, color=MUTED, alpha=0.5
        )
    counts.set_ylabel("share")
    counts.set_xlabel("probability that the model gives its answer")
    note = (
        "Dots: accuracy by the model's own probability; on the dashed line it would be perfectly calibrated. "
        "Below: share of answers."
    )
    return _Drawn(reliability_finding(bins, reliability.get("ece")), note, figure)


def _family(label: object) -> str:
    return _FAMILIES.get(str(label), plain(label, 24))


def _short(text: object) -> str:
    return plain(text, 34)
