"""The records of a CVE over all feeds, merged: one text, one date, and what each party called the weakness."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from ctiforge.core.advisory import Advisory, Party, SourceRef
from ctiforge.sources.cwe import CweCatalogue

__all__ = ["LabelledCve", "is_mappable", "order_labels", "parse_day", "telling_labels"]


@dataclass(slots=True)
class LabelledCve:
    """One CVE, filled by `merge`.

    Attributes:
        text: the first non-empty description; `source`: the record it is from.
        published: the first readable publication date.
        labels: CWE IDs by party, in the order in which the parties were met; see `order_labels`.
        label_paths: the file in which each of these parties gave them.
    """

    text: str = ""
    source: SourceRef | None = None
    published: date | None = None
    labels: dict[Party, tuple[str, ...]] = field(default_factory=dict)
    label_paths: dict[Party, str] = field(default_factory=dict)

    def merge(
        self,
        record: Advisory,
        catalogue: CweCatalogue,
        parties: Iterable[Party],
        usable: Callable[[str, CweCatalogue], bool] | None = None,
    ) -> None:
        """Add what `record` knows and this CVE lacks; a party's labels are those of the first record with a usable one.

        Args:
            usable: which entries count; by default `is_mappable`. Names without a number are resolved by the catalogue.
        """
        if not self.text and record.description:
            self.text, self.source = record.description, record.source
        self.published = self.published or parse_day(record.published)
        for party in parties:
            if party in self.labels:
                continue
            labels = _usable_labels(record, party, catalogue, usable or is_mappable)
            if labels:
                self.labels[party] = labels
                self.label_paths[party] = record.source.path


def parse_day(timestamp: str) -> date | None:
    """Return the day of an ISO 8601 timestamp. Feeds give dates as they like; one that is not ISO 8601 is None."""
    try:
        return date.fromisoformat(timestamp[:10])
    except ValueError:
        return None


def is_mappable(cwe_id: str, catalogue: CweCatalogue) -> bool:
    """Say whether an entry is a live weakness that MITRE does not prohibit for mapping."""
    return catalogue.is_weakness(cwe_id) and catalogue[cwe_id].usage != "Prohibited"


def _usable_labels(
    record: Advisory, party: Party, catalogue: CweCatalogue, usable: Callable[[str, CweCatalogue], bool]
) -> tuple[str, ...]:
    found: list[str] = []
    for assigned in record.weaknesses:
        if assigned.party != party:
            continue
        cwe_id = assigned.cwe_id or catalogue.resolve(assigned.text)
        if cwe_id and usable(cwe_id, catalogue):
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
