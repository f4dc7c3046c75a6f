"""Benchmark items out of the corpus: which records meet one, at which level, and which of these leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ctiforge.corpus.contamination import ContaminationChecker, ContaminationSettings, Hit, Level
from ctiforge.corpus.contamination.benchmarks import Benchmarks
from ctiforge.corpus.lines import reject_record
from ctiforge.corpus.recipe import Decontamination
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.selection import draw_key
from ctiforge.corpus.stages import StageWriter

__all__ = ["Check", "build_check", "decontaminate"]

Check = Callable[[CorpusRecord], Sequence[Hit]]

_BACKGROUND = 5000


def build_check(benchmarks: Benchmarks, settings: Decontamination, records: Iterable[CorpusRecord]) -> Check:
    """Return a function that says what a record has in common with benchmark items; `records` say which words are common."""
    ordered = sorted(records, key=lambda record: draw_key(0, "background", record.id))
    thresholds = ContaminationSettings(
        near_duplicate=settings.near_duplicate, rare_words=settings.rare_words, rare_phrases=settings.rare_phrases
    )
    checker = ContaminationChecker(benchmarks, thresholds, background=(record.text for record in ordered[:_BACKGROUND]))
    return lambda record: checker.check(record.text, (), record.source_id, record.kind)


def decontaminate(writer: StageWriter, records: Sequence[CorpusRecord], check: Check, remove: Sequence[Level]) -> None:
    """Keep the records that meet no benchmark item at a level of `remove`.

    The facts count, for each level and benchmark file, the records that were removed at it and those that met an item and
    stay; a record counts once for each level and file. Records that stay name what they met in ``metadata["contamination"]``.
    """
    removed: Counter[tuple[str, str]] = Counter()
    stayed: Counter[tuple[str, str]] = Counter()
    for done, record in enumerate(records):
        if done % 200 == 0:
            writer.progress(done, len(records))
        hits = check(record)
        leaves = [hit for hit in hits if hit.level in remove]
        (removed if leaves else stayed).update({(hit.level, hit.file) for hit in hits})
        if leaves:
            first = leaves[0]
            detail = f"{first.item_id} of {first.file}, score {first.score:.3f}"
            writer.reject(reject_record(record, writer.name, first.level, detail))
            continue
        met = [{"level": hit.level, "item": hit.item_id, "score": hit.score} for hit in hits[:5]]
        metadata = {**record.metadata, "contamination": met} if met else record.metadata
        writer.keep(replace(record, metadata=metadata, steps=(*record.steps, "decontaminate")))
    writer.facts["removed"] = _table(removed)
    writer.facts["stayed"] = _table(stayed)


def _table(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (level, file), count in sorted(counts.items()):
        table.setdefault(level, {})[file] = count
    return table
