"""What a question generator is: facts of a catalogue, which values are right, and where near but wrong ones are found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Fact", "Generator", "Subject", "nothing"]


@dataclass(frozen=True, slots=True)
class Subject:
    """The object a question is about and cites; see `CorpusRecord` for the meaning of the fields."""

    id: str
    source: str
    sha256: str
    licence: str
    date: str


@dataclass(frozen=True, slots=True)
class Fact:
    """`value` is a right answer about the object `subject`.

    Attributes:
        value: as the graph knows it: an identifier, a word of a closed list, or the key of a text.
        slots: what the templates name, besides.
    """

    subject: str
    value: str
    slots: Mapping[str, str] = field(default_factory=dict)


def nothing(_: Fact) -> Collection[str]:
    """Return no values: nothing is doubtful."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """One kind of question.

    Attributes:
        name: e.g. ``technique-mitigation``; records carry it as ``qa/technique-mitigation``.
        relation: what a right value is to the subject; a checker can derive the answer from it and the catalogue.
        facts: all that can be asked, in the catalogue's order.
        subject: the object with an identifier.
        right: every value that is right for a fact, its own included.
        doubtful: values that the graph does not call right, but that a reader could defend (the parent of a right
            technique). They are never offered.
        near: values that may be wrong options, nearest first, in groups; each group is shuffled.
        show: the text of a value.
        whole: all that the catalogue says where `show` shortens it; a wrong option must not be a part of it.
        choices: templates of multiple-choice questions; none means there are no such questions.
        shorts: templates of questions with a free answer.
        answer: the free answer.
        short_facts: what is asked for free answers; one fact a subject unless given.
        labels: whether options may carry their identifiers.
        prose: options are sentences, so that one that shares most of its words with a right one is not offered.
    """

    name: str
    relation: str
    facts: Sequence[Fact]
    subject: Callable[[str], Subject]
    right: Callable[[Fact], Collection[str]]
    near: Callable[[Fact], Iterable[Sequence[str]]]
    show: Callable[[str], str]
    doubtful: Callable[[Fact], Collection[str]] = nothing
    choices: Sequence[str] = ()
    shorts: Sequence[str] = ()
    answer: Callable[[Fact], str] | None = None
    short_facts: Sequence[Fact] | None = None
    whole: Callable[[str], str] | None = None
    labels: bool = False
    prose: bool = False
