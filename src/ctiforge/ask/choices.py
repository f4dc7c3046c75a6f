"""`answer_choices`: which option of a multiple-choice question the knowledge base speaks for, and where it says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ctiforge.ask.knowledge_base import MAX_QUERY_CHARACTERS, KnowledgeBase
from ctiforge.ask.objects import Passage, SourceVersion
from ctiforge.ask.reader.evidence import Evidence, EvidenceFinder, OptionEvidence
from ctiforge.ask.reader.features import read_features
from ctiforge.ask.reader.model import ReaderModel, load_reader
from ctiforge.ask.reader.passage_terms import PassageTerms, coverage
from ctiforge.core.errors import SettingError

__all__ = ["MAX_OPTIONS", "ChoiceAnswer", "ChoiceAnswerer", "ScoredOption", "answer_choices"]

MAX_OPTIONS: Final = 26
_CITED: Final = 3


@dataclass(frozen=True, slots=True)
class ScoredOption:
    """An option with the probability that it is the one asked for, and the passages that speak for it most, best first."""

    text: str
    probability: float
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class ChoiceAnswer:
    """What the options come to.

    Attributes:
        options: in the order given; their probabilities sum to 1.
        chosen: place of the likeliest option, None where the answerer abstained.
        reason: why it abstained; empty where it did not.
        negated: the question was read as asking for what does not fit.
        versions: of the sources that it rests on.
    """

    options: tuple[ScoredOption, ...]
    chosen: int | None
    reason: str
    negated: bool
    versions: tuple[SourceVersion, ...]


class ChoiceAnswerer:
    """Answers multiple choice from one knowledge base; safe to share between threads.

    The order of the options cannot matter: they are scored in an order of their own, by features that know neither letter nor
    place. Options that read the same get the same probability, and of those the first is chosen.

    Args:
        reader: by default the one that comes with the package.
    """

    def __init__(self, base: KnowledgeBase, reader: ReaderModel | None = None) -> None:
        self.base = base
        self.reader = reader or load_reader()
        self._finder = EvidenceFinder(base, meaning=self.reader.reads_meaning)
        self._scored = lru_cache(maxsize=4096)(self._score)

    @property
    def reads_meaning(self) -> bool:
        """Whether embeddings are used: both knowledge base and reader must know them."""
        return self._finder.meaning

    def answer(self, question: str, options: Sequence[str], *, threshold: float = 0.0) -> ChoiceAnswer:
        """Return the probabilities of the options and the passages that decided.

        Args:
            threshold: abstain where the likeliest option is less likely than this, 0 to 1.

        Raises:
            SettingError: the question is empty or too long, there are fewer than two options or too many, or the threshold is
                no probability.
        """
        _check(question, options, threshold)
        plain = [" ".join(option.split()) for option in options]
        ordered = tuple(sorted(set(plain)))
        found, negated = self._scored(" ".join(question.split()), ordered)
        place = {text: i for i, text in enumerate(ordered)}
        total = math.fsum(found[place[each]].probability for each in plain)  # the same in any order
        shares = [found[place[each]].probability / total for each in plain]
        scored = tuple(
            ScoredOption(text, share, found[place[each]].passages)
            for text, each, share in zip(options, plain, shares, strict=True)
        )
        best = min(range(len(scored)), key=lambda i: (-scored[i].probability, place[plain[i]], i))
        reason = ""
        if scored[best].probability < threshold:
            reason = f"the likeliest option has a probability of {scored[best].probability:.2f}, less than {threshold:.2f}"
        return ChoiceAnswer(scored, None if reason else best, reason, negated, self.base.versions)

    def _score(self, question: str, options: tuple[str, ...]) -> tuple[tuple[ScoredOption, ...], bool]:
        evidence = self._finder.find(question, options)
        features = read_features(evidence)
        negated = evidence.cues.negated
        shares = self.reader.probabilities(features, negated=negated, meaning=self.reads_meaning)
        scored = tuple(
            ScoredOption(text, float(share), _deciding(evidence, i))
            for i, (text, share) in enumerate(zip(options, shares, strict=True))
        )
        return scored, negated


def answer_choices(base: KnowledgeBase, question: str, options: Sequence[str], *, threshold: float = 0.0) -> ChoiceAnswer:
    """Answer one question with the reader that comes with the package; see `ChoiceAnswerer`."""
    return _answerer(base).answer(question, options, threshold=threshold)


@lru_cache(maxsize=2)
def _answerer(base: KnowledgeBase) -> ChoiceAnswerer:
    return ChoiceAnswerer(base)


def _check(question: str, options: Sequence[str], threshold: float) -> None:
    if not 0 <= threshold <= 1:
        raise SettingError(f"threshold is {threshold}", fix="give a probability, 0 to 1")
    if not any(map(str.isalnum, question)):
        raise SettingError("the question has no word in it", fix="say what is asked")
    if not 2 <= len(options) <= MAX_OPTIONS:
        raise SettingError(f"there are {len(options)} options", fix=f"give 2 to {MAX_OPTIONS}")
    if (length := len(question) + sum(map(len, options))) > MAX_QUERY_CHARACTERS:
        raise SettingError(
            f"question and options have {length:,} characters, more than {MAX_QUERY_CHARACTERS:,}", fix="ask in fewer words"
        )


def _deciding(evidence: Evidence, place: int) -> tuple[Passage, ...]:
    """Return the passages that have most of the option's own words and fit the question best.

    Of a question that is turned round, those that speak for the other options: they decide by what they leave out.
    """
    asked = [option for i, option in enumerate(evidence.options) if (i == place) != evidence.cues.negated]
    ranked: list[tuple[float, int]] = []
    for at in evidence.pool:
        terms = evidence.reader.read(int(evidence.allowed[at]))
        held = [_held(option, terms) for option in asked]
        worth = float(evidence.fit[at]) * sum(held) / len(held)
        if worth > 0:
            ranked.append((-worth, int(at)))
    best = [evidence.reader.read(int(evidence.allowed[at])).passage for _, at in sorted(ranked)[:_CITED]]
    return tuple(best)


def _held(option: OptionEvidence, terms: PassageTerms) -> float:
    """Return how much of an option a passage holds, 0 to 1: its own words, or its object."""
    named = bool(set(option.mentions).intersection(terms.passage.object_ids))
    return max(coverage(option.own, terms.whole), 0.9 * named)
