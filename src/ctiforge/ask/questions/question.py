"""What a generated question is, and the draft that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["ALL_OF_THEM", "LEVELS", "TOPICS", "Draft", "Question", "restored_question", "topic_of"]

TOPICS: Final = ("attack-enterprise", "attack-mobile", "attack-ics", "capec", "cwe")
"""What questions are about: the ATT&CK matrix of the object (the first where it is in several), or its catalogue."""
LEVELS: Final = (1, 2, 3)
"""1: options from anywhere; 2: options from near objects; 3: near options and a question that quotes or turns round."""

ALL_OF_THEM: Final = "All of the above"
"""An option that stands last."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A question before its wrong options are drawn.

    Attributes:
        kind: such as ``mitigated-by`` or ``definition``.
        stem: the question; right: the answer.
        wrong: values that are wrong by the knowledge base, in groups, nearest first.
        passages: identifiers of those that hold the answer.
        level: at least this hard.
        why: one sentence that explains the answer.
    """

    kind: str
    stem: str
    right: str
    wrong: Sequence[Sequence[str]]
    passages: tuple[str, ...]
    level: int = 1
    why: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One question with one right option.

    Attributes:
        id: follows from object, kind, stem and right answer; the same in every build that has these.
        options: in the order shown; `answer` is the place of the right one.
        subject: identifier of the object that it is about.
        passages: identifiers of those that hold the answer, to be cited.
    """

    id: str
    kind: str
    topic: str
    level: int
    stem: str
    options: tuple[str, ...]
    answer: int
    subject: str
    passages: tuple[str, ...]
    why: str

    @property
    def right(self) -> str:
        """The right option."""
        return self.options[self.answer]


def restored_question(fields: Mapping[str, Any]) -> Question:
    """Return a question from its fields as JSON keeps them.

    Raises:
        TypeError, KeyError: they are not a question's.
    """
    return Question(**{**fields, "options": tuple(fields["options"]), "passages": tuple(fields["passages"])})


def topic_of(kind: str, domains: Sequence[str]) -> str:
    """Return the topic of an object by its kind and ATT&CK domains, or nothing for kinds that nothing is asked about."""
    if kind in ("weakness", "attack-pattern"):
        return "cwe" if kind == "weakness" else "capec"
    return f"attack-{domains[0]}" if domains else ""
