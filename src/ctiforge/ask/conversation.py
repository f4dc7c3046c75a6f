"""What a question in a conversation means: ``it`` is what was talked about last, and ``what about CWE-863`` asks the same
of another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ctiforge.ask.answers import Answer
from ctiforge.ask.aspects import kinds_with
from ctiforge.ask.mentions import MARK, NameFinder
from ctiforge.ask.support import content_terms

__all__ = ["NO_TOPIC", "Topic", "spell_out", "topic_after"]

_KINDS: Final = (
    "technique|sub-?technique|tactic|mitigation|group|actor|software|malware|tool|campaign|asset|component|strategy|"
    "analytic|pattern|"
    "weakness|vulnerability|cwe|cve|capec|one"
)
_POSSESSIVE = re.compile(r"\b(?:its|their)\b", re.IGNORECASE)
_PRONOUN = re.compile(
    rf"\b(?:it|they|them|this (?:{_KINDS})|that (?:{_KINDS})|the (?:same|first|last) (?:{_KINDS})|these|those|this|"
    rf"that)\b(?! (?:of|which)\b)",
    re.IGNORECASE,
)
_OPENING = re.compile(r"^\W*(?:and|also|but|so|then|what about|how about|or)\b[\s,]*(?:what about|how about)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Topic:
    """What a conversation is about after an answer: the question as it was understood, and the objects that it is about."""

    question: str = ""
    objects: tuple[str, ...] = ()


NO_TOPIC: Final = Topic()


def topic_after(answer: Answer, before: Topic = NO_TOPIC) -> Topic:
    """Return the topic after an answer; one about no object (declined, off the subject) leaves the topic as it was."""
    return Topic(answer.question, answer.objects) if answer.objects and answer.status != "declined" else before


def spell_out(question: str, topic: Topic, names: NameFinder) -> str:
    """Return a question that can stand alone: what it refers to is put in by identifier.

    A question that names an object itself is left as it is, unless it does nothing else ('and CWE-863?'): then it asks of that
    object what was asked last.
    """
    if not topic.objects:
        return question
    read = names.read(question)
    subject = topic.objects[0]
    if any(mention.ids for mention in read.mentions):
        opened = _OPENING.sub("", read.rest).replace(MARK, " ")
        if not content_terms(opened) and _OPENING.search(question) and len(read.mentions) == 1:
            return _asked_of(topic, read.mentions[0].text, names)
        return question
    for pattern, instead in ((_POSSESSIVE, f"{subject}"), (_PRONOUN, subject)):
        if pattern.search(question):
            return pattern.sub(instead, question, count=1)
    if _OPENING.search(question) and kinds_with(question):
        return f"{question.rstrip(' ?.!')} of {subject}?"
    return question


def _asked_of(topic: Topic, other: str, names: NameFinder) -> str:
    """Return the last question with another object in the place of its first one."""
    mention = next((each for each in names.read(topic.question).mentions if each.ids), None)
    return topic.question.replace(mention.text, other, 1) if mention is not None else f"what is {other}"
