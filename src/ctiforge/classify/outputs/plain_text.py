"""Foreign text made safe to show: advisories come from anywhere, and a terminal obeys what it prints.

Control characters (C0, C1), bidirectional overrides and lone surrogates become U+FFFD, so that an advisory can neither
send escape sequences to a terminal nor reorder what a person reads (https://trojansource.codes). White space of any kind
becomes one space; zero-width characters go.
"""

from __future__ import annotations

import re

__all__ = ["UNSAFE", "one_line", "printable", "printable_lines", "without_surrogates"]

_SPACE = re.compile(r"[\s\u0085\u2028\u2029]+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
UNSAFE = re.compile("[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb]")
"""Any one character that must not reach a terminal."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """Return `text` on one line and of the same length, every unsafe character replaced; offsets stay true."""
    text = re.sub(r"[\s\u0085\u2028\u2029]", " ", text)
    return UNSAFE.sub("\ufffd", _INVISIBLE.sub(" ", text))


def one_line(text: str, limit: int | None = None) -> str:
    """Return `text` on one line, safe to print, runs of white space as one space; cut to `limit` characters with ``…``."""
    clean = UNSAFE.sub("\ufffd", _INVISIBLE.sub("", _SPACE.sub(" ", text))).strip()
    return clean if limit is None or len(clean) <= limit else clean[: limit - 1].rstrip() + "…"


def printable_lines(text: str) -> str:
    """Return `text` with its tabs and line breaks, every other unsafe character replaced: some databases refuse them."""
    return UNSAFE.sub(lambda match: match[0] if match[0] in "\t\n\r" else "\ufffd", text)


def without_surrogates(text: str) -> str:
    """Return `text` with lone surrogates as U+FFFD, so that it can be written as UTF-8."""
    return _SURROGATE.sub("\ufffd", text)
