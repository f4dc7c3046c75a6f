"""Prompts of a declared task: a text with ``{column}`` where the cells of a row go."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

__all__ = ["PromptTemplate", "parse_template", "render_options"]

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


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
    """Read a template; ``{{`` and ``}}`` stand for braces, and between single ones is the name of a column, as it is.

    Raises:
        ValueError: a brace has no other one, or nothing is between two.
    """
    pieces: list[tuple[str, str | None]] = []
    before, place = "", 0
    for match in _BRACES.finditer(text):
        before += text[place : match.start()]
        place = match.end()
        if match[0] in ("{{", "}}"):
            before += match[0][0]
        elif match[1] is not None and match[1].strip():
            pieces.append((before, match[1]))
            before = ""
        else:
            around = text[max(0, match.start() - 15) : match.end() + 15]
            raise ValueError(f"no name of a column between braces at {around!r}; write {{{{ and }}}} for braces")
    return PromptTemplate((*pieces, (before + text[place:], None)))


def render_options(choices: Sequence[str]) -> str:
    """Return options as lines: ``A) first``, ``B) second``."""
    return "\n".join(f"{letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False))
