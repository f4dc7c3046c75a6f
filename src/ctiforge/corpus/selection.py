"""Balancing and splitting: who is drawn where there are too many, and who develops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

from ctiforge.core.files import sha256
from ctiforge.corpus.lines import reject_record
from ctiforge.corpus.record import CorpusRecord, RecordKind
from ctiforge.corpus.stages import StageWriter

__all__ = ["balance", "draw_key", "split_by_date"]


def draw_key(seed: int, purpose: str, record_id: str) -> str:
    """Return a text by which to sort for a draw: it follows from seed, purpose and ID, never from the other records."""
    return sha256(f"{seed}\n{purpose}\n{record_id}".encode())


def balance(
    writer: StageWriter,
    records: Iterable[CorpusRecord],
    seed: int,
    *,
    min_support: int = 1,
    max_per_label: int | None = None,
    max_per_generator: int | None = None,
    limits: Mapping[RecordKind, int | None],
) -> None:
    """Keep a draw of the records: labels without support leave, then what is over the limit of a label, generator or kind.

    A draw looks at seed and record ID only: a record that is drawn stays drawn when others are added or leave, as far as the
    limit goes. `min_support` counts what the limits leave, so it is asked again after them; it holds for the finished corpus.
    """
    everything = list(records)
    drawn = sorted(everything, key=lambda record: draw_key(seed, "balance", record.id))
    reasons: dict[str, tuple[str, str]] = {}
    _drop_rare(drawn, min_support, reasons)
    by_label: Counter[str] = Counter()
    by_generator: Counter[str] = Counter()
    by_kind: Counter[RecordKind] = Counter()
    for record in drawn:
        if record.id in reasons:
            continue
        limit = limits.get(record.kind)
        if record.kind == "rcm" and max_per_label and by_label[record.label] >= max_per_label:
            reasons[record.id] = ("over_label_limit", f"{max_per_label:,} records of {record.label} were drawn")
        elif record.kind == "qa" and max_per_generator and by_generator[record.generator] >= max_per_generator:
            reasons[record.id] = ("over_generator_limit", f"{max_per_generator:,} records of {record.generator} were drawn")
        elif limit is not None and by_kind[record.kind] >= limit:
            reasons[record.id] = ("over_limit", f"{limit:,} records of kind {record.kind} were drawn")
        else:
            by_kind[record.kind] += 1
            by_generator[record.generator] += 1
            by_label[record.label] += record.kind == "rcm"
    _drop_rare([record for record in drawn if record.id not in reasons], min_support, reasons)
    for record in everything:
        if record.id in reasons:
            writer.reject(reject_record(record, writer.name, *reasons[record.id]))
        else:
            writer.keep(replace(record, steps=(*record.steps, "balance")))


def _drop_rare(records: Iterable[CorpusRecord], min_support: int, reasons: dict[str, tuple[str, str]]) -> None:
    labelled = [record for record in records if record.kind == "rcm"]
    support = Counter(record.label for record in labelled)
    for record in labelled:
        if support[record.label] < min_support:
            detail = f"{support[record.label]} records of {record.label}, fewer than {min_support}"
            reasons[record.id] = ("rare_label", detail)


def split_by_date(
    writer: StageWriter, records: Iterable[CorpusRecord], cve_development_from: date, object_development_from: date
) -> None:
    """Keep every record, with ``train`` or ``development`` as its last step.

    Records from a day on develop, those without a date train. All records about a CVE go where its CVE-to-CWE record goes, so
    that no question tells the answer of the other split.
    """
    everything = list(records)

    def by_date(record: CorpusRecord) -> str:
        begins = cve_development_from if record.source_id.startswith("CVE-") else object_development_from
        return "development" if record.date >= begins.isoformat() else "train"  # no date is before any

    of_cve = {record.source_id: by_date(record) for record in everything if record.kind == "rcm"}
    for record in everything:
        split = of_cve.get(record.source_id) or by_date(record)
        writer.keep(replace(record, steps=(*record.steps, split)))
