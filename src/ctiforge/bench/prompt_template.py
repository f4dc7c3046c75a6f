"""Prompts of a declared task: a text with ``{column}`` where the cells of a row go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import Formatter, ascii_uppercase

__all__ = ["PromptTemplate", "parse_template", "render_options"]


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A parsed template: pieces of text, each followed by the name of a column (None after the last)."""

    pieces: tuple[tuple[str, str | None], ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that it names, in order, each once."""
        return tuple(dict.fromkeys(name for _, name in self.pieces if name is not None))

    def render(self, cell: Callable[[str], str]) -> str:
        """Return the text with the cells that `cell` gives; what stands in them is never read as a template."""
        return "".join(text + (cell(name) if name is not None else "") for text, name in self.pieces)


def parse_template(text: str) -> PromptTemplate:
    """Read a template; ``{{`` and ``}}`` stand for braces. A column's name may have any signs but ``!``, ``:`` and braces.

    Raises:
        ValueError: a brace does not close, or has nothing or a format between it and the next.
    """
    pieces: list[tuple[str, str | None]] = []
    for before, name, spec, conversion in Formatter().parse(text):
        if name is not None and (not name.strip() or spec or conversion):
            raise ValueError("between braces goes the name of a column and nothing else; write {{ and }} for braces")
        pieces.append((before, name))
    return PromptTemplate(tuple(pieces))


def render_options(choices: Sequence[str]) -> str:
    """Return options as lines: ``A) first``, ``B) second``."""
    return "\n".join(f"{letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False))
