"""Where MITRE's rules or a view move an answer to another entry, and why.

MITRE's mapping guidance asks for the lowest entry that the text supports, and not for a Pillar or Class where a better entry is
named (https://cwe.mitre.org/documents/cwe_usage/guidance.html).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctiforge.classify.prediction import Move
from ctiforge.core.errors import SettingError, did_you_mean
from ctiforge.core.ids import parse_cwe_id
from ctiforge.sources.cwe import CweCatalogue

__all__ = ["PreferenceMoves", "ViewMoves", "find_view"]

_LEAST = 0.05
_LEAST_SHARE = 0.5

Mask = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]


def find_view(text: str | int, catalogue: CweCatalogue) -> str:
    """Return the identifier of a view, ``CWE-1003``.

    Raises:
        SettingError: the catalogue has no such view.
    """
    view = parse_cwe_id(text)
    if view not in catalogue.views:
        numbers = [each.removeprefix("CWE-") for each in catalogue.views]
        hint = did_you_mean(str(text), numbers) or "1003 is NVD's simplified set, 1000 has every weakness"
        raise SettingError(f"CWE {catalogue.version} has no view {str(text)!r}", fix=hint)
    return view


class PreferenceMoves:
    """From a Discouraged entry to one that MITRE prefers, or that lies below it, where the text clearly points there.

    Args:
        labels: the model's K labels.
        offered: which of them the policy offers.
    """

    def __init__(self, labels: Sequence[str], offered: Mask, catalogue: CweCatalogue) -> None:
        self._labels = labels
        self._catalogue = catalogue
        place = {label: i for i, label in enumerate(labels) if offered[i]}
        self._instead: dict[int, list[int]] = {}
        for i, label in enumerate(labels):
            if not offered[i] and catalogue.is_weakness(label):
                named = dict.fromkeys([*catalogue.nearest_allowed(label), *catalogue.descendants(label)])
                self._instead[i] = [place[each] for each in named if each in place]

    def find(self, discouraged: int, best: int, probabilities: Doubles, threshold: float) -> Move | None:
        """Return the move from `discouraged` to `best`, or None where it would be a guess.

        `best` must be an entry to use instead, have a probability of at least 0.05 and half of what all such entries have
        together; and the two entries' probabilities together must reach the threshold.

        Args:
            discouraged, best: places among the labels.
            probabilities: shape (K,).
        """
        instead = self._instead.get(discouraged, [])
        own = float(probabilities[best])
        if best not in instead or own < _LEAST or own < _LEAST_SHARE * float(probabilities[instead].sum()):
            return None
        if own + float(probabilities[discouraged]) < threshold:
            return None
        before, after = self._labels[discouraged], self._labels[best]
        preference = self._catalogue.preference(before)
        named = preference.source == "mitre" and after in preference.cwe_ids
        why = "MITRE names it instead" if named else "it lies below, and MITRE asks for the lowest entry that fits"
        return Move(before, f"MITRE discourages {before} ({self._catalogue[before].abstraction}); {why}")


class ViewMoves:
    """From entries outside a view to their nearest ancestors in it.

    Args:
        labels: the model's K labels.
        offered: which of them the policy offers.
        view: identifier of the view.

    Attributes:
        members: which labels are in the view.
    """

    def __init__(self, labels: Sequence[str], offered: Mask, view: str, catalogue: CweCatalogue) -> None:
        self.view = view
        self.members = np.array([catalogue.in_view(label, view) for label in labels])
        place = {label: i for i, label in enumerate(labels) if offered[i] and self.members[i]}
        self._labels = labels
        self._target = np.full(len(labels), -1, dtype=np.int64)
        for i, label in enumerate(labels):
            near = [label, *catalogue.ancestors(label)] if catalogue.is_weakness(label) else []
            self._target[i] = next((place[each] for each in near if each in place), -1)
        known = np.flatnonzero(self._target >= 0)
        self._gather = np.zeros((len(labels), len(labels)))
        self._gather[known, self._target[known]] = 1

    def combine(self, probabilities: Doubles) -> Doubles:
        """Return, for B texts, the probability that any of the entries that move to a label is right: shape (B, K)."""
        missed = np.log1p(-np.minimum(probabilities, 1 - 1e-12))
        combined: Doubles = -np.expm1(missed @ self._gather)
        return combined

    def source(self, target: int, probabilities: Doubles) -> int:
        """Return the likeliest of the labels that move to `target` (itself, if that is the likeliest)."""
        moved = np.flatnonzero(self._target == target)
        return int(moved[probabilities[moved].argmax()])

    def move(self, source: int, target: int) -> Move | None:
        """Return why `target` stands for `source`; None where they are the same."""
        if source == target:
            return None
        number = self.view.removeprefix("CWE-")
        return Move(self._labels[source], f"{self._labels[source]} is not in view {number}; this is its nearest ancestor there")
