"""What is in a corpus, counted: the datasheet as one JSON value (Gebru et al., CACM 2021, for the questions it answers)."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ctiforge.corpus.outputs import SPLITS
from ctiforge.corpus.recipe import CorpusRecipe
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.stages import StageResult
from ctiforge.sources.cwe import CweCatalogue

__all__ = ["LENGTH_BINS", "build_datasheet", "sum_tables"]

LENGTH_BINS = (0, 50, 100, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 4800, 6400)
"""Lower ends, in characters."""

_COUNTS: dict[str, Callable[[CorpusRecord], str | None]] = {
    "kind": lambda record: record.kind,
    "generator": lambda record: record.generator,
    "source": lambda record: record.source,
    "licence": lambda record: record.licence,
    "year": lambda record: record.date[:4] or "none",
    "party": lambda record: record.party or None,
    "label": lambda record: record.label if record.kind == "rcm" else None,
    "gold_letter": lambda record: record.label or None if record.kind == "qa" else None,
    "evidence": lambda record: record.metadata.get("evidence"),
    "instruction": lambda record: _text(record.metadata.get("instruction")) if record.kind == "rcm" else None,
}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def build_datasheet(
    recipe: CorpusRecipe, records: Sequence[CorpusRecord], stages: Sequence[StageResult], catalogue: CweCatalogue
) -> dict[str, Any]:
    """Return the datasheet of the finished records; JSON values only."""
    splits = {split: [record for record in records if split in record.steps] for split in SPLITS}
    facts = {stage.name: stage.facts for stage in stages}
    conflicts = [conflict for fact in facts.values() for conflict in fact.get("conflicts", ())]
    return {
        "name": recipe.name,
        "description": recipe.description,
        "records": {split: len(chosen) for split, chosen in splits.items()},
        "counts": {split: _counts(chosen) for split, chosen in splits.items()},
        "label_usage": {split: _by_entry(chosen, lambda each: catalogue[each].usage) for split, chosen in splits.items()},
        "label_abstraction": {
            split: _by_entry(chosen, lambda each: catalogue[each].abstraction) for split, chosen in splits.items()
        },
        "labels_replaced": sum(record.metadata.get("assigned", record.label) != record.label for record in records),
        "dates_estimated": sum(bool(record.metadata.get("date_estimated")) for record in records),
        "lengths": {
            split: {
                "bins_from": list(LENGTH_BINS),
                "prompt": _histogram(len(record.prompt) for record in chosen),
                "completion": _histogram(len(record.completion) for record in chosen),
            }
            for split, chosen in splits.items()
        },
        "rejected": {stage.name: dict(stage.reasons) for stage in stages if stage.reasons},
        "stages": [{"name": stage.name, "kept": stage.kept, "rejected": sum(stage.reasons.values())} for stage in stages],
        "conflicts": {"groups": len(conflicts), "equal_texts": sum(conflict["similarity"] == 1.0 for conflict in conflicts)},
        "contamination": {
            "against": [path.rsplit("/", 1)[-1] for path in recipe.decontaminate.against],
            "near_duplicate": recipe.decontaminate.near_duplicate,
            "levels_that_remove": list(recipe.decontaminate.remove),
            "removed": sum_tables(fact.get("removed", {}) for fact in facts.values()),
            "stayed": sum_tables(fact.get("stayed", {}) for fact in facts.values()),
        },
        "licences": sorted({record.licence for record in records}),
        "cwe_version": catalogue.version,
    }


def _counts(records: Iterable[CorpusRecord]) -> dict[str, dict[str, int]]:
    counters: dict[str, Counter[str]] = {name: Counter() for name in _COUNTS}
    for record in records:
        for name, value_of in _COUNTS.items():
            if value := value_of(record):
                counters[name][value] += 1
    return {name: _ranked(counter) for name, counter in counters.items() if counter}


def _ranked(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _by_entry(records: Iterable[CorpusRecord], value_of: Callable[[str], str]) -> dict[str, int]:
    return _ranked(Counter(value_of(record.label) for record in records if record.kind == "rcm"))


def _histogram(lengths: Iterable[int]) -> list[int]:
    counts = [0] * len(LENGTH_BINS)
    for length in lengths:
        counts[bisect_right(LENGTH_BINS, length) - 1] += 1
    return counts


def sum_tables(tables: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """Return the sums of counts by level and file."""
    summed: dict[str, Counter[str]] = {}
    for table in tables:
        for level, files in table.items():
            summed.setdefault(level, Counter()).update(files)
    return {level: dict(sorted(files.items())) for level, files in sorted(summed.items())}
