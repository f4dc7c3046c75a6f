"""The leaderboard: what ctiforge measured, from records, and apart from it what others published, with sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ctiforge.bench.published import METRICS, PublishedScore, load_published
from ctiforge.bench.records import Record, check_records
from ctiforge.bench.report.caveats import CAVEATS, GENERAL_CAVEATS
from ctiforge.bench.report.entries import Entry, build_entries, group_by_task
from ctiforge.bench.report.markdown import markdown_table
from ctiforge.bench.report.table import Cell, Column, Table
from ctiforge.bench.report.wording import (
    MISSING,
    decimal,
    escape_markdown,
    figure,
    interval,
    mean_and_deviation,
    plain,
    short_digest,
)

__all__ = ["PublishedScore", "load_published", "render_leaderboard"]

_TASKS: Final = (
    "cti-rcm",
    "cti-mcq",
    "cti-rcm-2021",
    "cti-vsp",
    "cti-ate",
    "cti-taa",
    "athena-rcm",
    "athena-mcq",
    "athena-vsp",
    "athena-ate",
    "athena-taa",
    "athena-rms",
)
"""Order of the sections; other tasks follow."""

_METRIC_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "cvss_vector": ("mean_absolute_deviation",),
    "technique_set": ("micro_f1", "macro_f1"),
    "mitigation_set": ("micro_f1", "macro_f1"),
}
"""The metrics that a task is compared by where that is not accuracy; the first decides the order."""

_LOWER_IS_BETTER: Final = ("mean_absolute_deviation",)

_INTRODUCTION: Final = """# Leaderboard

<!-- Made by `ctiforge bench leaderboard` from benchmark records and from src/ctiforge/bench/published.yaml. Do not edit. -->

