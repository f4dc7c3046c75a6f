"""Equal and nearly equal texts within each kind of record; conflicts of labels are resolved by a stated rule and listed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ctiforge.core.normalized_text import normalize_text
from ctiforge.corpus.lines import reject_record
from ctiforge.corpus.near_pairs import near_pairs, shingles
from ctiforge.corpus.recipe import Conflicts, Deduplication
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.stages import StageWriter

__all__ = ["LabelConflict", "deduplicate", "resolve"]


@dataclass(frozen=True, slots=True)
class LabelConflict:
    """Records with equal or nearly equal texts and different labels.

    Attributes:
        similarity: 1.0 for equal texts, else the Jaccard index.
        labels: by record ID.
        rule: what decided; `kept`: the IDs of the records that stay.
    """

    similarity: float
    text: str
    labels: dict[str, str]
    rule: str
    kept: tuple[str, ...]


def resolve(group: Sequence[CorpusRecord], rule: Conflicts) -> CorpusRecord | None:
    """Return the record that stays of a group with equal texts, or None if none does.

    Without a conflict it is the oldest. With one, see `Conflicts`; of records that tie, the one with the lower ID.
    """
    counts = Counter(record.label for record in group)
    if len(counts) == 1:
        return min(group, key=lambda record: (record.date, record.id))
    if rule == "drop":
        return None
    newest_first = sorted(sorted(group, key=lambda record: record.id), key=lambda record: record.date, reverse=True)
    if rule == "newest":
        return newest_first[0]
    return max(newest_first, key=lambda record: counts[record.label])  # the first of the best


def deduplicate(writer: StageWriter, records: Iterable[CorpusRecord], settings: Deduplication) -> None:
    """Keep one of each group of equal texts, then the older of each pair of nearly equal ones, in the order of the input.

    Nearly equal texts go in order of date and ID: one that is near to an earlier one that stays leaves, unless the labels
    differ and `near_conflicts` is ``keep``. Questions are equal, or nearly so, only if their answers are equal.
    """
    everything = list(records)
    conflicts: list[LabelConflict] = []
    staying = _drop_equal(writer, everything, settings, conflicts)
    if settings.near_duplicate is not None:
        staying = _drop_near(writer, staying, settings, settings.near_duplicate, conflicts)
    for record in staying:
        writer.keep(replace(record, steps=(*record.steps, "deduplicate")))
    writer.facts["conflicts"] = [_as_json(conflict) for conflict in conflicts]


def _drop_equal(
    writer: StageWriter, records: list[CorpusRecord], settings: Deduplication, conflicts: list[LabelConflict]
) -> list[CorpusRecord]:
    groups: defaultdict[tuple[str, str], list[CorpusRecord]] = defaultdict(list)
    for record in records:
        groups[record.kind, _equality(record)].append(record)
    kept: set[str] = set()
    for group in groups.values():
        chosen = resolve(group, settings.conflicts)
        if len({record.label for record in group}) > 1:
            labels = {record.id: record.label for record in group}
            stays = (chosen.id,) if chosen else ()
            conflicts.append(LabelConflict(1.0, group[0].text, labels, settings.conflicts, stays))
        if chosen:
            kept.add(chosen.id)
        for record in group:
            if chosen is None:
                writer.reject(reject_record(record, writer.name, "label_conflict", "equal texts with other labels; rule: drop"))
            elif record is not chosen:
                reason = "duplicate" if record.label == chosen.label else "label_conflict"
                detail = f"the text of {chosen.id}, which stays with {chosen.label}"
                writer.reject(reject_record(record, writer.name, reason, detail))
    return [record for record in records if record.id in kept]


def _equality(record: CorpusRecord) -> str:
    # Of a CVE, the text decides; of a question, also what is answered.
    text = normalize_text(record.text)
    return text if record.kind == "rcm" else f"{text}\n{normalize_text(record.completion)}"


def _drop_near(
    writer: StageWriter,
    records: list[CorpusRecord],
    settings: Deduplication,
    threshold: float,
    conflicts: list[LabelConflict],
) -> list[CorpusRecord]:
    # One answer to two nearly equal questions makes one of them needless; two answers make them two questions.
    gone: set[str] = set()
    for kind in ("rcm", "qa"):
        ordered = sorted((record for record in records if record.kind == kind), key=lambda record: (record.date, record.id))
        sets = [shingles(record.text, settings.shingle) for record in ordered]
        near: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
        for first, second, similarity in near_pairs(sets, threshold, writer.counter(len(ordered))):
            near[second].append((first, similarity))
        for place in sorted(near):
            _judge_near(writer, ordered, place, sorted(near[place]), kind == "rcm" and settings.near_conflicts == "keep", gone)
        if kind == "rcm":
            conflicts += _near_conflicts(ordered, near, gone, settings)
    return [record for record in records if record.id not in gone]


def _judge_near(
    writer: StageWriter,
    ordered: Sequence[CorpusRecord],
    place: int,
    neighbours: Sequence[tuple[int, float]],
    keep_other_labels: bool,
    gone: set[str],
) -> None:
    record = ordered[place]
    for other_place, similarity in neighbours:
        other = ordered[other_place]
        if other.id in gone or (keep_other_labels and other.label != record.label):
            continue
        if record.kind == "qa" and normalize_text(other.completion) != normalize_text(record.completion):
            continue
        gone.add(record.id)
        detail = f"Jaccard index {similarity:.3f} with {other.id}, which stays"
        writer.reject(reject_record(record, writer.name, "near_duplicate_in_corpus", detail))
        return


def _near_conflicts(
    ordered: Sequence[CorpusRecord],
    near: dict[int, list[tuple[int, float]]],
    gone: set[str],
    settings: Deduplication,
) -> list[LabelConflict]:
    found = []
    for place in sorted(near):
        for other_place, similarity in sorted(near[place]):
            one, other = ordered[other_place], ordered[place]
            if one.label == other.label or (settings.near_conflicts == "keep" and (one.id in gone or other.id in gone)):
                continue
            kept = tuple(record.id for record in (one, other) if record.id not in gone)
            labels = {one.id: one.label, other.id: other.label}
            found.append(
                LabelConflict(round(similarity, 6), one.text, labels, f"near_conflicts: {settings.near_conflicts}", kept)
            )
    return found


def _as_json(conflict: LabelConflict) -> dict[str, Any]:
    return {
        "similarity": conflict.similarity,
        "text": conflict.text,
        "labels": conflict.labels,
        "rule": conflict.rule,
        "kept": list(conflict.kept),
    }
