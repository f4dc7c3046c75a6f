"""The one spelling in which texts are compared for equality."""

from __future__ import annotations

import re

__all__ = ["normalize_text"]

_NOT_WORD = re.compile(r"\W+")


def normalize_text(text: str) -> str:
    """Return `text` in lower case with every run of other than letters, digits and underscores as one space."""
    return _NOT_WORD.sub(" ", text.lower()).strip()
