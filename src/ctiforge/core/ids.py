"""Identifiers as people write them, and the one spelling used inside.

CVE identifiers follow the CVE Program's syntax (``CVE-`` year ``-`` four or more digits); CWE identifiers are ``CWE-`` and a
number without leading zeros, as in https://cwe.mitre.org/.
"""

from __future__ import annotations

import re

__all__ = ["cwe_number", "find_cve_id", "find_cve_ids", "find_cwe_ids", "parse_cve_id", "parse_cwe_id"]

# Hyphens that survive copy and paste: hyphen, non-breaking hyphen, figure dash, en and em dash, minus, small and full-width.
_DASH = "\\-\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d"
_CVE = re.compile(rf"\bCVE[{_DASH}\s_]?((?:19|20)\d\d)[{_DASH}\s_](\d{{4,19}})(?!\d)", re.IGNORECASE)
_CWE = re.compile(rf"\bCWE(?:[{_DASH}\s_:#]|ID)*0*(\d{{1,5}})(?!\d)", re.IGNORECASE)
_BARE_NUMBER = re.compile(r"\s*0*(\d{1,5})\s*")


def find_cve_id(text: str) -> str | None:
    """Return the first CVE identifier in `text`, spelled ``CVE-2024-23848``, or None."""
    match = _CVE.search(text)
    return f"CVE-{match[1]}-{match[2]}" if match else None


def find_cve_ids(text: str) -> list[str]:
    """Return every CVE identifier in `text`, in order and with repeats, each spelled ``CVE-2024-23848``."""
    return [f"CVE-{year}-{number}" for year, number in _CVE.findall(text)]


def parse_cve_id(text: str) -> str | None:
    """Return `text` as a CVE identifier if it is one and nothing else, or None."""
    match = _CVE.fullmatch(text.strip())
    return f"CVE-{match[1]}-{match[2]}" if match else None


def parse_cwe_id(value: str | int) -> str | None:
    """Return the first CWE identifier in `value`, spelled ``CWE-79``, or None.

    Reads ``cwe 79``, ``CWE_79``, ``CWE\u201179`` (non-breaking hyphen), ``CWE-079: Improper ...`` and a bare ``79``. A name
    without a number needs the catalogue: see `ctiforge.sources.cwe.CweCatalogue.resolve`.
    """
    if isinstance(value, int):
        return f"CWE-{value}" if value > 0 else None
    match = _CWE.search(value) or _BARE_NUMBER.fullmatch(value)
    return f"CWE-{int(match[1])}" if match and int(match[1]) else None


def find_cwe_ids(text: str) -> list[str]:
    """Return every CWE identifier in `text`, in order and with repeats, each spelled ``CWE-79``; ``CWE-0`` is none."""
    return [f"CWE-{int(number)}" for number in _CWE.findall(text) if int(number)]


def cwe_number(cwe_id: str) -> int:
    """Return the number of a normalised identifier: 79 for ``CWE-79``."""
    return int(cwe_id[4:])
