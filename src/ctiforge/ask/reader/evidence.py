"""What the knowledge base holds on a question and each of its options, before anything is weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.objects import OBJECT_KINDS, ObjectKind
from ctiforge.ask.reader.cues import QuestionCues, read_cues
from ctiforge.ask.reader.mentions import find_mentions
from ctiforge.ask.reader.passage_terms import PassageReader
from ctiforge.ask.reader.sentence_vectors import SentenceVectors
from ctiforge.ask.terms import search_terms

__all__ = ["Evidence", "EvidenceFinder", "OptionEvidence", "best_places"]

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

_KINDS: Final[tuple[ObjectKind, ...]] = tuple(kind for kind in OBJECT_KINDS if kind != "vulnerability")
"""Records of single CVEs crowd out what catalogues say in general; they are read where a CVE is named."""
_FOR_QUESTION: Final = 16
_FOR_OPTION: Final = 8
_OF_NAMED: Final = 8
_TOPICS: Final = 3
_CLOSEST: Final = 1
"""Passages by words, and by meaning, whose sentences are embedded, beside the best of each option."""


@dataclass(frozen=True, slots=True)
class OptionEvidence:
    """One option.

    Attributes:
        own: the terms that the question does not have, each once with its rarity; all terms where there are no others.
        terms: all terms in order, for pairs.
        words: BM25 of `own` for the allowed passages, shape (allowed,).
        meaning: cosines of question and option together, and of the option alone, shape (allowed,); None without embeddings.
        mentions: identifiers of objects that it names.
    """

    text: str
    own: dict[str, float]
    terms: tuple[str, ...]
    words: Floats
    meaning: tuple[Floats, Floats] | None
    mentions: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """A question with its options, in an order that does not depend on the one they were given in.

    Attributes:
        allowed: rows of the passages that are read; `words` and `meaning` are in their order.
        words: BM25 of the question.
        pool: places in `allowed` of the passages that are looked at closely.
        named: objects that the question names; `topics`: these, or the objects of the passages that fit it best.
        likeness: cosine of the question with each option; None without embeddings.
        closest: cosines of the sentences of the passages that fit best with the question, with question and option together,
            and with the option alone, shape (1 + 2 options, sentences); None without embeddings.
    """

    base: KnowledgeBase
    reader: PassageReader
    question: str
    cues: QuestionCues
    terms: dict[str, float]
    options: tuple[OptionEvidence, ...]
    allowed: Rows
    words: Floats
    meaning: Floats | None
    pool: Rows
    named: tuple[str, ...]
    topics: tuple[str, ...]
    likeness: Floats | None
    closest: Floats | None

    @cached_property
    def fit(self) -> Floats:
        """How well each allowed passage fits the question, 0 to 1: words and, where there are embeddings, meaning."""
        words = self.words / max(float(self.words.max(initial=0.0)), 1e-6)
        if self.meaning is None:
            return words
        best = max(float(self.meaning.max(initial=0.0)), 1e-6)
        fitted: Floats = 0.5 * words + 0.5 * np.clip(self.meaning / best, 0, 1) ** 2
        return fitted

    def places_of(self, object_id: str) -> Rows:
        """Return the places in `allowed` of an object's passages."""
        return _places(self.allowed, self.base.rows_of(object_id))


