"""Answers in the sources' own words: the few sentences of the passages found that cover the question best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ctiforge.ask.answers import AnswerSentence, Scope
from ctiforge.ask.instructions import is_instruction
from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.objects import Passage, ScoredPassage
from ctiforge.ask.passages import split_sentences
from ctiforge.ask.support import content_terms, coverage
from ctiforge.ask.terms import search_terms

__all__ = ["Evidence", "answer_score", "find_evidence", "pick_sentences"]

_PASSAGES: Final = 12
_OF_ONE_OBJECT: Final = 4
_SENTENCES: Final = 3
_HEADING: Final = 0.5
"""What a word of the question counts that only the heading has, beside 1 for one in the sentence itself."""
_RANK: Final = 0.15
_KNOWN: Final = 0.25
"""What a word counts that a sentence chosen before has already."""
_GAIN: Final = 0.35
"""Further sentences must add this share of what the first one covers."""
_WORDS: Final = (4, 70)
_OPEN: Final = 10.0
"""Weight that a passage must hold more for a question of which it holds nothing else; set by ``benchmarks/ask.py
--calibrate``."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found for a question.

    Attributes:
        hits: passages, best first.
        terms: the question's telling terms with their weights.
        score: how well the best passage covers the question, 0 to 1; see `answer_score`.
    """

    hits: tuple[ScoredPassage, ...]
    terms: Mapping[str, float]
    score: float


def find_evidence(base: KnowledgeBase, question: str, scope: Scope, *, about: Sequence[str] = ()) -> Evidence:
    """Search for a question.

    Args:
        about: identifiers of objects that the question names by their names; their passages are found as if it named these.
    """
    query = " ".join([question, *about])
    hits = base.search(
        query,
        _PASSAGES,
        kinds=scope.kinds or None,
        platform=scope.platform,
        tactic=scope.tactic,
        before=scope.before,
        per_object=_OF_ONE_OBJECT,
    )
    terms = base.term_weights(content_terms(question))
    return Evidence(tuple(hits), terms, answer_score(terms, hits, base.manifest.counts["passages"]))


def answer_score(terms: Mapping[str, float], hits: Sequence[ScoredPassage], passages: int) -> float:
    """Return how much the best passage has of what the question says, against what chance would give; 0.5 is enough.

    The weight of a term is about the logarithm of how rare it is, so that the weight of the terms that a passage holds says how
    unlikely it is to hold them by chance; of `passages` passages the luckiest holds about ``log(passages)``. That much has to
    be exceeded, and by more, the more of the question the passage leaves open. The score is held / (held + required).
    """
    total = sum(terms.values())
    best = 0.0
    for hit in hits:
        share = coverage(terms, search_terms(hit.passage.indexed))
        required = math.log(1 + passages) + _OPEN * (1 - share)
        best = max(best, share * total / (share * total + required))
    return best


@dataclass(slots=True)
class _Candidate:
    passage: Passage
    text: str
    own: frozenset[str]
    heading: frozenset[str]
    rank: float


def pick_sentences(evidence: Evidence) -> list[AnswerSentence]:
    """Return the sentences that cover the question best, each with its passage; the best first, then what they add.

    Sentences that address whoever answers are not quoted.
    """
    left = _candidates(evidence)
    chosen: list[AnswerSentence] = []
    known: set[str] = set()
    first = 0.0
    while left and len(chosen) < _SENTENCES:
        gains = [_gain(each, evidence.terms, known) for each in left]
        best = max(range(len(left)), key=lambda i: gains[i])
        if chosen and gains[best] < _GAIN * first:
            break
        first = first or gains[best]
        picked = left.pop(best)
        known |= picked.own | picked.heading
        chosen.append(AnswerSentence(picked.text, (picked.passage.id,)))
        left = [each for each in left if each.text != picked.text]
    return chosen


def _candidates(evidence: Evidence) -> list[_Candidate]:
    wanted = evidence.terms.keys()
    found = []
    for rank, hit in enumerate(evidence.hits):
        heading = frozenset(search_terms(hit.passage.heading)) & wanted
        for line in hit.passage.text.split("\n"):
            for sentence in split_sentences(line.removeprefix("- ").removeprefix("* ")):
                own = frozenset(search_terms(sentence)) & wanted
                if own and _WORDS[0] <= len(sentence.split()) <= _WORDS[1] and not is_instruction(sentence):
                    found.append(_Candidate(hit.passage, sentence, own, heading - own, _RANK / (1 + rank)))
    return found


def _gain(each: _Candidate, terms: Mapping[str, float], known: set[str]) -> float:
    total = sum(terms.values()) or 1.0
    covered = sum(terms[term] * (_KNOWN if term in known else 1.0) for term in each.own)
    covered += _HEADING * sum(terms[term] * (_KNOWN if term in known else 1.0) for term in each.heading)
    return covered / total + each.rank
