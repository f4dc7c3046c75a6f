"""Chains: one weakness leads to another, and MITRE asks to map the root cause first.

https://cwe.mitre.org/documents/cwe_usage/guidance.html, 'Chains'.
"""

from __future__ import annotations

from collections.abc import Sequence

from ctiforge.sources.cwe import CweCatalogue

__all__ = ["ChainFinder"]

_FAR = 3
"""Steps up from a resulting weakness at which a CanPrecede still counts: MITRE states many for CWE-119, of which CWE-787 and
CWE-122 are kinds."""


class ChainFinder:
    """Finds pairs of entries of which one can lead to the other, and remembers them."""

    def __init__(self, catalogue: CweCatalogue) -> None:
        self._catalogue = catalogue
        self._known: dict[tuple[str, str], bool] = {}

    def find(self, cwe_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the first pair, root cause first, among entries in order of probability; empty if there is none."""
        for i, first in enumerate(cwe_ids):
            for second in cwe_ids[i + 1 :]:
                if self.leads_to(first, second):
                    return first, second
                if self.leads_to(second, first):
                    return second, first
        return ()

    def leads_to(self, cause: str, result: str) -> bool:
        """Say whether the catalogue has it that `cause` can precede `result`, or a near ancestor of `result`.

        Entries on one line of View-1000 are kinds of each other, no chain.
        """
        key = (cause, result)
        if key not in self._known:
            self._known[key] = self._leads_to(cause, result)
        return self._known[key]

    def _leads_to(self, cause: str, result: str) -> bool:
        catalogue = self._catalogue
        above = catalogue.ancestors(result)
        if cause == result or cause in above or result in catalogue.ancestors(cause):
            return False
        kinds = [result, *(each for each in above if (catalogue.distance(result, each) or 0) <= _FAR)]
        follows = catalogue[cause].can_precede
        return any(kind in follows or cause in catalogue[kind].can_follow for kind in kinds)