class EvidenceFinder:
    """Finds evidence in one knowledge base; safe to share between threads.

    Args:
        meaning: False leaves out embeddings where there are some.
    """

    def __init__(self, base: KnowledgeBase, *, meaning: bool = True) -> None:
        self.base = base
        self.meaning = meaning and base.has_embeddings
        self.reader = PassageReader(base)
        self.sentences = SentenceVectors(base)
        usual = np.flatnonzero(base.rows_of_kinds(_KINDS))
        self._usual: Rows = usual if len(usual) else np.arange(len(base.owners))

    def find(self, question: str, options: Sequence[str]) -> Evidence:
        """Return the evidence; `options` must be in a canonical order, for the encoder's sums depend on it a little."""
        base = self.base
        named = find_mentions(base, question)
        extra = [row for each in named if each.startswith("CVE-") for row in base.rows_of(each)]
        allowed = np.union1d(self._usual, np.array(extra, dtype=np.intp)) if extra else self._usual
        words = search_terms(question)
        terms = base.rarity(words)
        scores = base.bm25(words)[allowed]
        texts = [question, *(f"{question} {option}" for option in options), *options]
        vectors = base.encode(texts) if self.meaning else None
        cosines = None if vectors is None else base.cosines(vectors, allowed)
        read = [self._option(option, i, len(options), terms, allowed, cosines) for i, option in enumerate(options)]
        meaning = None if cosines is None else cosines[0]
        likeness = None if vectors is None else vectors[1 + len(options) :] @ vectors[0]
        pool = self._pool(allowed, scores, meaning, read, named)
        topics = named or self._topics(allowed, scores, meaning)
        closest = None if vectors is None else self._closest(vectors, allowed, scores, meaning, read)
        return Evidence(
            base, self.reader, question, read_cues(question), terms, tuple(read), allowed, scores, meaning, pool, named, topics,
            likeness, closest,
        )  # fmt: skip

    def _option(
        self, option: str, place: int, count: int, terms: Mapping[str, float], allowed: Rows, cosines: Floats | None
    ) -> OptionEvidence:
        base = self.base
        own = search_terms(option)
        new = [term for term in own if term not in terms] or own
        meaning = None if cosines is None else (cosines[1 + place], cosines[1 + count + place])
        mentions = find_mentions(base, option)
        return OptionEvidence(option, base.rarity(new), tuple(own), base.bm25(new)[allowed], meaning, mentions)

    def _closest(
        self, vectors: Floats, allowed: Rows, words: Floats, meaning: Floats | None, options: Sequence[OptionEvidence]
    ) -> Floats:
        chosen = list(best_places(words, _CLOSEST))
        if meaning is not None:
            chosen += list(best_places(meaning, _CLOSEST))
        chosen += [option.meaning[0].argmax() for option in options if option.meaning is not None]
        rows = dict.fromkeys(int(allowed[place]) for place in chosen)
        sentences = np.concatenate([self.sentences.of(row) for row in rows])
        found: Floats = vectors @ sentences.T
        return found

    def _pool(
        self, allowed: Rows, words: Floats, meaning: Floats | None, options: Sequence[OptionEvidence], named: Sequence[str]
    ) -> Rows:
        chosen = [best_places(words, _FOR_QUESTION)]
        if meaning is not None:
            chosen.append(best_places(meaning, _FOR_QUESTION))
        for option in options:
            chosen.append(best_places(words + option.words, _FOR_OPTION))
            if option.meaning is not None:
                chosen.append(best_places(option.meaning[0], _FOR_OPTION))
        for each in named[:4]:
            places = _places(allowed, self.base.rows_of(each))
            for option in options:
                fit = words[places] + option.words[places]
                chosen.append(places[best_places(fit, _OF_NAMED)])
        return np.unique(np.concatenate(chosen))

    def _topics(self, allowed: Rows, words: Floats, meaning: Floats | None) -> tuple[str, ...]:
        ranked = list(best_places(words, _TOPICS)) + ([] if meaning is None else list(best_places(meaning, _TOPICS)))
        owners = [self.base.passage_at(int(allowed[place])).object_id for place in ranked]
        return tuple(dict.fromkeys(owners))


def _places(allowed: Rows, rows: range) -> Rows:
    """Return where rows that follow one another stand in the sorted `allowed`."""
    start, end = np.searchsorted(allowed, [rows.start, rows.stop])
    return np.arange(start, end)


def best_places(scores: Floats, count: int) -> Rows:
    """Return the places of the highest scores above 0, highest first."""
    count = min(count, len(scores))
    if not count:
        return np.empty(0, dtype=np.intp)
    places = np.argpartition(-scores, count - 1)[:count]
    places = places[scores[places] > 0]
    return places[np.lexsort((places, -scores[places]))]
