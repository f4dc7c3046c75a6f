"""What a plot shows, in one sentence: its title."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ctiforge.bench.report.entries import Entry

__all__ = [
    "accuracy_finding",
    "confusion_finding",
    "label_finding",
    "letter_finding",
    "reliability_finding",
    "sensitivity_finding",
]

_COMMON: Final = 20


def accuracy_finding(entries: Sequence[Entry]) -> str:
    """Say which model of a task leads, and whether the intervals tell the first two apart."""
    scored = [(entry, entry.accuracy) for entry in entries if entry.accuracy]
    if not scored:
        return f"{entries[0].name}: no valid trial"
    (first, best), *others = scored
    lead = f"{entries[0].name}: {first.label} scores {best['mean']:.3f}"
    if not others:
        return lead
    second, next_best = others[0]
    low, high = best.get("ci95_low"), next_best.get("ci95_high")
    if low is None or high is None:
        return f"{lead}, then {second.label} {next_best['mean']:.3f}"
    apart = "their intervals are apart" if low > high else "their intervals overlap"
    return f"{lead}, {second.label} {next_best['mean']:.3f}; {apart}"


def sensitivity_finding(entry: Entry) -> str:
    """Say how much the extraction rule alone moves the accuracy."""
    rows = [row for row in entry.task["sensitivity"] if row.get("accuracy") is not None]
    low, high = (choose(rows, key=lambda row: row["accuracy"]) for choose in (min, max))
    points = 100 * (high["accuracy"] - low["accuracy"])
    if points < 0.05:
        return "Every extraction rule gives the same accuracy"
    return (
        f"The extraction rule alone moves accuracy by {points:.1f} points, from {low['accuracy']:.3f} to {high['accuracy']:.3f}"
    )


def letter_finding(letters: Sequence[Mapping[str, Any]]) -> str:
    """Say which letter the model answers out of proportion."""
    golds, answers = (sum(letter.get(key) or 0 for letter in letters) for key in ("golds", "answers"))
    if not golds or not answers:
        return "No answer names a letter"
    gaps = [(letter, letter["answers"] / answers - letter["golds"] / golds) for letter in letters]
    letter, gap = max(gaps, key=lambda each: each[1])
    if gap < 0.02:
        return "Answers are spread over the letters as the golds are"
    return (
        f"Answers {letter['letter']} too often: {letter['answers'] / answers:.0%} of answers, "
        f"{letter['golds'] / golds:.0%} of golds"
    )


def reliability_finding(bins: Sequence[Mapping[str, Any]], ece: float | None) -> str:
    """Say whether the model's own probabilities are too high or too low."""
    n = sum(each["n"] for each in bins)
    confidence, accuracy = (sum(each[key] * each["n"] for each in bins) / n for key in ("confidence", "accuracy"))
    error = "" if ece is None else f" (expected calibration error {ece:.3f})"
    if abs(confidence - accuracy) < 0.02:
        return f"Probabilities hold on average: claimed {confidence:.2f}, right {accuracy:.2f}{error}"
    word = "Overconfident" if confidence > accuracy else "Underconfident"
    return f"{word}: claims {confidence:.2f} on average, is right {accuracy:.2f}{error}"


def label_finding(labels: Sequence[Mapping[str, Any]]) -> str:
    """Say how far the most and the least accurate of the shown labels lie apart; rare ones only where there are no others."""
    known = [label for label in labels if label.get("accuracy") is not None]
    common = [label for label in known if label["n"] >= _COMMON]
    chosen = common if len(common) > 1 else known
    if not chosen:
        return "No label has an accuracy"
    low, high = (choose(chosen, key=lambda label: (label["accuracy"], label["n"])) for choose in (min, max))
    if low["accuracy"] == high["accuracy"]:
        return f"Accuracy is {high['accuracy']:.2f} on every label shown"
    scope = f"Of labels with {_COMMON} items or more, accuracy" if chosen is common else "Accuracy"
    return f"{scope} goes from {high['accuracy']:.2f} on {high['label']} down to {low['accuracy']:.2f} on {low['label']}"


def confusion_finding(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """Say how many answers stay in the gold's family and what the commonest confusion is."""
    total = sum(map(sum, matrix))
    if not total:
        return "No answer could be read"
    inside = sum(matrix[place][place] for place in range(len(labels)))
    crossed = [
        (count, gold, answer) for gold, row in enumerate(matrix) for answer, count in enumerate(row) if gold != answer and count
    ]
    finding = f"{inside / total:.0%} of answers are in the family of the gold"
    if not crossed:
        return finding
    count, gold, answer = max(crossed, key=lambda each: each[0])
    return f"{finding}; the commonest confusion is {labels[gold]} answered as {labels[answer]} ({count / total:.1%})"
