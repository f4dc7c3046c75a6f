"""OSV records (https://ossf.github.io/osv-schema/), among them the files of GitHub's advisory database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ctiforge.core.advisory import Advisory, AssignedWeakness, CvssScore, Party, Reject, SourceRef
from ctiforge.core.ids import parse_cve_id
from ctiforge.sources.fields import as_dict, as_list, as_text, build_cvss, build_weaknesses, dicts, unique
from ctiforge.sources.rejects import build_reject

__all__ = ["build_osv"]

_VERSIONS = {"CVSS_V2": "2.0", "CVSS_V3": "3.1", "CVSS_V4": "4.0"}


def build_osv(record: dict[str, Any], source: SourceRef) -> Advisory | Reject:
    """Build an advisory from one OSV record.

    The first CVE among ``id`` and ``aliases`` becomes `Advisory.id`; the record's own ID is then an alias. OSV has no
    field for weaknesses; databases put them into ``database_specific.cwe_ids`` (GitHub) or ``.cwes``. A ``withdrawn``
    record has state ``WITHDRAWN``. OSV texts are English by its schema.

    Returns:
        A `Reject` with ``missing_field`` where there is no ``id``.
    """
    native = as_text(record.get("id"))
    if not native:
        return build_reject(source, "missing_field", "the OSV record has no id")
    names = unique([native, *(as_text(alias) for alias in as_list(record.get("aliases")))])
    cve_id = next((cve_id for name in names if (cve_id := parse_cve_id(name))), None)
    summary, details = as_text(record.get("summary")), as_text(record.get("details"))
    party: Party = "ghsa" if native.upper().startswith("GHSA-") else "osv"
    return Advisory(
        id=cve_id or native,
        source=source,
        description=details or summary,
        title=summary,
        aliases=unique(names, without=cve_id or native),
        weaknesses=tuple(_weaknesses(record, party)),
        cvss=tuple(_cvss(record, party)),
        published=as_text(record.get("published")),
        modified=as_text(record.get("modified")),
        languages=("en",) if details or summary else (),
        state="WITHDRAWN" if as_text(record.get("withdrawn")) else "PUBLISHED",
    )


def _weaknesses(record: dict[str, Any], party: Party) -> Iterator[AssignedWeakness]:
    places = [record.get("database_specific"), *(one.get("database_specific") for one in dicts(record.get("affected")))]
    seen: set[AssignedWeakness] = set()
    for place in places:
        fields = as_dict(place)
        for value in as_list(fields.get("cwe_ids")) + as_list(fields.get("cwes")):
            entry = value if isinstance(value, dict) else {"name": value}
            number = entry.get("cweId") or entry.get("cwe_id") or entry.get("id")
            for weakness in build_weaknesses(party, entry.get("name"), cwe_id=number):
                if weakness not in seen:
                    seen.add(weakness)
                    yield weakness


def _cvss(record: dict[str, Any], party: Party) -> Iterator[CvssScore]:
    for severity in dicts(record.get("severity")):
        version = _VERSIONS.get(as_text(severity.get("type")))
        if version and (score := build_cvss(party, {"vectorString": severity.get("score")}, version=version)):
            yield score
