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
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.dates import ReservationCalendar
from ctiforge.train.labelled_texts import LabelledText

__all__ = [
    "BenchmarkHoldout",
    "Example",
    "ExampleSet",
    "collect_examples",
    "load_holdout",
    "normalize_text",
    "order_labels",
    "telling_labels",
]

_NOT_WORD = re.compile(r"\W+")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_MIN_CHARACTERS = 20


def normalize_text(text: str) -> str:
    """Return `text` in lower case with every run of other than letters, digits and underscores as one space."""
    return _NOT_WORD.sub(" ", text.lower()).strip()


@dataclass(frozen=True, slots=True)
class BenchmarkHoldout:
    """What must not be learnt: CVE IDs and normalised texts of benchmark items, and texts much like these."""

    cve_ids: frozenset[str]
    texts: frozenset[str]
    index: JaccardIndex | None = None

    def reason(self, cve_id: str, text: str) -> str | None:
        """Return ``exact_id``, ``exact_text`` or ``near_duplicate`` if the example belongs to a benchmark, else None."""
        if cve_id in self.cve_ids:
            return "exact_id"
        normalized = normalize_text(text)
        if normalized in self.texts:
            return "exact_text"
        return "near_duplicate" if self.index and self.index.nearest(normalized) else None


@dataclass(frozen=True, slots=True)
class Example:
    """One CVE with the labels of the most trusted party that gave any.

    Attributes:
        cve_id: empty for a text that came without one.
        labels: CWE IDs of that party, the most telling first (see `order_labels`); any of them is a right answer.
        day: publication date, or the estimated reservation date where the feed has none (`dated` is then False);
            the first day there is for a text without a CVE ID.
        targets: what to learn: the telling labels of all parties (see `telling_labels`).
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


@dataclass(slots=True)
class _Cve:
    text: str = ""
    published: date | None = None
    labels: dict[Party, tuple[str, ...]] = field(default_factory=dict)
    targets: list[str] = field(default_factory=list)


def load_holdout(files: Iterable[tuple[Path, str | None]], near_duplicate: float | None = None) -> BenchmarkHoldout:
    """Read benchmark tables (UTF-8, tab-separated, quoted as CSV): every CVE ID in any cell, and the texts of one column.

    Args:
        near_duplicate: Jaccard index of word sets from which a text counts as a benchmark's; None: only equal ones do.

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
    return BenchmarkHoldout(frozenset(cve_ids), frozenset(texts), index)


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
    cves: dict[str, _Cve] = {}
    left_out: Counter[str] = Counter()
    for record in records:
        if isinstance(record, Reject):
            left_out[f"record_{record.reason}"] += 1
        elif (cve_id := parse_cve_id(record.id)) is None:
            left_out["record_without_cve_id"] += 1
        else:
            _merge(cves.setdefault(cve_id, _Cve()), record, catalogue, party_order)
    undated = _merge_texts(cves, texts, catalogue, party_order, left_out)
    examples = list(_examples(cves, party_order, calendar, holdout, left_out))
    for cve in undated:
        if any(int(year) >= undated_before.year for year in _YEAR.findall(cve.text)):
            left_out["undated_text_names_later_year"] += 1
        else:
            examples += _examples({"": cve}, party_order, calendar, holdout, left_out)
    return ExampleSet(examples, left_out)


def _merge_texts(
    cves: Mapping[str, _Cve],
    texts: Iterable[tuple[Party, LabelledText | Reject]],
    catalogue: CweCatalogue,
    parties: Sequence[Party],
    left_out: Counter[str],
) -> list[_Cve]:
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
    undated: dict[str, _Cve] = {}
    for (normalized, party), cwe_ids in labels.items():
        cve = known.get(normalized) or undated.setdefault(normalized, _Cve())
        assigned = tuple(AssignedWeakness(party, cwe_id, cwe_id) for cwe_id in cwe_ids)
        _merge(cve, Advisory("", SourceRef("text"), spelled[normalized], weaknesses=assigned), catalogue, parties)
    return list(undated.values())


def _merge(cve: _Cve, record: Advisory, catalogue: CweCatalogue, parties: Sequence[Party]) -> None:
    cve.text = cve.text or record.description
    cve.published = cve.published or _day(record.published)
    for party in parties:
        if party in cve.labels:
            continue
        labels = _usable_labels(record, party, catalogue)
        if labels:
            cve.labels[party] = labels
            cve.targets += telling_labels(labels, catalogue)


def _day(timestamp: str) -> date | None:
    # Feeds give dates as they like; one that is not ISO 8601 counts as none.
    try:
        return date.fromisoformat(timestamp[:10])
    except ValueError:
        return None


def _usable_labels(record: Advisory, party: Party, catalogue: CweCatalogue) -> tuple[str, ...]:
    found: list[str] = []
    for assigned in record.weaknesses:
        if assigned.party != party:
            continue
        cwe_id = assigned.cwe_id or catalogue.resolve(assigned.text)
        if cwe_id and catalogue.is_weakness(cwe_id) and catalogue[cwe_id].usage != "Prohibited":
            found.append(cwe_id)
    return order_labels(found, catalogue)


def order_labels(cwe_ids: Iterable[str], catalogue: CweCatalogue) -> tuple[str, ...]:
    """Return the entries of one party without repeats, the most telling first.

    An entry that is an ancestor of another, or that MITRE discourages, goes behind the others: ``CWE-74`` beside ``CWE-89``
    adds nothing, and some feeds sort their labels by number. Otherwise the party's order is kept.
    """
    labels = list(dict.fromkeys(cwe_ids))
    above = {ancestor for label in labels for ancestor in catalogue.ancestors(label)}
    return tuple(sorted(labels, key=lambda label: (label in above, not catalogue.is_suggestable(label))))


def telling_labels(cwe_ids: Sequence[str], catalogue: CweCatalogue) -> tuple[str, ...]:
    """Return the entries worth learning: without ancestors of others, and without Discouraged ones beside better ones."""
    above = {ancestor for label in cwe_ids for ancestor in catalogue.ancestors(label)}
    lowest = [label for label in cwe_ids if label not in above]
    return tuple([label for label in lowest if catalogue.is_suggestable(label)] or lowest)


def _examples(
    cves: dict[str, _Cve],
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
            targets = tuple(dict.fromkeys(cve.targets))
            yield Example(cve_id, cve.text, cve.labels[party], party, day, cve.published is not None, targets, cve.labels)