Every task has two tables, never one. **Measured here** comes from records that ctiforge made: protocol, extraction rule,
data and weights are pinned, completions are kept, and anyone can score them again. **Published, not measured here** repeats
what others print, under their own prompts, scorers and denominators, which move the same model by ten points and more. A
figure of one table is neither better nor worse than one of the other until both are measured in the same way."""


_OPEN_BOOK: Final = (
    "These models look things up in an index that holds the pages many items were made from; they are not comparable with "
    "models that answer from memory."
)


def render_leaderboard(records: Sequence[Record], published: Sequence[PublishedScore]) -> str:
    """Return the leaderboard as Markdown, most accurate first in each table; equal input gives equal text.

    Args:
        records: may be empty.
        published: as `ctiforge.bench.published.load_published` returns them.

    Raises:
        InputError: a record cannot be read by this program.
    """
    measured = group_by_task(build_entries(check_records(records))) if records else {}
    quoted: dict[str, list[PublishedScore]] = {}
    for score in published:
        quoted.setdefault(score.task, []).append(score)
    sources = _sources(published)
    parts = [_INTRODUCTION, "\n".join(f"- {escape_markdown(caveat)}" for caveat in GENERAL_CAVEATS)]
    for task in sorted({*measured, *quoted}, key=_task_order):
        parts.append(f"## {escape_markdown(task)}")
        if caveats := CAVEATS.get(task):
            parts.append("\n".join(f"- {escape_markdown(caveat)}" for caveat in caveats))
        parts.append("### Measured here")
        entries = measured.get(task, [])
        closed = [entry for entry in entries if not entry.open_book]
        parts.append(markdown_table(_measured(closed)) if closed else "No record yet.")
        if opened := [entry for entry in entries if entry.open_book]:
            parts += ["### Measured here, open book", _OPEN_BOOK, markdown_table(_measured(opened))]
        if task in quoted:
            parts += ["### Published, not measured here", *_published(quoted[task], sources)]
    if sources:
        parts.append("## Sources of the published figures")
        parts.append("\n".join(f"{number}. {_citation(*source)}" for source, number in sources.items()))
    return "\n\n".join(parts) + "\n"


def _task_order(task: str) -> tuple[int, str]:
    return (_TASKS.index(task) if task in _TASKS else len(_TASKS), task)


def _sources(published: Sequence[PublishedScore]) -> dict[tuple[str, str], int]:
    """Return a number for every source, in the order of the file."""
    return {key: number for number, key in enumerate(dict.fromkeys((score.citation, score.url) for score in published), 1)}


def _citation(citation: str, url: str) -> str:
    return f"{escape_markdown(citation)}. <{url}>" if not set(url) & set("<> \\") else escape_markdown(f"{citation}. {url}")


def _measured(entries: Sequence[Entry]) -> Table:
    keys = _METRIC_KEYS.get(entries[0].task["answer_kind"], ())
    names = [METRICS[key] for key in keys]
    columns = [
        Column("Model"),
        Column("Weights or endpoint"),
        *(Column(name, "right") for name in names),
        Column("Accuracy ± std", "right"),
        Column("95 % interval", "right"),
        Column("n", "right"),
        Column("Trials", "right"),
        Column("Parsed", "right"),
        Column("Protocol"),
        Column("Rule"),
        Column("Data"),
        Column("Revision"),
    ]
    ordered = sorted(entries, key=lambda entry: _rank(entry, keys))
    return Table("measured", "", tuple(columns), tuple(_measured_row(entry, keys) for entry in ordered))


def _rank(entry: Entry, keys: Sequence[str]) -> tuple[bool, float]:
    """Sort by the first of `keys`, by accuracy without; what has no valid trial comes last."""
    if entry.accuracy is None:
        return (True, 0.0)
    value = entry.task["metrics"].get(keys[0]) if keys else entry.accuracy["mean"]
    if value is None:
        return (True, 0.0)
    return (False, value if keys and keys[0] in _LOWER_IS_BETTER else -value)


def _measured_row(entry: Entry, keys: Sequence[str]) -> tuple[Cell, ...]:
    model, valid = entry.record["model"], len(entry.valid)
    trials = len(entry.task["trials"])
    revision = entry.record["environment"].get("git_revision")
    figures = [entry.task["metrics"].get(key) if entry.accuracy else None for key in keys]
    return (
        Cell(entry.label),
        Cell(short_digest(model["digest"]) if model.get("digest") else plain(model.get("endpoint") or MISSING, 80)),
        *(Cell(decimal(value, 3)) for value in figures),
        Cell(mean_and_deviation(entry.accuracy), "strong" if entry.accuracy else "bad"),
        Cell(interval(entry.accuracy)),
        Cell(figure(entry.task["n"])),
        Cell(str(trials) if valid == trials else f"{valid} of {trials} valid"),
        Cell(decimal(entry.task.get("parse_rate"), 3)),
        Cell(entry.protocol),
        Cell(plain(entry.task["rule"], 40)),
        Cell(short_digest(entry.task.get("sha256"))),
        Cell(plain(revision, 60)[:10] if revision else MISSING),
    )


def _published(scores: Sequence[PublishedScore], sources: Mapping[tuple[str, str], int]) -> list[str]:
    """Return one table a metric, with its name where there is more than one or it is not accuracy."""
    tables = []
    metrics = [metric for metric in METRICS if any(score.metric == metric for score in scores)]
    for metric in metrics:
        lower = metric in _LOWER_IS_BETTER
        ordered = sorted(
            (score for score in scores if score.metric == metric),
            key=lambda score: (score.value if lower else -score.value, score.model, score.citation),
        )
        if metrics != ["accuracy"]:
            tables.append(f"By {METRICS[metric]}{', lower is better' if lower else ''}:")
        tables.append(markdown_table(_published_table(ordered, sources)))
    return tables


def _published_table(scores: Sequence[PublishedScore], sources: Mapping[tuple[str, str], int]) -> Table:
    columns = (
        Column("Model"),
        Column("Size"),
        Column("Published", "right"),
        Column("Trials", "right"),
        Column("Protocol as stated"),
        Column("Reported by"),
        Column("Source"),
    )
    rows = tuple(
        (
            Cell(score.model),
            Cell(score.size or MISSING),
            Cell(_value(score)),
            Cell(MISSING if score.trials is None else str(score.trials)),
            Cell("; ".join(filter(None, (score.protocol, f"n = {score.n:,}" if score.n else "", score.note)))),
            Cell("its makers" if score.reported_by == "self" else "others (re-run)"),
            Cell(f"({sources[score.citation, score.url]}) {score.where}"),
        )
        for score in scores
    )
    return Table("published", "", columns, rows)


def _value(score: PublishedScore) -> str:
    """Return the figure with the decimals that its source gives."""
    value = f"{score.value:.2f}" if score.metric == "mean_absolute_deviation" else f"{score.value:.4f}".removesuffix("0")
    return value if score.std is None else f"{value} ± {f'{score.std:.4f}'.removesuffix('0')}"
