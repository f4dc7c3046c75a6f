"""A table without a form: columns, cells and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Cell", "Column", "Table", "Tone"]

Tone = Literal["", "strong", "quiet", "good", "warn", "bad"]
"""``bad``: there is no figure, or one not to be used; ``warn``: a figure with a reservation."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. Its text is not escaped; who draws it does."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many cells as there are columns.

    Attributes:
        key: names the kind of table: ``outcomes``, ``sensitivity``.
    """

    key: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def without(self, name: str) -> Table:
        """Return the table without the column of that name, if there is one."""
        kept = [place for place, column in enumerate(self.columns) if column.name != name]
        return Table(
            self.key,
            self.caption,
            tuple(self.columns[place] for place in kept),
            tuple(tuple(row[place] for place in kept) for row in self.rows),
        )
