"""The duplicate filter: exact for CVE IDs, and small."""

from __future__ import annotations

import tracemalloc

from ctiforge.core.advisory import Advisory, Reject, SourceRef
from ctiforge.sources.duplicates import DuplicateFilter


def advisory(native: str) -> Advisory:
    return Advisory(native, SourceRef("x"), "text")


def test_the_second_of_two_is_rejected_with_its_place() -> None:
    unseen = DuplicateFilter()
    assert isinstance(unseen(advisory("CVE-2099-1000")), Advisory)
    second = unseen(Advisory("CVE-2099-1000", SourceRef("y", 7), "text"))
    assert isinstance(second, Reject)
    assert (second.reason, second.id, second.source.line, second.excerpt) == ("duplicate_id", "CVE-2099-1000", 7, "text")


def test_near_misses_are_not_duplicates() -> None:
    unseen = DuplicateFilter()
    names = ["CVE-2099-1000", "CVE-2099-01000", "CVE-2098-1000", "CVE-2099-10002099", "GHSA-a", "GHSA-b", "x:1", "x:2", ""]
    assert all(isinstance(unseen(advisory(name)), Advisory) for name in names)


def test_an_id_takes_about_100_bytes() -> None:
    count = 40_000
    for template in ("CVE-2099-{:07}", "GHSA-{:x}-aaaa-bbbb"):
        tracemalloc.start()
        unseen = DuplicateFilter()
        for number in range(count):
            unseen(advisory(template.format(number)))
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert held / count < 110
