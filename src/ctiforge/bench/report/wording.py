"""How a figure and a foreign text are written in a report."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = [
    "MISSING",
    "decimal",
    "escape_html",
    "escape_markdown",
    "figure",
    "interval",
    "mean_and_deviation",
    "plain",
    "plural",
    "short_digest",
]

MISSING: Final = "–"
"""What stands where there is no figure; never a zero."""

_SPACE = re.compile(r"[\s\u0085\u2028\u2029]+")
_UNSAFE = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb\ufffe\uffff]"
)
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]#~|])")


def plain(text: object, limit: int = 120) -> str:
    """Return foreign text (a model's name, an endpoint) on one line, without control characters, cut to `limit`."""
    line = _UNSAFE.sub("\ufffd", _SPACE.sub(" ", str(text))).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def escape_html(text: str) -> str:
    """Return `text` as inert HTML, in content and in quoted attributes."""
    return html.escape(plain(text, 2000), quote=True)


def escape_markdown(text: str) -> str:
    """Return `text` as inert inline Markdown that stays in its table cell: no markup, link, HTML or mention."""
    line = html.escape(_PUNCTUATION.sub(r"\\\1", plain(text, 2000)), quote=False)
    # GitHub makes links of bare addresses, notifications of @names and formulas of what stands between dollars.
    return line.replace("@", "&#64;").replace("$", "&#36;").replace("://", "&#58;//").replace("www.", "www&#46;")


def figure(value: object, digits: int = 4) -> str:
    """Return a number with `digits` decimals, a count with separators, and a dash for what is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return MISSING
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def decimal(value: object, digits: int = 4) -> str:
    """As `figure`, for what is a share or a mean even where it happens to be an integer."""
    return figure(float(value), digits) if isinstance(value, int) and not isinstance(value, bool) else figure(value, digits)


def interval(part: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Return the 95 % interval of an accuracy or a slice, e.g. ``0.641–0.703``."""
    low, high = ((part or {}).get(key) for key in ("ci95_low", "ci95_high"))
    return MISSING if low is None or high is None else f"{decimal(low, digits)}–{decimal(high, digits)}"


def mean_and_deviation(accuracy: Mapping[str, Any] | None) -> str:
    """Return ``0.6754 ± 0.0035``; one trial has no deviation (``± –``), no valid trial has no accuracy."""
    if accuracy is None:
        return "no valid trial"
    return f"{decimal(accuracy.get('mean'))} ± {decimal(accuracy.get('std'))}"


def plural(count: int, noun: str) -> str:
    """Return ``1 trial``, ``2 trials``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def short_digest(digest: object) -> str:
    """Return the first twelve characters of a digest, enough to tell two apart."""
    return plain(digest, 200)[:12] if digest else MISSING
