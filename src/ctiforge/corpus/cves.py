"""First stage: vulnerability feeds in, one row for each CVE out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args

import orjson

from ctiforge.core.advisory import Advisory, Party, Reject
from ctiforge.core.files import sha256
from ctiforge.core.ids import parse_cve_id
from ctiforge.corpus.lines import Rejection
from ctiforge.corpus.stages import StageWriter
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.labelled_cves import LabelledCve
from ctiforge.sources.read import ReadOptions, input_size, parse_record, read_raw_records

__all__ = ["CveRow", "decode_cves", "read_cves"]

PARTIES: tuple[Party, ...] = get_args(Party)


@dataclass(frozen=True, slots=True)
class CveRow:
    """One CVE, merged over the feeds.

    Attributes:
        day: publication, ISO 8601; empty if no feed says.
        labels: entries by party, as the party gave them: categories, deprecated and Prohibited ones too.
        source: the feed of the text, as the recipe names it; `text_sha256` of the text as it was read.
        label_sources: the feed of each party's labels.
    """

    cve_id: str
    text: str
    day: str
    labels: Mapping[Party, list[str]]
    source: str
    text_sha256: str
    label_sources: Mapping[Party, str]

    @property
    def published(self) -> date | None:
        """The publication day, or None."""
        return date.fromisoformat(self.day) if self.day else None


def decode_cves(lines: Iterable[bytes]) -> Iterator[CveRow]:
    """Yield the rows that `read_cves` kept."""
    return (CveRow(**orjson.loads(line)) for line in lines)


def read_cves(writer: StageWriter, feeds: Mapping[str, Path], catalogue: CweCatalogue) -> None:
    """Read the feeds, merge the records of each CVE, and keep a row for each, by year and number.

    Args:
        feeds: files by the name that the recipe gives them, in order of trust for the text.
    """
    cves: dict[str, LabelledCve] = {}
    names = {str(path): name for name, path in feeds.items()}
    for record in _records(writer, list(names)):
        if isinstance(record, Reject):
            name = names.get(record.source.path, record.source.path)
            detail = f"line {record.source.line}: {record.detail}"
            writer.reject(Rejection(writer.name, record.reason, detail, "", record.id, name, record.excerpt))
        elif (cve_id := parse_cve_id(record.id)) is None:
            name = names.get(record.source.path, record.source.path)
            detail = f"line {record.source.line}: {record.id!r} is not a CVE ID, so benchmark items could not be told"
            excerpt = record.description[:200]
            writer.reject(Rejection(writer.name, "no_cve_id", detail, "", record.id, name, excerpt))
        else:
            cves.setdefault(cve_id, LabelledCve()).merge(record, catalogue, PARTIES, _is_entry)
    for cve_id in sorted(cves, key=_year_and_number):
        cve = cves[cve_id]
        writer.keep(_row(cve_id, cve, names))


def _is_entry(cwe_id: str, catalogue: CweCatalogue) -> bool:
    return cwe_id in catalogue


def _row(cve_id: str, cve: LabelledCve, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "cve_id": cve_id,
        "text": cve.text,
        "day": cve.published.isoformat() if cve.published else "",
        "labels": cve.labels,
        "source": names[cve.source.path] if cve.source else "",
        "text_sha256": sha256(cve.text.encode()),
        "label_sources": {party: names[path] for party, path in cve.label_paths.items()},
    }


def _year_and_number(cve_id: str) -> tuple[int, int]:
    _, year, number = cve_id.split("-")
    return int(year), int(number)


def _records(writer: StageWriter, paths: list[str]) -> Iterator[Advisory | Reject]:
    done, total = 0, input_size(paths) or 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        writer.progress(done, total)

    options = ReadOptions()
    for raw in read_raw_records(paths, options, on_bytes=advance):
        if isinstance(raw, Reject):
            yield raw
        else:
            yield from parse_record(raw, options)
