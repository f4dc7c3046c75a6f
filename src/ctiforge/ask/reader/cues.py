"""What the wording of a question says of the answer wanted: turned round, all of the options, or one relation of the graph."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["QuestionCues", "is_catch_all", "read_cues"]

_NEGATED: Final = re.compile(
    r"\bNOT\b|\bexcept(?=:|\?|\.|$)|\bEXCEPT\b|\bleast likely\b|\b(?:incorrect|false|untrue)\b|"
    r"\b[Ww](?:hich|hat) (?:(?!when|if|that|where|because|who|whose|while)\S+ ){0,6}?"
    r"(?:(?:is|are|was|were|does|do|would|should|can|will|has|have) not|cannot|isn't|aren't|doesn't|don't|wouldn't)\b"
)
"""In capitals anywhere; in small letters only where it stands near the word that asks, not in a clause behind it."""
_ASKS: Final = re.compile(r"\b(?:which|what|who|how|all of the following|of these)\b", re.IGNORECASE)
_ALL: Final = re.compile(
    r"^\W*(?:all|both) (?:of )?(?:the )?(?:above|these|options|listed|them)\b|^\W*all of the\b", re.IGNORECASE
)
_NONE: Final = re.compile(r"^\W*none (?:of )?(?:the )?(?:above|these|options|listed|them)\b", re.IGNORECASE)

_RELATION_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "mitigated-by": ("mitigat", "prevent", "counter", "protect", "defen", "safeguard", "measure", "reduc", "limit", "secur"),
    "detected-by": ("detect", "monitor", "log", "telemetry", "analytic", "data source", "data component", "identif"),
    "in-tactic": ("tactic", "goal", "objective", "phase", "categor", "purpose"),
    "has-subtechnique": ("sub-techni", "subtechni", "sub techni"),
    "subtechnique-of": ("sub-techni", "subtechni", "sub techni", "parent"),
    "used-by": (
        "group",
        "actor",
        "malware",
        "software",
        "tool",
        "campaign",
        "who",
        "threat",
        "used",
        "backdoor",
        "trojan",
        "ransomware",
    ),
    "uses": ("use", "using", "employ", "leverag", "technique", "malware", "software", "tool", "procedure"),
    "attributed-to": ("attribut", "behind", "campaign", "group", "conduct"),
    "targets": ("asset", "target", "device"),
    "child-of": ("parent", "child", "general", "abstract", "broader", "related", "categor", "class"),
    "parent-of": ("child", "specific", "variant", "related", "narrow", "more precise"),
    "can-precede": ("preced", "follow", "lead", "chain", "result", "next"),
    "can-follow": ("follow", "preced", "chain", "before", "after"),
    "peer-of": ("peer", "related", "similar"),
    "exploited-by": ("attack pattern", "capec", "exploit", "attack"),
    "exploits": ("weakness", "cwe", "exploit"),
    "same-as-technique": ("att&ck", "technique", "mapped", "taxonomy", "correspond"),
}
"""Beginnings of words that ask for a relation, seen from the object that the question names."""

_INVERSES: Final[Mapping[str, str]] = {
    "mitigates": "mitigated-by", "detects": "detected-by", "has-technique": "in-tactic", "has-campaign": "attributed-to",
    "targeted-by": "targets", "same-as-pattern": "same-as-technique", "reads": "detected-by", "read-by": "detected-by",
    "has-analytic": "detected-by", "analytic-of": "detected-by", "component-of": "detected-by", "has-component": "detected-by",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class QuestionCues:
    """How a question is put.

    Attributes:
        negated: the option that does not fit is wanted.
        text: the question in lower case, for `asks_for`.
    """

    negated: bool
    text: str

    def asks_for(self, relation: str) -> bool:
        """Say whether words of the question fit a relation, or its other end."""
        words = _RELATION_WORDS.get(relation) or _RELATION_WORDS.get(_INVERSES.get(relation, ""), ())
        return any(word in self.text for word in words)


def read_cues(question: str) -> QuestionCues:
    """Read the cues of a question. A negation counts in the sentence that asks, not in what is told before it."""
    sentences = re.split(r"(?<=[.?!:])\s+", question.strip())
    asking = [each for each in sentences if "?" in each or _ASKS.search(each)] or sentences[-1:]
    return QuestionCues(any(_NEGATED.search(each) for each in asking[-1:]), question.casefold())


def is_catch_all(option: str) -> int:
    """Return 1 for 'all of the above' and its like, -1 for 'none of the above', else 0."""
    return 1 if _ALL.search(option) else -1 if _NONE.search(option) else 0
