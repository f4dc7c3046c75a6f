"""Answers that are identifiers: one CWE, a set of ATT&CK techniques, a set of ATT&CK mitigations."""

from __future__ import annotations

import re

from ctiforge.bench.extraction.plain import last_lines, plain_text
from ctiforge.bench.task import Sample

__all__ = [
    "all_mitigations",
    "all_techniques",
    "first_cwe",
    "last_cwe",
    "last_line_cwe",
    "last_line_mitigations",
    "last_line_techniques",
    "unique_cwe",
]

# As MITRE writes it; only a text without one such is searched for `CWE 79`, `CWE: 79` and `CWE ID 79`, lest "the CWE 2023 list"
# be an answer. Numbers have four digits at most.
_CWE = re.compile(r"(?<![^\W_])CWE-0{0,8}([1-9]\d{0,3})(?!\d)", re.IGNORECASE | re.ASCII)
_LOOSE_CWE = re.compile(
    r"(?<![^\W_])CWE[\s_:#-]{0,4}(?:ID|number)?[\s_:#-]{0,4}0{0,8}([1-9]\d{0,3})(?![\d.]*\d)", re.IGNORECASE | re.ASCII
)
_TECHNIQUE = re.compile(r"(?<![^\W_])T(\d{4})(?!\d)", re.IGNORECASE | re.ASCII)
_MITIGATION = re.compile(r"(?<![^\W_])M(\d{4})(?!\d)", re.IGNORECASE | re.ASCII)


def _cwes(text: str) -> list[str]:
    numbers = _CWE.findall(text) or _LOOSE_CWE.findall(text)
    return [f"CWE-{number}" for number in numbers]


def last_cwe(text: str, sample: Sample) -> str | None:
    """Return the last CWE that `text` names."""
    found = _cwes(plain_text(text))
    return found[-1] if found else None


def first_cwe(text: str, sample: Sample) -> str | None:
    """Return the first CWE that `text` names."""
    found = _cwes(plain_text(text))
    return found[0] if found else None


def unique_cwe(text: str, sample: Sample) -> str | None:
    """Return the CWE that `text` names if it names no other (``match_if_unique`` in Cisco's FAITH)."""
    found = set(_cwes(plain_text(text)))
    return found.pop() if len(found) == 1 else None


def last_line_cwe(text: str, sample: Sample) -> str | None:
    """Return the last CWE of the last line."""
    found = [cwe for line in last_lines(plain_text(text)) for cwe in _cwes(line)]
    return found[-1] if found else None


def _join(ids: set[str]) -> str | None:
    return ",".join(sorted(ids)) or None


def _last_line(text: str) -> str:
    return "".join(last_lines(plain_text(text)))


def _techniques(text: str) -> str | None:
    return _join({f"T{number}" for number in _TECHNIQUE.findall(text)})


def last_line_techniques(text: str, sample: Sample) -> str | None:
    """Return the techniques of the last line, sub-techniques as their parents (CTI-ATE asks for main techniques)."""
    return _techniques(_last_line(text))


def all_techniques(text: str, sample: Sample) -> str | None:
    """Return every technique that `text` names, sub-techniques as their parents."""
    return _techniques(plain_text(text))


def _mitigations(text: str) -> str | None:
    return _join({f"M{number}" for number in _MITIGATION.findall(text)})


def last_line_mitigations(text: str, sample: Sample) -> str | None:
    """Return the ATT&CK mitigations of the last line."""
    return _mitigations(_last_line(text))


def all_mitigations(text: str, sample: Sample) -> str | None:
    """Return every ATT&CK mitigation that `text` names."""
    return _mitigations(plain_text(text))
