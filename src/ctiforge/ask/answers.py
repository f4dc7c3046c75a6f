"""The nouns of answering: an answer, its sentences, what each of them cites, and what an answer is restricted to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal, TypeAlias

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.objects import KnowledgeObject, ObjectKind, SourceVersion
from ctiforge.core.errors import SettingError

__all__ = ["NO_SCOPE", "Answer", "AnswerMethod", "AnswerSentence", "AnswerStatus", "Scope"]

AnswerStatus: TypeAlias = Literal["answered", "not-stated", "ambiguous", "declined"]
"""``not-stated``: the knowledge base does not say; ``ambiguous``: a name has several objects; ``declined``: see `refusals`."""

AnswerMethod: TypeAlias = Literal["graph", "passages", "model", "none"]
"""Where the sentences come from: rendered from relations and facts, the sources' own words, or written by a model."""


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """One sentence with the identifiers of the passages (``T1055#description.0``) or objects (``T1055``) that say so."""

    text: str
    cites: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the knowledge base says to a question.

    Attributes:
        question: as it was understood; in a conversation ``it`` is replaced by the object that was meant.
        aspect: what was asked of the objects, e.g. ``mitigations``; ``text`` for a question answered from passages; empty if
            there is no answer.
        objects: identifiers of what the question is about.
        listed: identifiers that answer it, all of them; sentences may name fewer.
        notes: what the reader has to know: which object was taken, what was left out.
        dropped: sentences of a model that no cited passage supports.
        suggestions: what to ask or type instead.
        score: how well the passages cover the question, 0 to 1; None where the answer comes from the graph.
        model: name of the model that wrote it, empty for none.
        date: the ISO 8601 day that the knowledge was cut at, empty for none.
        sources, build: where it all comes from.
    """

    question: str
    status: AnswerStatus
    method: AnswerMethod = "none"
    aspect: str = ""
    sentences: tuple[AnswerSentence, ...] = ()
    objects: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    score: float | None = None
    model: str = ""
    date: str = ""
    sources: tuple[SourceVersion, ...] = ()
    build: str = ""

    @property
    def text(self) -> str:
        """The sentences, one a line, without citations."""
        return "\n".join(sentence.text for sentence in self.sentences)

    @property
    def cited(self) -> tuple[str, ...]:
        """All identifiers of passages and objects that are cited, in order and once each."""
        return tuple(dict.fromkeys(cite for sentence in self.sentences for cite in sentence.cites))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an answer is restricted to.

    Attributes:
        kinds: of the objects that answer; empty for all.
        platform, tactic: that they have; objects of kinds that have none (mitigations, groups) pass.
        date: ISO 8601 day: only objects that were there on it.
    """

    kinds: tuple[ObjectKind, ...] = ()
    platform: str | None = None
    tactic: str | None = None
    date: str | None = None

    def check(self, base: KnowledgeBase) -> None:
        """Refuse values that no object has.

        Raises:
            SettingError: a kind, platform or tactic is unknown, or the date is no ISO 8601 day.
        """
        base.check_filters(self.kinds or None, self.platform, self.tactic, self.before)

    @property
    def before(self) -> str | None:
        """The day after `date`, for `KnowledgeBase.search`.

        Raises:
            SettingError: the date is no ISO 8601 day.
        """
        if self.date is None:
            return None
        try:
            return (date.fromisoformat(self.date) + timedelta(days=1)).isoformat()
        except (ValueError, OverflowError):
            raise SettingError(f"{self.date!r} is no day", fix="write it as in 2024-03-31") from None

    def holds(self, each: KnowledgeObject) -> bool:
        """Say whether the object was there on the day."""
        return self.date is None or (bool(each.created) and each.created[:10] <= self.date)

    def admits(self, base: KnowledgeBase, each: KnowledgeObject) -> bool:
        """Say whether the object may be in an answer."""
        return (
            self.holds(each)
            and (not self.kinds or each.kind in self.kinds)
            and _has(self.platform, each.platforms)
            and _has(base.tactic_name(self.tactic), each.tactics)
        )


def _has(wanted: str | None, values: Iterable[str]) -> bool:
    folded = [value.casefold() for value in values]
    return wanted is None or not folded or wanted.casefold().replace("-", " ") in [each.replace("-", " ") for each in folded]


NO_SCOPE: Final = Scope()
