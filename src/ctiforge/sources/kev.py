"""CISA's Known Exploited Vulnerabilities catalogue, as JSON and as CSV (https://www.cisa.gov/known-exploited-vulnerabilities)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctiforge.core.advisory import Advisory, AssignedWeakness, Reject, SourceRef
from ctiforge.core.ids import parse_cve_id
from ctiforge.sources.fields import as_text, build_weaknesses
from ctiforge.sources.rejects import build_reject

__all__ = ["KEV_COLUMNS", "build_kev"]

KEV_COLUMNS = frozenset({"cveID", "dateAdded", "vulnerabilityName"})
"""Columns by which a CSV file is known to be the catalogue."""


def build_kev(record: Mapping[str, Any], source: SourceRef) -> Advisory | Reject:
    """Build an advisory from one entry; ``cwes`` is a list in JSON and a comma-separated cell in CSV.

    Returns:
        A `Reject` with ``missing_field`` where ``cveID`` is not a CVE ID.
    """
    cve_id = parse_cve_id(as_text(record.get("cveID")))
    if cve_id is None:
        return build_reject(source, "missing_field", f"cveID is {record.get('cveID')!r:.60}, not a CVE ID")
    description = as_text(record.get("shortDescription"))
    cwes = record.get("cwes")
    labels = cwes if isinstance(cwes, list) else as_text(cwes).split(",")
    weaknesses: list[AssignedWeakness] = []
    for label in labels:
        weaknesses += build_weaknesses("kev", label, assigner="CISA")
    return Advisory(
        id=cve_id,
        source=source,
        description=description,
        title=as_text(record.get("vulnerabilityName")),
        weaknesses=tuple(weaknesses),
        kev_date_added=as_text(record.get("dateAdded")),
        languages=("en",) if description else (),
    )
