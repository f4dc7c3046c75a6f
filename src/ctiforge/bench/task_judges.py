"""Judging an extracted answer against the gold: pure functions, shared by the tasks that ask for the same kind of answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from ctiforge.bench.actors import ActorAliases, judge_actor
from ctiforge.bench.task import AnswerKind, Judgement, Sample
from ctiforge.bench.task_targets import base_score, fold_techniques

__all__ = [
    "KIND_JUDGES",
    "Judge",
    "judge_casefold",
    "judge_exact",
    "judge_mitigations",
    "judge_set",
    "judge_techniques",
    "judge_vector",
]

Judge = Callable[[str, Sample], Judgement]

_MITIGATION = re.compile(r"M\d{4}")
_ITEM_SEPARATOR = re.compile(r"[,;\n]")


def judge_exact(answer: str, sample: Sample) -> Judgement:
    """Right if the answer is the target, both in normal form."""
    return _right_or_wrong(bool(sample.target) and answer == sample.target)


def judge_casefold(answer: str, sample: Sample) -> Judgement:
    """Right if the answer is the target but for case and the amount of space."""
    return _right_or_wrong(bool(sample.target) and _folded(answer) == _folded(sample.target))


def judge_vector(answer: str, sample: Sample) -> Judgement:
    """Right if both vectors have the same CVSS v3 base score, whatever their metrics; the value is the absolute deviation of
    the score, 0 to 10, from which CTI-Bench's measure is made (mean absolute deviation, arXiv 2406.07599).

    An answer that is not a complete vector is wrong and has the largest deviation there can be from this target.
    """
    target = base_score(sample.target)
    try:
        deviation = abs(base_score(answer) - target)
    except ValueError:
        deviation = max(target, 10 - target)
    deviation = round(deviation, 1)
    return Judgement(deviation == 0, deviation)


def judge_techniques(answer: str, sample: Sample) -> Judgement:
    """Right if the answer has exactly the target's ATT&CK techniques, sub-techniques folded; the value is F1 of the sets."""
    return _compare(fold_techniques(answer), fold_techniques(sample.target))


def judge_mitigations(answer: str, sample: Sample) -> Judgement:
    """Right if the answer has exactly the target's ATT&CK mitigations; the value is F1 of the sets."""
    return _compare(frozenset(_MITIGATION.findall(answer.upper())), frozenset(_MITIGATION.findall(sample.target)))


def judge_set(answer: str, sample: Sample) -> Judgement:
    """Right if the answer has exactly the target's items (cut at commas, semicolons and line ends; case does not matter); the
    value is F1 of the sets."""
    return _compare(_items(answer), _items(sample.target))


def _right_or_wrong(correct: bool) -> Judgement:
    return Judgement(correct, float(correct))


def _compare(answer: frozenset[str], gold: frozenset[str]) -> Judgement:
    f1 = 2 * len(answer & gold) / (len(answer) + len(gold)) if answer and gold else 0.0
    return Judgement(bool(gold) and answer == gold, f1)


def _items(text: str) -> frozenset[str]:
    return frozenset(item for part in _ITEM_SEPARATOR.split(text) if (item := _folded(part)))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


KIND_JUDGES: Final[Mapping[AnswerKind, Judge]] = {
    "cwe": judge_exact,
    "choice": judge_exact,
    "cvss_vector": judge_vector,
    "technique_set": judge_techniques,
    "mitigation_set": judge_mitigations,
    "actor": judge_actor(ActorAliases()),
    "text": judge_exact,
}
"""How each kind of answer is judged unless a task says otherwise."""
