"""What to map to instead of an entry that MITRE discourages or prohibits.

The order, first source that yields an entry which may be used:

1. the entry itself;
2. the entries that MITRE names instead: formal suggestions, then those in the mapping comments, then what replaced a
   deprecated entry. Each is checked again, because MITRE's notes sometimes point at entries that may not be used either
   (CWE-391 names CWE-1069, which is Prohibited);
3. for a named chain, its links; MITRE asks to map to each of them;
4. if MITRE named only entries that may not be used, what is to be preferred to those;
5. for a category or view, its member weaknesses;
6. the nearest level of descendants in View-1000 that holds an entry which may be used;
7. the nearest such level of ancestors.

Within 5, 6 and 7 Allowed comes before Allowed-with-Review, members of View-1003 (the entries made for mapping published
vulnerabilities) before others, then lower numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ctiforge.core.ids import cwe_number

if TYPE_CHECKING:
    from ctiforge.sources.cwe import CweCatalogue

__all__ = ["Preference", "PreferenceFinder", "PreferenceSource"]

PreferenceSource = Literal["itself", "mitre", "chain", "members", "descendants", "ancestors", "none"]
"""Where a preference comes from; ``mitre`` covers 2 and 4 of the order above."""


@dataclass(frozen=True, slots=True)
class Preference:
    """Entries to map to, best first, and the `source` they come from; empty with source ``none`` if there are none."""

    cwe_ids: tuple[str, ...]
    source: PreferenceSource


class PreferenceFinder:
    """Finds preferences in one catalogue and remembers them."""

    def __init__(self, catalogue: CweCatalogue) -> None:
        self._catalogue = catalogue
        self._known: dict[tuple[str, bool], Preference] = {}

    def find(self, cwe_id: str, *, review: bool = True) -> Preference:
        """Return the preference for any entry; an unknown one has none."""
        key = (cwe_id, review)
        if key not in self._known:
            self._known[key] = self._find(cwe_id, review, frozenset())
        return self._known[key]

    def _find(self, cwe_id: str, review: bool, asked: frozenset[str]) -> Preference:
        entry = self._catalogue.get(cwe_id)
        if entry is None or cwe_id in asked:
            return Preference((), "none")
        if self._usable(cwe_id, review):
            return Preference((cwe_id,), "itself")
        named = [suggestion.cwe_id for suggestion in entry.suggestions]
        if usable := tuple(other for other in named if self._usable(other, review)):
            return Preference(usable, "mitre")
        if usable := tuple(link for link in entry.chain if self._usable(link, review)):
            return Preference(usable, "chain")
        passed_on = [other for name in named for other in self._find(name, review, asked | {cwe_id}).cwe_ids]
        if passed_on:
            return Preference(tuple(dict.fromkeys(passed_on)), "mitre")
        if usable := self._ranked(self._members(cwe_id), review):
            return Preference(usable, "members")
        for level in self._levels(cwe_id, down=True):
            if usable := self._ranked(level, review):
                return Preference(usable, "descendants")
        for level in self._levels(cwe_id, down=False):
            if usable := self._ranked(level, review):
                return Preference(usable, "ancestors")
        return Preference((), "none")

    def _usable(self, cwe_id: str, review: bool) -> bool:
        catalogue = self._catalogue
        return catalogue.is_suggestable(cwe_id) and (review or catalogue[cwe_id].usage == "Allowed")

    def _ranked(self, cwe_ids: Iterable[str], review: bool) -> tuple[str, ...]:
        def rank(cwe_id: str) -> tuple[bool, bool, int]:
            allowed = self._catalogue[cwe_id].usage == "Allowed"
            return not allowed, not self._catalogue.in_view(cwe_id, 1003), cwe_number(cwe_id)

        return tuple(sorted((entry for entry in set(cwe_ids) if self._usable(entry, review)), key=rank))

    def _members(self, cwe_id: str) -> set[str]:
        """Return the weaknesses of a category or view, through categories below it."""
        found: set[str] = set()
        waiting = [cwe_id]
        while waiting:
            for member in self._catalogue.members(waiting.pop()):
                if member not in found:
                    found.add(member)
                    waiting.append(member)
        return found

    def _levels(self, cwe_id: str, *, down: bool) -> Iterable[set[str]]:
        """Return entries at one step, two steps, ... below or above."""
        seen, level = {cwe_id}, {cwe_id}
        step = self._catalogue.children if down else self._catalogue.parents
        while level := {other for entry in level for other in step(entry)} - seen:
            seen |= level
            yield level
