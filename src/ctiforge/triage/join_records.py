"""One item out of the records that several feeds have of it; what each party assigned stays apart.

The CVE Record comes first, then NVD, GitHub, OSV, CSAF, then files of the user's own. Of each field the first record that
has it is taken. What a party assigned, and its scores, come from the first record that says anything of that party: NVD
copies what the CNA said, and the CNA's own record is nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from ctiforge.core.advisory import Advisory, Party

__all__ = ["FIRST_FEEDS", "advisory_text", "join_records"]

FIRST_FEEDS: Final = ("cve5", "nvd2", "nvd1", "ghsa", "osv", "csaf", "jsonl", "json", "csv", "tsv", "text", "kev")
"""Formats, the most trusted for an item's text first; others come between the user's files and KEV's catalogue."""
_BEFORE_KEV = len(FIRST_FEEDS) - 2


class _OfParty(Protocol):
    @property
    def party(self) -> Party: ...


Said = TypeVar("Said", bound=_OfParty)
Value = TypeVar("Value")


def advisory_text(advisory: Advisory) -> str:
    """Return the text that is classified."""
    return advisory.description or advisory.title


def join_records(records: Mapping[str, Advisory]) -> Advisory:
    """Return one advisory from the current record of each kind of feed; at least one is needed."""
    ordered = [records[kind] for kind in sorted(records, key=_rank)]
    if len(ordered) == 1:
        return ordered[0]
    described = next((each for each in ordered if each.description), ordered[0])
    return replace(
        ordered[0],
        description=described.description,
        languages=described.languages,
        title=_first(ordered, lambda each: each.title, ""),
        aliases=tuple(dict.fromkeys(alias for each in ordered for alias in each.aliases)),
        weaknesses=_by_party([each.weaknesses for each in ordered]),
        cvss=_by_party([each.cvss for each in ordered]),
        ssvc=_first(ordered, lambda each: each.ssvc, None),
        kev_date_added=_first(ordered, lambda each: each.kev_date_added, ""),
        published=_first(ordered, lambda each: each.published, ""),
        modified=max(each.modified for each in ordered),
    )


def _rank(kind: str) -> tuple[int, str]:
    return (FIRST_FEEDS.index(kind) if kind in FIRST_FEEDS else _BEFORE_KEV, kind)


def _first(records: list[Advisory], field: Callable[[Advisory], Value], nothing: Value) -> Value:
    return next((value for each in records if (value := field(each))), nothing)


def _by_party(said: list[tuple[Said, ...]]) -> tuple[Said, ...]:
    taken: set[Party] = set()
    joined: list[Said] = []
    for one in said:
        joined += [each for each in one if each.party not in taken]
        taken |= {each.party for each in one}
    return tuple(joined)
