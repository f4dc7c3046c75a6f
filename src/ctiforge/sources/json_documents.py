"""Whether an array inside a JSON document is its list of records, or a part of a document that is one record itself."""

from __future__ import annotations

import re

from ctiforge.sources.formats import CONTAINER_KEYS

__all__ = ["PEEK_BYTES", "array_key", "holds_records"]

PEEK_BYTES = 4096
"""How much of an array must be seen to decide."""

_KEY_BEFORE = re.compile(rb'"([A-Za-z_]{2,24})"\s*:\s*\Z')
_KEYS = frozenset(key.encode() for key in CONTAINER_KEYS)
_CERTAIN = frozenset((b"CVE_Items", b"cve_items", b"vulns"))
_OWN_ID = re.compile(rb'"(?:id|ID|cve|CVE|cve_id|cveId|cveID|ghsa_id|cveMetadata|description|descriptions|document)"\s*:')
_NVD_OR_KEV_ENTRY = re.compile(rb'\s*\{\s*"cve"\s*:\s*\{|\s*\{[^{}]*?"cveID"\s*:')
_CSAF_ENTRY = re.compile(rb'"(?:product_status|notes|scores|metrics|cwe|threats|remediations|flags)"\s*:\s*[\[{]')


def array_key(before: bytes) -> bytes:
    """Return the key, if it is one of `CONTAINER_KEYS`, that ends `before`, the text up to an opening bracket."""
    match = _KEY_BEFORE.search(before[-64:])
    return match[1] if match and match[1] in _KEYS else b""


def holds_records(key: bytes, before: bytes, ahead: bytes) -> bool:
    """Decide whether the array under `key` of a root object holds the records.

    NVD and KEV entries are known by their first fields. A CSAF document has ``vulnerabilities`` too, but is read as a whole
    because its entries lean on document-level notes. Keys with a common meaning count only where nothing before them says
    that the document is a record.

    Args:
        before: the start of the document, up to 64 KiB.
        ahead: at least `PEEK_BYTES` from after the bracket, or all there is.
    """
    if ahead.lstrip()[:1] != b"{":
        return False
    if key in _CERTAIN:
        return True
    if key == b"vulnerabilities":
        if _NVD_OR_KEV_ENTRY.match(ahead):
            return True
        if _CSAF_ENTRY.search(ahead):
            return False
    return not _OWN_ID.search(before)
