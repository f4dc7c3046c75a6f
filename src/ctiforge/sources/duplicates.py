"""Which identifiers have been seen, in about 100 bytes each."""

from __future__ import annotations

import hashlib

from ctiforge.core.advisory import Advisory, Reject
from ctiforge.core.ids import parse_cve_id
from ctiforge.sources.rejects import build_reject

__all__ = ["DuplicateFilter", "build_duplicate"]


class DuplicateFilter:
    """Lets the first advisory of each ID pass, and turns later ones into rejects.

    A CVE ID is kept as the number it is. Any other ID is kept as 128 bits of BLAKE2b: the chance that two different IDs among
    a billion agree is below 1e-20.
    """

    def __init__(self) -> None:
        self._seen: set[int | bytes] = set()

    def is_new(self, advisory_id: str) -> bool:
        """Tell whether no earlier advisory had this ID, and remember it."""
        key = _key(advisory_id)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def __call__(self, advisory: Advisory) -> Advisory | Reject:
        """Return `advisory`, or a `Reject` with ``duplicate_id`` if an earlier one had its ID."""
        return advisory if self.is_new(advisory.id) else build_duplicate(advisory)


def build_duplicate(advisory: Advisory) -> Reject:
    """Return what becomes of an advisory whose ID an earlier one had."""
    return build_reject(
        advisory.source,
        "duplicate_id",
        f"{advisory.id} was already read from an earlier record, which counts",
        id=advisory.id,
        data=advisory.description,
    )


def _key(native: str) -> int | bytes:
    if cve_id := parse_cve_id(native):
        _, year, number = cve_id.split("-")
        # Leading zeros tell IDs apart, so the length goes in too.
        return (int(number) * 20 + len(number)) * 10_000 + int(year)
    return hashlib.blake2b(native.encode("utf-8", "surrogatepass"), digest_size=16).digest()
