"""Extraction rules by name: pure functions from a completion to an answer in normal form, or none.

Normal forms: ``CWE-79``; a capital letter; ``CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H``; identifiers without repeats,
sorted, joined by commas, sub-techniques as their parents; a name or text with single spaces. A rule never raises, whatever the
text, and never looks at the target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ctiforge.bench.extraction import choice, identifiers, vector, wording
from ctiforge.bench.task import AnswerKind, Sample
from ctiforge.core.errors import SettingError, did_you_mean

__all__ = ["PUBLISHED_RULES", "RULES", "Extractor", "Rule", "check_rule", "extract_answer", "rules_for"]

Extractor = Callable[[str, Sample], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to read an answer.

    Attributes:
        description: for people, one sentence.
        extractors: the function for each kind of answer that the rule can read.
    """

    name: str
    description: str
    extractors: Mapping[AnswerKind, Extractor]

    @property
    def kinds(self) -> tuple[AnswerKind, ...]:
        """The kinds of answer that the rule can read."""
        return tuple(self.extractors)


_RULES = (
    Rule("last-cwe", "the last CWE that the completion names", {"cwe": identifiers.last_cwe}),
    Rule("first-cwe", "the first CWE that the completion names", {"cwe": identifiers.first_cwe}),
    Rule(
        "unique-cwe", "the CWE that the completion names, if it names one only (as FAITH does)", {"cwe": identifiers.unique_cwe}
    ),
    Rule(
        "cascade",
        "the first that is found of: Answer: X, answer is X, a verdict on an option, the last line, the text of an option",
        {"choice": choice.cascade},
    ),
    Rule("last-letter", "the last letter of an option that stands alone", {"choice": choice.last_letter}),
    Rule("first-letter", "the first letter of an option that stands alone", {"choice": choice.first_letter}),
    Rule("unique-letter", "the letter of an option that stands alone, if no other one does", {"choice": choice.unique_letter}),
    Rule(
        "published-cascade",
        "answer is X, else a last line of one letter, else the first option X: as the authors of CyberSecQwen-4B read it",
        {"choice": choice.published_cascade},
    ),
    Rule(
        "last-line",
        "what the last line says; nothing else counts",
        {
            "cwe": identifiers.last_line_cwe,
            "choice": choice.last_line_letter,
            "cvss_vector": vector.last_line_vector,
            "actor": wording.last_line_actor,
            "text": wording.last_line_text,
        },
    ),
    Rule("last-vector", "the last CVSS v3 vector", {"cvss_vector": vector.last_vector}),
    Rule(
        "last-line-ids",
        "the identifiers of the last line",
        {"technique_set": identifiers.last_line_techniques, "mitigation_set": identifiers.last_line_mitigations},
    ),
    Rule(
        "all-ids",
        "every identifier in the completion",
        {"technique_set": identifiers.all_techniques, "mitigation_set": identifiers.all_mitigations},
    ),
    Rule(
        "answer-tag",
        "what is in the last answer tag or after the last Answer:",
        {"actor": wording.actor_after_tag, "text": wording.text_after_tag},
    ),
    Rule("whole", "the whole completion", {"text": wording.whole_text}),
)

RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in _RULES})
"""Every rule, by name."""

PUBLISHED_RULES: Mapping[AnswerKind, str] = MappingProxyType({"cwe": "last-cwe", "choice": "published-cascade"})
"""The rules that reproduce the answers printed in the prediction files of CyberSecQwen-4B."""


def rules_for(kind: AnswerKind) -> tuple[Rule, ...]:
    """Return the rules that can read an answer of this kind, in the order of `RULES`."""
    return tuple(rule for rule in _RULES if kind in rule.extractors)


def check_rule(name: str, kind: AnswerKind) -> Rule:
    """Return the rule called `name` if it can read answers of `kind`.

    Raises:
        SettingError: there is no such rule, or it is for other kinds of answer.
    """
    names = [rule.name for rule in rules_for(kind)]
    if name in names:
        return RULES[name]
    choices = f"choose one of {', '.join(names)}"
    if name in RULES:
        raise SettingError(f"rule {name!r} does not read answers of the kind {kind!r}", fix=choices)
    raise SettingError(f"unknown extraction rule {name!r}", fix=" ".join(filter(None, [did_you_mean(name, names), choices])))


def extract_answer(rule: str, kind: AnswerKind, completion_text: str, sample: Sample) -> str | None:
    """Return the answer that `completion_text` gives under `rule`, in normal form, or None.

    Args:
        sample: as it was shown; only its `choices` matter.

    Raises:
        SettingError: as `check_rule`.
    """
    return check_rule(rule, kind).extractors[kind](completion_text, sample)
