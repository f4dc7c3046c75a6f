"""JSON documents with one long list in them, written one element at a time."""

from __future__ import annotations

import uuid
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Final

from ctiforge.classify.outputs.options import OutputOptions
from ctiforge.classify.outputs.record import json_text
from ctiforge.classify.outputs.renderer import Renderer
from ctiforge.classify.prediction import Prediction

__all__ = ["JsonListRenderer", "highest_score", "stable_uuid"]

_NAMES: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://ctiforge.invalid/triage")


def stable_uuid(*names: str) -> str:
    """Return a UUID (version 5) that is the same for the same names."""
    return str(uuid.uuid5(_NAMES, "\n".join(names)))


def highest_score(prediction: Prediction) -> float | None:
    """Return the highest CVSS base score that a party gave in version 3 or 4, else in 2; None without one."""
    scores = prediction.advisory.cvss if prediction.advisory else ()
    given = [(each.version >= "3", each.base_score) for each in scores if each.base_score is not None]
    return max(given)[1] if given else None


class JsonListRenderer(Renderer):
    """Writes `head`, the elements, and what `tail` adds; a document without elements is whole too."""

    def __init__(self, options: OutputOptions) -> None:
        super().__init__(options)
        self._count = 0

    @abstractmethod
    def head(self) -> str:
        """Return the document up to its list."""

    @abstractmethod
    def elements(self, prediction: Prediction) -> Iterable[dict[str, Any]]:
        """Return the elements for one decision; none where the format has no place for it."""

    @abstractmethod
    def tail(self) -> str:
        """Return the document after its list."""

    def begin(self) -> str:
        """Return what comes before the first element."""
        return self.head()

    def render(self, prediction: Prediction) -> str:
        """Return the elements of one decision with the commas that they need."""
        written = ""
        for element in self.elements(prediction):
            written += (",\n" if self._count else "\n") + json_text(element)
            self._count += 1
        return written

    def end(self) -> str:
        """Return what comes after the last element."""
        return f"\n{self.tail()}\n"
