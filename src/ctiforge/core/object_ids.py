"""Which ATT&CK, CWE and CAPEC objects a text or an address names."""

from __future__ import annotations

import re
from typing import Final

from ctiforge.core.ids import find_cwe_ids

__all__ = ["find_object_ids", "object_of_url"]

_ATTACK: Final = re.compile(r"(?<![\w.])((?:T\d{4}(?:\.\d{3})?|TA\d{4}|[GSMC]\d{4}|DET\d{4}|DC\d{4}|DS\d{4}))(?![\w])")
_CAPEC: Final = re.compile(r"\bCAPEC[-_ ]?0*(\d{1,4})(?!\d)", re.IGNORECASE)
_ATTACK_URL: Final = re.compile(
    r"attack\.mitre\.org/[\w/-]*?\b(T\d{4}|TA\d{4}|[GSMC]\d{4}|DS\d{4})(?:/(\d{3}))?", re.IGNORECASE
)
_CATALOGUE_URL: Final = re.compile(r"\b(cwe|capec)\.mitre\.org/data/definitions/0*(\d+)", re.IGNORECASE)


def object_of_url(url: str) -> str:
    """Return ``T1548.002``, ``CWE-79`` or ``CAPEC-66`` for a page of MITRE's sites, else an empty string."""
    if match := _ATTACK_URL.search(url):
        return match[1].upper() + (f".{match[2]}" if match[2] else "")
    if match := _CATALOGUE_URL.search(url):
        return f"{match[1].upper()}-{int(match[2])}"
    return ""


def find_object_ids(text: str) -> list[str]:
    """Return every ATT&CK, CWE and CAPEC identifier in `text`, by catalogue, with repeats."""
    found = _ATTACK.findall(text)
    low = text.casefold()
    if "cwe" in low:
        found += find_cwe_ids(text)
    if "capec" in low:
        found += [f"CAPEC-{int(number)}" for number in _CAPEC.findall(text)]
    return found
