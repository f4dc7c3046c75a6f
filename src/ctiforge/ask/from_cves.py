"""CVE feeds to vulnerabilities, one passage each unless the description is long, linked to the weaknesses they were given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ctiforge.ask.gathered import Gathered, count_by_kind
from ctiforge.ask.graph import Link
from ctiforge.ask.objects import KnowledgeObject, SourceVersion
from ctiforge.ask.passages import PassageMaker
from ctiforge.core.advisory import Advisory, Reject
from ctiforge.core.files import sha256
from ctiforge.core.ids import parse_cve_id
from ctiforge.sources.markup import clean_markup
from ctiforge.sources.read import read_advisories

__all__ = ["CveReading", "gather_cves"]


@dataclass(slots=True)
class CveReading:
    """What the feeds gave, and what of them was left out: reason to number of records."""

    gathered: Gathered
    rejects: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Vulnerability:
    title: str = ""
    text: str = ""
    created: str = ""
    modified: str = ""
    kev: str = ""
    weaknesses: dict[str, list[str]] = field(default_factory=dict)

    def merge(self, record: Advisory) -> None:
        """Add what this record knows and the earlier ones did not."""
        self.title = self.title or record.title
        self.text = self.text or record.description
        self.created = self.created or record.published[:10]
        self.modified = max(self.modified, record.modified[:10])
        self.kev = self.kev or record.kev_date_added[:10]
        for assigned in record.weaknesses:
            parties = self.weaknesses.setdefault(assigned.cwe_id, []) if assigned.cwe_id else []
            if assigned.party not in parties:
                parties.append(assigned.party)


def gather_cves(
    feeds: Sequence[str], digest: str, resolve_weakness: Callable[[str], str | None], names: Callable[[str], str]
) -> CveReading:
    """Read feeds in any format that `ctiforge classify` reads; of records of one CVE the first non-empty field stands.

    Args:
        digest: SHA-256 that stands for the feeds together.
        resolve_weakness: from an assigned CWE ID to a live one, or None to leave the link out.
        names: identifier of a weakness to its name, empty where it is not known.
    """
    found: dict[str, _Vulnerability] = {}
    rejects: dict[str, int] = {}
    for record in read_advisories(feeds, duplicates="keep"):
        reason = _take(record, found)
        if reason:
            rejects[reason] = rejects.get(reason, 0) + 1
    gathered = Gathered()
    for cve_id, each in found.items():
        _add(gathered, cve_id, each, resolve_weakness, names)
    days = [each.modified or each.created for each in gathered.objects]
    gathered.sources.append(
        SourceVersion(
            key="cve",
            name="CVE feeds",
            version="",
            date=max(days, default=""),
            path=", ".join(feeds),
            sha256=digest,
            counts=count_by_kind(gathered.objects, len(gathered.passages)),
        )
    )
    return CveReading(gathered, rejects)


def _take(record: Advisory | Reject, found: dict[str, _Vulnerability]) -> str:
    """Merge the record into its CVE, or return why not."""
    if isinstance(record, Reject):
        return record.reason
    cve_id = parse_cve_id(record.id)
    if cve_id is None:
        return "no_cve_id"
    if record.state.upper() == "REJECTED":
        return "cve_rejected"
    if not record.description and cve_id not in found:
        return "no_description"
    found.setdefault(cve_id, _Vulnerability()).merge(record)
    return ""


def _add(
    gathered: Gathered,
    cve_id: str,
    each: _Vulnerability,
    resolve: Callable[[str], str | None],
    names: Callable[[str], str],
) -> None:
    assigned = {cwe_id: parties for given, parties in each.weaknesses.items() if (cwe_id := resolve(given))}
    text, title = clean_markup(each.text), clean_markup(each.title)
    facts = [("known exploited since", each.kev)] if each.kev else []
    gathered.objects.append(
        KnowledgeObject(
            kind="vulnerability",
            id=cve_id,
            name=f"{cve_id} {title}" if title else cve_id,
            text=text,
            created=each.created,
            modified=each.modified,
            facts=tuple(facts),
            source="cve",
            url=f"https://www.cve.org/CVERecord?id={cve_id}",
            sha256=sha256(text.encode()),
        )
    )
    for cwe_id, parties in assigned.items():
        gathered.links.append(Link(cve_id, "has-weakness", cwe_id, f"assigned by {', '.join(parties)}", "cve"))
    labels = "; ".join(f"{cwe_id} {names(cwe_id)}".strip() for cwe_id in assigned)
    maker = PassageMaker(cve_id, title)
    gathered.passages.extend(maker.make("description", labels, text, _ids(assigned)))


def _ids(assigned: Iterable[str]) -> list[str]:
    return list(assigned)
