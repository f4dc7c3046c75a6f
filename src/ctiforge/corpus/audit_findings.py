"""What an audit found, gathered as chunks of records come in: items and records by level and benchmark file, best pairs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ctiforge.corpus.contamination.benchmarks import Benchmarks
from ctiforge.corpus.contamination.settings import LEVELS, TEXT_LEVELS, Level, stricter_or_same

__all__ = ["SWEEP", "AuditReport", "ItemFinding", "LevelCount", "Pair", "RecordFinding", "gather_findings"]

SWEEP: Final = tuple(round(0.5 + 0.05 * step, 2) for step in range(11))
"""Jaccard thresholds from 0.5 to 1.0."""


@dataclass(frozen=True, slots=True)
class ItemFinding:
    """A record meets an item: place of the item, level, score and detail as in `Hit`."""

    item: int
    level: Level
    score: float
    detail: str


@dataclass(frozen=True, slots=True)
class RecordFinding:
    """All that one record has in common with items.

    Attributes:
        place: of the record, ``file:row``; `text`: what was compared, where a pair is worth showing.
        findings: at most one of `TEXT_LEVELS` for each item.
        jaccard: item to Jaccard index, from the lowest threshold of the sweep on.
    """

    place: str
    text: str
    findings: Sequence[ItemFinding]
    jaccard: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Pair:
    """The record nearest to an item, with both texts."""

    level: Level
    file: str
    item_id: str
    score: float
    detail: str
    item_text: str
    record: str
    record_text: str


@dataclass(frozen=True, slots=True)
class LevelCount:
    """Items of a benchmark file that were found at a level, and records that hold one."""

    items: int = 0
    records: int = 0


@dataclass(slots=True)
class AuditReport:
    """The result of an audit.

    Attributes:
        records: checked; `unreadable`: row to reason, of those that were not.
        counts: level, then benchmark file, to counts. A pair of record and item counts at the strictest of `TEXT_LEVELS`, an
            item at the strictest level of its pairs; the other levels stand beside these.
        details: for ``exact_id``, ``source_object`` and ``ngram``: the same by detail (``own``, ``named``; ``words``,
            ``phrases``).
        found: benchmark file to the number of items found at ``exact_id``, ``exact_text`` or ``near_duplicate``.
        sweep: Jaccard threshold to benchmark file to items with a record at least so near, and records likewise.
        pairs: the best pair of each item found in its text, by level and then by falling score.
        instructions: beginnings that prompts share, with their share, as left out of the comparison.
    """

    corpus: str
    sha256: str
    benchmarks: Benchmarks
    settings: Mapping[str, float | int]
    records: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    counts: dict[Level, dict[str, LevelCount]] = field(default_factory=dict)
    details: dict[str, LevelCount] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    sweep: dict[float, dict[str, LevelCount]] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)
    instructions: list[tuple[str, float]] = field(default_factory=list)
    levels_checked: tuple[Level, ...] = tuple(level for level in LEVELS if level != "semantic")

    def total(self, level: Level) -> LevelCount:
        """Return the counts of a level over all files; a record that meets two files counts once for each."""
        by_file = self.counts.get(level, {}).values()
        return LevelCount(sum(each.items for each in by_file), sum(each.records for each in by_file))

    def offending(self, forbidden: Iterable[Level]) -> dict[Level, int]:
        """Return the forbidden levels that were found, with their items; what is stricter counts as well."""
        found = {level: sum(self.total(each).items for each in stricter_or_same(level)) for level in forbidden}
        return {level: items for level, items in found.items() if items}


def gather_findings(report: AuditReport, findings: Iterable[RecordFinding]) -> None:
    """Count `findings` into `report`."""
    items = report.benchmarks.items
    best: dict[int, tuple[ItemFinding, RecordFinding]] = {}
    item_sets: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    record_counts: Counter[tuple[str, str]] = Counter()
    nearest: dict[int, float] = {}
    sweep_records: Counter[tuple[float, str]] = Counter()
    for record in findings:
        met: set[tuple[str, str]] = set()
        for finding in record.findings:
            file = items[finding.item].file
            keys = [(str(finding.level), file)]
            if kind := finding.detail.split(" ", 1)[0]:
                keys.append((f"{finding.level}/{kind}", file))
            for key in keys:
                met.add(key)
                item_sets[key].add(finding.item)
            if finding.level in TEXT_LEVELS and ((old := best.get(finding.item)) is None or _rank(finding) < _rank(old[0])):
                best[finding.item] = finding, record
        record_counts.update(met)
        nearest_in: dict[str, float] = {}
        for place, value in record.jaccard.items():
            nearest[place] = max(value, nearest.get(place, 0.0))
            file = items[place].file
            nearest_in[file] = max(value, nearest_in.get(file, 0.0))
        sweep_records.update((step, file) for file, value in nearest_in.items() for step in SWEEP if value >= step - 1e-9)
    _leave_strictest(item_sets, best)
    files = [file.name for file in report.benchmarks.files]
    for level in LEVELS:
        report.counts[level] = {
            file: LevelCount(len(item_sets.get((level, file), ())), record_counts[level, file]) for file in files
        }
    for name in sorted({name for name, _ in record_counts if "/" in name}):
        counted = [LevelCount(len(item_sets[name, file]), record_counts[name, file]) for file in files]
        report.details[name] = LevelCount(sum(each.items for each in counted), sum(each.records for each in counted))
    levels = ("exact_id", "exact_text", "near_duplicate")
    report.found = {file: len(set().union(*(item_sets.get((level, file), set()) for level in levels))) for file in files}
    for step in SWEEP:
        near = Counter(items[place].file for place, value in nearest.items() if value >= step - 1e-9)
        report.sweep[step] = {file: LevelCount(near[file], sweep_records[step, file]) for file in files}
    report.pairs = [_pair(report.benchmarks, finding, record) for finding, record in best.values()]
    report.pairs.sort(key=lambda pair: (TEXT_LEVELS.index(pair.level), -pair.score, pair.file, pair.item_id))


def _rank(finding: ItemFinding) -> tuple[int, float]:
    return TEXT_LEVELS.index(finding.level), -finding.score


def _leave_strictest(
    item_sets: Mapping[tuple[str, str], set[int]], best: Mapping[int, tuple[ItemFinding, RecordFinding]]
) -> None:
    """Take items out of the text levels that are not the strictest at which they were found."""
    for (name, _), places in item_sets.items():
        level = name.split("/", 1)[0]
        if level in TEXT_LEVELS:
            places -= {place for place in places if best[place][0].level != level}


def _pair(benchmarks: Benchmarks, finding: ItemFinding, record: RecordFinding) -> Pair:
    item = benchmarks.items[finding.item]
    return Pair(
        level=finding.level,
        file=item.file,
        item_id=item.item_id,
        score=round(finding.score, 4),
        detail=finding.detail,
        item_text="\n".join((item.text, *item.options)),
        record=record.place,
        record_text=record.text,
    )
