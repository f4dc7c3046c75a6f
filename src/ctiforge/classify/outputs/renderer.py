"""The interface of every output format: begin, one record at a time, end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ctiforge.classify.outputs.options import OutputOptions
from ctiforge.classify.prediction import Prediction

__all__ = ["OutputFormat", "Renderer"]


class Renderer(ABC):
    """Turns predictions into text, one at a time, holding at most counters between two records.

    The caller writes ``begin()``, then ``render(p)`` for every prediction in input order, then ``end()``. A renderer serves
    one output; make a new one for the next. A string that ``render`` returned is complete: a caller that stops after it
    leaves only whole records behind (whole lines, where the format is line based).
    """

    def __init__(self, options: OutputOptions) -> None:
        self.options = options
        self._left_out: Counter[str] = Counter()

    def begin(self) -> str:
        """Return what comes before the first record; may be empty."""
        return ""

    @abstractmethod
    def render(self, prediction: Prediction) -> str:
        """Return one record; empty where the format has no place for it, which `left_out` then counts."""

    def end(self) -> str:
        """Return what comes after the last record; may be empty."""
        return ""

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many records the format could not carry, by reason in words; for the caller's summary."""
        return dict(self._left_out)

    def _leave_out(self, reason: str) -> str:
        self._left_out[reason] += 1
        return ""


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """One entry of the registry.

    Attributes:
        name: what the user types.
        description: one line for the help text.
        suffix: usual end of a file name, with the dot.
        line_based: every record is a whole line (or block of lines) that depends on no other, so an interrupted run leaves a
            valid file, and records may be rendered in several processes; a document format is valid only once `Renderer.end`
            was written, and all its records go through one renderer.
        renderer: makes a fresh renderer.
    """

    name: str
    description: str
    suffix: str
    line_based: bool
    renderer: Callable[[OutputOptions], Renderer]
