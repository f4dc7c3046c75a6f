"""GitHub advisories as the REST API returns them (``GET /advisories``); GraphQL's camelCase names are read too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ctiforge.core.advisory import Advisory, AssignedWeakness, CvssScore, Reject, SourceRef
from ctiforge.core.ids import parse_cve_id
from ctiforge.sources.fields import as_dict, as_text, build_cvss, build_weaknesses, dicts, unique
from ctiforge.sources.rejects import build_reject

__all__ = ["build_ghsa"]


def build_ghsa(record: dict[str, Any], source: SourceRef) -> Advisory | Reject:
    """Build an advisory from one GitHub advisory; its texts are English.

    Returns:
        A `Reject` with ``missing_field`` where there is neither a CVE nor a GHSA ID.
    """
    names = [as_text(record.get("cve_id")), as_text(record.get("ghsa_id")), as_text(record.get("ghsaId"))]
    names += [as_text(one.get("value")) for one in dicts(record.get("identifiers"))]
    cve_id = next((cve_id for name in names if (cve_id := parse_cve_id(name))), None)
    native = cve_id or next((name for name in names if name), "")
    if not native:
        return build_reject(source, "missing_field", "neither cve_id nor ghsa_id has a value")
    summary, description = as_text(record.get("summary")), as_text(record.get("description"))
    withdrawn = as_text(record.get("withdrawn_at")) or as_text(record.get("withdrawnAt"))
    return Advisory(
        id=native,
        source=source,
        description=description or summary,
        title=summary,
        aliases=unique(names, without=native),
        weaknesses=tuple(_weaknesses(record)),
        cvss=tuple(_cvss(record)),
        published=as_text(record.get("published_at")) or as_text(record.get("publishedAt")),
        modified=as_text(record.get("updated_at")) or as_text(record.get("updatedAt")),
        languages=("en",) if description or summary else (),
        state="WITHDRAWN" if withdrawn else "PUBLISHED",
    )


def _weaknesses(record: dict[str, Any]) -> Iterator[AssignedWeakness]:
    cwes = record.get("cwes")
    for entry in dicts(cwes if isinstance(cwes, list) else as_dict(cwes).get("nodes")):
        yield from build_weaknesses("ghsa", entry.get("name"), cwe_id=entry.get("cwe_id") or entry.get("cweId"))


def _cvss(record: dict[str, Any]) -> Iterator[CvssScore]:
    severities = as_dict(record.get("cvss_severities") or record.get("cvssSeverities"))
    candidates = [severities.get("cvss_v4"), severities.get("cvssV4"), severities.get("cvss_v3"), severities.get("cvssV3")]
    candidates.append(record.get("cvss"))
    seen: set[str] = set()
    for candidate in candidates:
        fields = as_dict(candidate)
        vector = as_text(fields.get("vector_string") or fields.get("vectorString"))
        # GitHub fills absent versions with a score of 0 and no vector.
        if vector and vector not in seen and (score := build_cvss("ghsa", fields)):
            seen.add(vector)
            yield score
