"""Names of the formats, and which one a parsed JSON record is in, told from its fields and never from a file name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["CONTAINER_KEYS", "FORMATS", "JSON_FORMATS", "detect_record_format", "nested_records"]

JSON_FORMATS: tuple[str, ...] = ("cve5", "nvd2", "nvd1", "osv", "ghsa", "csaf", "kev", "jsonl")
"""Formats whose records are JSON objects; ``jsonl`` is any other object, read with a field map or by usual field names."""

FORMATS: tuple[str, ...] = (*JSON_FORMATS, "csv", "tsv", "text")
"""What ``--format`` accepts. ``kev`` is both CISA's JSON and its CSV."""

CONTAINER_KEYS: tuple[str, ...] = (
    "CVE_Items",  # NVD 1.1 feeds
    "vulnerabilities",  # NVD 2.0 responses, CISA KEV
    "cve_items",  # yearly files that mirror NVD 2.0
    "vulns",  # OSV query responses
    "advisories",
    "cves",
    "records",
    "results",
    "items",
    "data",
)
"""Keys of a document under which an array of records stands. Those after the first four also occur inside
records, so they count only where the document has no identifier of its own."""

_STANDARD_KEYS = 4  # as many of CONTAINER_KEYS belong to a standard format


def detect_record_format(record: Mapping[str, Any]) -> str | None:
    """Return the format of one JSON object, or None where only a field map or usual field names can read it."""
    if "cveMetadata" in record or record.get("dataType") == "CVE_RECORD":
        return "cve5"
    cve = record.get("cve")
    if isinstance(cve, dict):
        if "CVE_data_meta" in cve:
            return "nvd1"
        if "descriptions" in cve or "vulnStatus" in cve:
            return "nvd2"
    document = record.get("document")
    if isinstance(document, dict) and ("tracking" in document or "csaf_version" in document or "vulnerabilities" in record):
        return "csaf"
    if "ghsa_id" in record or "ghsaId" in record:
        return "ghsa"
    if "cveID" in record and ("dateAdded" in record or "vulnerabilityName" in record):
        return "kev"
    if isinstance(record.get("descriptions"), list) and ("vulnStatus" in record or "sourceIdentifier" in record):
        return "nvd2"
    if "id" in record:
        osv_fields = sum(name in record for name in ("modified", "details", "summary", "aliases", "affected", "severity"))
        if "schema_version" in record or (osv_fields >= 2 and ("affected" in record or "modified" in record)):
            return "osv"
    return None


def nested_records(document: Mapping[str, Any]) -> list[Any] | None:
    """Return the array of records of a document that is not a record itself, e.g. an NVD response, or None.

    An empty array counts under the keys of the standard formats only: an answer without results has no records to lose.
    """
    for place, key in enumerate(CONTAINER_KEYS):
        value = document.get(key)
        if isinstance(value, list) and (isinstance(value[0], dict) if value else place < _STANDARD_KEYS):
            return value
    return None
