"""Answers that are CVSS v3 base vectors (CVSS v3.1 specification, section 6)."""

from __future__ import annotations

import re

from ctiforge.bench.extraction.plain import last_lines, plain_text
from ctiforge.bench.task import Sample

__all__ = ["last_line_vector", "last_vector"]

_BASE = {"AV": "NALP", "AC": "LH", "PR": "NLH", "UI": "NR", "S": "UC", "C": "NLH", "I": "NLH", "A": "NLH"}
_PAIR = r"[A-Za-z]{1,3}[ \t]?:[ \t]?[A-Za-z](?![A-Za-z0-9])"
_VECTOR = re.compile(
    rf"(?:CVSS[ \t]?:?[ \t]?v?(\d(?:\.\d)?)[ \t]?[/:][ \t]?)?(?<![A-Za-z0-9])({_PAIR}(?:[ \t]?/[ \t]?{_PAIR}){{3,}})",
    re.IGNORECASE | re.ASCII,
)


def _normal(version: str, pairs: str) -> str | None:
    if version not in ("", "3", "3.0", "3.1"):
        return None
    metrics: dict[str, str] = {}
    for pair in pairs.upper().split("/"):
        name, value = (part.strip() for part in pair.split(":"))
        if metrics.setdefault(name, value) != value:
            return None
    if any(metrics.get(name, "-") not in values for name, values in _BASE.items()):
        return None
    base = "/".join(f"{name}:{metrics[name]}" for name in _BASE)
    return f"CVSS:{'3.0' if version == '3.0' else '3.1'}/{base}"


def last_vector(text: str, sample: Sample) -> str | None:
    """Return the last vector of `text` in the specification's order of metrics, base metrics only.

    Any order of metrics is read, with or without ``CVSS:3.1/``; without it the vector is taken for version 3.1. The last run of
    four metrics or more decides: where it lacks a base metric, says one twice in two ways, gives one a value that it cannot
    have or is of another version, there is no answer.
    """
    found = _VECTOR.findall(plain_text(text))
    return _normal(*found[-1]) if found else None


def last_line_vector(text: str, sample: Sample) -> str | None:
    """Return the last vector of the last line, as `last_vector` does."""
    return last_vector("".join(last_lines(plain_text(text))), sample)
