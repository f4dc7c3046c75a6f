"""The part of a completion that can hold an answer: no thinking, no markdown, one spelling of dashes and Latin letters.

Everything here is linear in the length of the text. `unicodedata.normalize` is not: long runs of combining marks take it
quadratic time, so look-alike characters are translated one by one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

__all__ = ["collapse", "last_lines", "plain_text", "without_thinking"]

# Fonts, circles, brackets and full-width forms of letters, digits and punctuation.
_LOOKALIKE_BLOCKS = ((0x2460, 0x24FF), (0xFE50, 0xFE6F), (0xFF01, 0xFF5E), (0x1D400, 0x1D7FF), (0x1F100, 0x1F169))
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_QUOTES = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'}

# The tags that chat templates of reasoning models use; Gemma 4 writes <|channel>thought ... <channel|>.
_THINKING = re.compile(
    r"(?P<open><(?:think|thinking|thought|reasoning)>|\[THINK\]|<\|channel>thought)"
    r"|</(?:think|thinking|thought|reasoning)>|\[/THINK\]|<channel\|>",
    re.IGNORECASE,
)
_EMPHASIS = re.compile(r"[*`]|(?<![^\W_])_|_(?![^\W_])")
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textit)(?=\{)|\\[()\[\]]|\$")
_WORD = re.compile(r"[^\W_]")


@cache
def _spelling() -> dict[int, str]:
    table: dict[int, str] = {}
    for first, last in _LOOKALIKE_BLOCKS:
        for code in range(first, last + 1):
            plain = unicodedata.normalize("NFKC", chr(code))
            if plain != chr(code) and plain.isascii():
                table[code] = plain
    table.update({ord(dash): "-" for dash in _DASHES})
    table.update({ord(character): "" for character in _INVISIBLE})
    table.update({ord(space): " " for space in _SPACES})
    table.update({ord(quote): plain for quote, plain in _QUOTES.items()})
    return table


def without_thinking(text: str) -> str:
    """Return `text` without what a reasoning model thought.

    A closed block is left out. A block that does not close is thinking to the end: such a completion has no answer yet. A
    closing tag without an opening one (the template put that into the prompt) makes everything before it thinking.
    """
    if "<" not in text and "[" not in text:
        return text
    kept: list[str] = []
    position = 0
    thinking = False
    for tag in _THINKING.finditer(text):
        if not thinking:
            kept.append(text[position : tag.start()])
        if tag["open"]:
            thinking = True
        else:
            if not thinking:
                kept.clear()
            thinking = False
        position = tag.end()
    if not thinking:
        kept.append(text[position:])
    return "\n".join(kept)


def plain_text(text: str) -> str:
    """Return what `text` says, without thinking, markdown emphasis, LaTeX and look-alike characters; lines stay lines."""
    said = without_thinking(text)
    if not said.isascii():
        said = said.translate(_spelling())
    return _EMPHASIS.sub("", _LATEX.sub("", said))


def last_lines(text: str, count: int = 1) -> list[str]:
    """Return the last `count` lines of `text` that hold a letter or digit, the last one first, without outer space."""
    found: list[str] = []
    for line in reversed(text.splitlines()):
        if _WORD.search(line):
            found.append(line.strip())
            if len(found) == count:
                break
    return found


def collapse(text: str) -> str:
    """Return `text` with every run of white space as one space and none outside."""
    return " ".join(text.split())
