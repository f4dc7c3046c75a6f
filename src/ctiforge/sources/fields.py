"""Typed access to JSON that somebody else wrote: the wrong type reads as absent, never as an exception."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ctiforge.core.advisory import AssignedWeakness, CvssScore, Party
from ctiforge.core.ids import parse_cwe_id

__all__ = [
    "LocalText",
    "as_dict",
    "as_list",
    "as_text",
    "build_cvss",
    "build_weaknesses",
    "choose_english",
    "dicts",
    "unique",
]

_NEXT_CWE = re.compile(r"(?=\bCWE\W{0,3}\d)", re.IGNORECASE)
_EMPTY_LABELS = frozenset({"", "n/a", "na", "none", "null", "-"})
_CVSS_PREFIX = re.compile(r"CVSS:(\d\.\d)/")


@dataclass(frozen=True, slots=True)
class LocalText:
    """The text chosen among several languages, and the languages there were."""

    text: str
    languages: tuple[str, ...]


def as_dict(value: Any) -> dict[str, Any]:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return `value` if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def dicts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of an array, whatever else stands in it."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield item


def as_text(value: Any) -> str:
    """Return a string or number as text without outer white space and NUL; an empty string for anything else."""
    if isinstance(value, str):
        return (value.replace("\0", "") if "\0" in value else value).strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return ""


def unique(values: Iterable[str], *, without: str = "") -> tuple[str, ...]:
    """Return the non-empty `values` once each in order, leaving out `without`."""
    return tuple(dict.fromkeys(value for value in values if value and value != without))


def choose_english(entries: Iterable[tuple[Any, Any]]) -> LocalText:
    """Choose the longest English text among (language, text) pairs.

    English is any language tag that starts with ``en``, in any case (``en``, ``en-US``, ``eng``); a text without a tag
    counts as English, because every schema here says so.
    """
    chosen = ""
    languages: dict[str, None] = {}
    for lang, value in entries:
        text = as_text(value)
        tag = as_text(lang)
        if not text:
            continue
        languages[tag or "en"] = None
        if len(text) > len(chosen) and (not tag or tag[:2].lower() == "en"):
            chosen = text
    return LocalText(chosen, tuple(languages))


def build_weaknesses(party: Party, text: Any, *, cwe_id: Any = None, assigner: str = "") -> list[AssignedWeakness]:
    """Return what a party wrote about the weakness as `AssignedWeakness`es.

    `cwe_id` wins where it can be read. A text that names several CWE numbers gives one entry each; words without a
    number are kept with ``cwe_id=None``; placeholders such as ``n/a`` give nothing.
    """
    words = as_text(text)
    given = parse_cwe_id(str(cwe_id)) if isinstance(cwe_id, (str, int)) and not isinstance(cwe_id, bool) else None
    if given:
        return [AssignedWeakness(party, given, words or given, assigner)]
    if not words and isinstance(cwe_id, str):
        words = cwe_id.strip()
    if words.lower() in _EMPTY_LABELS:
        return []
    if words.upper().count("CWE") > 1:
        found = [AssignedWeakness(party, parse_cwe_id(part), part.strip(" ,;|\n"), assigner) for part in _NEXT_CWE.split(words)]
        if numbered := [weakness for weakness in found if weakness.cwe_id]:
            return numbered
    return [AssignedWeakness(party, parse_cwe_id(words), words, assigner)]


def build_cvss(party: Party, data: Any, *, version: str = "") -> CvssScore | None:
    """Return the CVSS score in an object of FIRST's CVSS JSON schemas (any version), or None without a vector and score."""
    fields = as_dict(data)
    vector = as_text(fields.get("vectorString") or fields.get("vector_string"))
    score = fields.get("baseScore", fields.get("score"))
    base_score = float(score) if isinstance(score, (int, float)) and not isinstance(score, bool) else None
    if not vector and base_score is None:
        return None
    prefix = _CVSS_PREFIX.match(vector)
    return CvssScore(party, prefix[1] if prefix else as_text(fields.get("version")) or version or "2.0", vector, base_score)
