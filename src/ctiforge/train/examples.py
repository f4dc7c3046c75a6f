"""Labelled examples from vulnerability feeds, with benchmark CVEs left out and nothing dropped without a count."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from ctiforge.core.advisory import Advisory, AssignedWeakness, Party, Reject, SourceRef
from ctiforge.core.errors import InputError
from ctiforge.core.ids import find_cve_ids, parse_cve_id
from ctiforge.core.near_duplicates import JaccardIndex
from ctiforge.core.normalized_text import normalize_text
from ctiforge.core.shared_phrases import PhraseIndex
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.labelled_cves import LabelledCve, telling_labels
from ctiforge.sources.reservation_dates import ReservationCalendar
from ctiforge.train.labelled_texts import LabelledText

__all__ = [
    "BenchmarkHoldout",
    "Example",
    "ExampleSet",
    "collect_examples",
    "load_holdout",
]

_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_MIN_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class BenchmarkHoldout:
    """What must not be learnt: CVE IDs and normalised texts of benchmark items, and texts much like these."""

    cve_ids: frozenset[str]
    texts: frozenset[str]
    index: JaccardIndex | None = None
    phrases: PhraseIndex | None = None
    shared_phrases: float = 1.0

    def reason(self, cve_id: str, text: str) -> str | None:
        """Return ``exact_id``, ``exact_text``, ``near_duplicate`` or ``shared_phrases`` if the example is a benchmark's or too
        much like one, else None."""
        if cve_id in self.cve_ids:
            return "exact_id"
        normalized = normalize_text(text)
        if normalized in self.texts:
            return "exact_text"
        if self.index and self.index.nearest(normalized):
            return "near_duplicate"
        return "shared_phrases" if self.phrases and self.phrases.largest_share(normalized) > self.shared_phrases else None


@dataclass(frozen=True, slots=True)
class Example:
    """One CVE with the labels of the most trusted party that gave any.

    Attributes:
        cve_id: empty for a text that came without one.
        labels: CWE IDs of that party, the most telling first (`ctiforge.sources.labelled_cves.order_labels`); any of them is a
            right answer.
        day: publication date, or the estimated reservation date where the feed has none (`dated` is then False);
            the first day there is for a text without a CVE ID.
        targets: what to learn: the telling labels of all parties (see `ctiforge.sources.labelled_cves.telling_labels`).
        by_party: the labels of each party.
    """

    cve_id: str
    text: str
    labels: tuple[str, ...]
    party: Party
    day: date
    dated: bool
    targets: tuple[str, ...] = ()
    by_party: Mapping[Party, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class ExampleSet:
    """The examples, and how many records left by which reason."""

    examples: list[Example]
    left_out: Counter[str]


def load_holdout(
    files: Iterable[tuple[Path, str | None]], near_duplicate: float | None = None, shared_phrases: float | None = None
) -> BenchmarkHoldout:
    """Read benchmark tables (UTF-8, tab-separated, quoted as CSV): every CVE ID in any cell, and the texts of one column.

    Args:
        near_duplicate: Jaccard index of word sets from which a text counts as a benchmark's; None: only equal ones do.
        shared_phrases: share of a text's word 8-grams in one benchmark text above which it counts as that text's; None: never.

    Raises:
        InputError: a file is missing, unreadable or lacks the column; training without it would contaminate the model.
    """
    cve_ids: set[str] = set()
    texts: set[str] = set()
    for path, column in files:
        try:
            raw = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise InputError(
                f"{path}: cannot read the benchmark file ({why}), so its CVEs cannot be left out",
                fix="put the file there, or remove it from 'exclude' in the recipe",
            ) from None
        cve_ids.update(find_cve_ids(raw))
        if column is None:
            continue
        rows = csv.DictReader(io.StringIO(raw, newline=""), delimiter="\t")
        if column not in (rows.fieldnames or ()):
            raise InputError(f"{path}: no column {column!r}", fix=f"its columns are {', '.join(rows.fieldnames or ())}")
        texts.update(normalize_text(row[column] or "") for row in rows)
    texts.discard("")
    index = None if near_duplicate is None else JaccardIndex(sorted(texts), near_duplicate)
    phrases = None if shared_phrases is None else PhraseIndex(texts)
    return BenchmarkHoldout(frozenset(cve_ids), frozenset(texts), index, phrases, shared_phrases or 1.0)


def collect_examples(
    records: Iterable[Advisory | Reject],
    catalogue: CweCatalogue,
    party_order: Sequence[Party],
    calendar: ReservationCalendar,
    holdout: BenchmarkHoldout,
    texts: Iterable[tuple[Party, LabelledText | Reject]] = (),
    undated_before: date = date.max,
) -> ExampleSet:
    """Merge the records of each CVE over all feeds and label them.

    The text is the first non-empty description, the date the first readable one; a party's labels are those of the first feed
    in which it gave a usable one (a live weakness that MITRE does not prohibit; names without a number are resolved by the
    catalogue). Each record is rejected, without a CVE ID or part of one CVE; each CVE is an example or left out by one reason.

    Args:
        texts: labelled texts without CVE IDs, after the feeds in trust. One whose normalised text is a CVE's adds to that CVE;
            the others become examples without ID and date.
        undated_before: a text without a date that names this year or a later one is left out.
    """
    cves: dict[str, LabelledCve] = {}
    left_out: Counter[str] = Counter()
    for record in records:
        if isinstance(record, Reject):
            left_out[f"record_{record.reason}"] += 1
        elif (cve_id := parse_cve_id(record.id)) is None:
            left_out["record_without_cve_id"] += 1
        else:
            cves.setdefault(cve_id, LabelledCve()).merge(record, catalogue, party_order)
    undated = _merge_texts(cves, texts, catalogue, party_order, left_out)
    examples = list(_examples(cves, catalogue, party_order, calendar, holdout, left_out))
    for cve in undated:
        if any(int(year) >= undated_before.year for year in _YEAR.findall(cve.text)):
            left_out["undated_text_names_later_year"] += 1
        else:
            examples += _examples({"": cve}, catalogue, party_order, calendar, holdout, left_out)
    return ExampleSet(examples, left_out)


def _merge_texts(
    cves: Mapping[str, LabelledCve],
    texts: Iterable[tuple[Party, LabelledText | Reject]],
    catalogue: CweCatalogue,
    parties: Sequence[Party],
    left_out: Counter[str],
) -> list[LabelledCve]:
    """Add labelled texts to the CVEs that have the same text; return those that no CVE has."""
    labels: dict[tuple[str, Party], list[str]] = {}
    spelled: dict[str, str] = {}
    for party, labelled in texts:
        if isinstance(labelled, Reject):
            left_out[f"record_{labelled.reason}"] += 1
            continue
        normalized = normalize_text(labelled.text)
        spelled.setdefault(normalized, labelled.text)
        labels.setdefault((normalized, party), []).append(labelled.cwe_id)
    if not labels:
        return []
    known = {normalize_text(cve.text): cve for cve in cves.values()}
    undated: dict[str, LabelledCve] = {}
    for (normalized, party), cwe_ids in labels.items():
        cve = known.get(normalized) or undated.setdefault(normalized, LabelledCve())
        assigned = tuple(AssignedWeakness(party, cwe_id, cwe_id) for cwe_id in cwe_ids)
        cve.merge(Advisory("", SourceRef("text"), spelled[normalized], weaknesses=assigned), catalogue, parties)
    return list(undated.values())


def _examples(
    cves: dict[str, LabelledCve],
    catalogue: CweCatalogue,
    parties: Sequence[Party],
    calendar: ReservationCalendar,
    holdout: BenchmarkHoldout,
    left_out: Counter[str],
) -> Iterator[Example]:
    for cve_id, cve in cves.items():
        party = next((party for party in parties if party in cve.labels), None)
        reason = holdout.reason(cve_id, cve.text)
        if reason:
            left_out[f"benchmark_{reason}"] += 1
        elif len(cve.text) < _MIN_CHARACTERS:
            left_out["text_too_short"] += 1
        elif party is None:
            left_out["no_usable_label"] += 1
        else:
            day = cve.published or (calendar.estimate(cve_id) if cve_id else date.min)
            targets = tuple(dict.fromkeys(each for labels in cve.labels.values() for each in telling_labels(labels, catalogue)))
            yield Example(cve_id, cve.text, cve.labels[party], party, day, cve.published is not None, targets, cve.labels)
