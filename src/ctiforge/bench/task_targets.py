"""Gold answers in their normal form, by kind of answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from string import ascii_uppercase
from typing import Any, Final

from ctiforge.bench.task import AnswerKind
from ctiforge.bench.task_rows import Row
from ctiforge.core.errors import MissingExtraError
from ctiforge.core.ids import parse_cwe_id

__all__ = ["base_score", "fold_techniques", "normal_target", "target_of", "vector_in_normal_form"]

_SEPARATORS = re.compile(r"[\s,;|]+")
_TECHNIQUE = re.compile(r"T\d{4}(?:\.\d{3})?")
_MITIGATION = re.compile(r"M\d{4}")
_CWE_ONLY = re.compile(r"\s*(?:CWE\W?)?0*\d{1,5}\s*", re.IGNORECASE)
_BASE_METRICS = ("AV", "AC", "PR", "UI", "S", "C", "I", "A")
_PREFIX = re.compile(r"CVSS:3\.[01]/", re.IGNORECASE)


def normal_target(kind: AnswerKind, gold: str, choices: int = 0) -> str:
    """Return a gold answer in normal form: ``CWE-79``, ``B``, ``CVSS:3.1/AV:N/...``, ``T1059,T1071`` (sorted, sub-techniques
    folded into their technique), ``M1018,M1026`` (sorted), a name or a text without outer space.

    Args:
        choices: number of options, for ``choice``.

    Raises:
        ValueError: `gold` is no such answer; the message says why.
        MissingExtraError: vectors need the package cvss.
    """
    if kind == "choice":
        return _letter(gold, choices)
    return _NORMAL[kind](gold)


def target_of(row: Row, kind: AnswerKind, *names: str, choices: int = 0, needed: bool = True) -> str:
    """Return the gold answer of a row, from the first of its columns `names` that is filled, in normal form.

    Args:
        needed: False gives an empty target (an unscored sample) where there is none.

    Raises:
        InputError: the gold is missing or cannot be read; names file and row.
        MissingExtraError: vectors need the package cvss.
    """
    gold = row.value(*names)
    if isinstance(gold, list) and all(isinstance(item, str) for item in gold):
        text = ", ".join(gold)
    else:
        text = row.text(*names) if needed else row.optional(*names)
    if not text.strip():
        return ""
    try:
        return normal_target(kind, text, choices)
    except ValueError as error:
        raise row.fault(f"{names[0]!r}: {error}") from None


def _cwe(gold: str) -> str:
    cwe_id = parse_cwe_id(gold) if _CWE_ONLY.fullmatch(gold) else None
    if cwe_id is None:
        raise ValueError(f"{gold[:60]!r} is not one CWE ID")
    return cwe_id


def _letter(gold: str, choices: int) -> str:
    letter = gold.strip().rstrip(".)").upper()
    if len(letter) != 1 or letter not in ascii_uppercase[:choices]:
        raise ValueError(f"{gold[:60]!r} is not the letter of one of the {choices} options")
    return letter


def _set_of(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def normal(gold: str) -> str:
        labels = [label.upper() for label in _SEPARATORS.split(gold) if label]
        for label in labels:
            if not pattern.fullmatch(label):
                raise ValueError(f"{label[:60]!r} is not {what}")
        return ",".join(sorted({label.partition(".")[0] for label in labels}))

    return normal


def fold_techniques(text: str) -> frozenset[str]:
    """Return the techniques named in `text`, each sub-technique (``T1059.001``) as its technique (``T1059``)."""
    return frozenset(label.partition(".")[0] for label in _TECHNIQUE.findall(text.upper()))


def vector_in_normal_form(text: str) -> str:
    """Return the base metrics of a CVSS 3.0 or 3.1 vector in the specification's order; without ``CVSS:`` it is taken for 3.1.

    Raises:
        ValueError: it is none, or lacks one of the eight base metrics.
        MissingExtraError: the package cvss is not installed.
    """
    vector = _parsed(text)
    version = f"CVSS:3.{vector.minor_version}"
    return "/".join([version, *(f"{metric}:{vector.metrics[metric]}" for metric in _BASE_METRICS)])


@lru_cache(maxsize=8192)
def base_score(vector: str) -> float:
    """Return the base score, 0 to 10 in steps of 0.1, of a CVSS 3.0 or 3.1 vector.

    Source: FIRST, Common Vulnerability Scoring System v3.1 specification, section 7.1, as the package cvss implements it.

    Raises:
        ValueError: it is no such vector, or lacks a base metric.
        MissingExtraError: the package cvss is not installed.
    """
    return float(_parsed(vector).base_score)


def _parsed(text: str) -> Any:
    try:
        from cvss import CVSS3
        from cvss.exceptions import CVSS3Error
    except ImportError:
        raise MissingExtraError("cvss", "bench") from None
    vector = text.strip().upper()
    if not _PREFIX.match(vector):
        vector = "CVSS:3.1/" + vector
    try:
        return CVSS3(vector)
    except CVSS3Error as error:
        raise ValueError(f"not a CVSS v3 vector: {error}") from None


_NORMAL: Final[Mapping[AnswerKind, Callable[[str], str]]] = {
    "cwe": _cwe,
    "cvss_vector": vector_in_normal_form,
    "technique_set": _set_of(_TECHNIQUE, "an ATT&CK technique ID"),
    "mitigation_set": _set_of(_MITIGATION, "an ATT&CK mitigation ID"),
    "actor": lambda gold: " ".join(gold.split()),
    "text": str.strip,
}
