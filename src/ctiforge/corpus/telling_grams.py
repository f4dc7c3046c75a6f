"""Which word n-grams of descriptions go with which label, counted on the corpus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ctiforge.corpus.cwe_phrases import TokenizedText, TokenSpan
from ctiforge.models.text_features import PLACEHOLDERS

__all__ = ["TellingGrams"]

_MAX_N = 3
_MIN_TEXTS = 5
_MIN_Z = 3.0
_MIN_PRECISION = 0.35
_PRIOR = 10.0
"""Texts that the prior is worth, with n-grams as frequent as in all."""


class TellingGrams:
    """N-grams of one to three stems that occur much more often with one label than with all others.

    By the z-score of the log odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn, Political Analysis
    2008, section 3.3.1, equations 16, 19 and 22), over numbers of texts. An n-gram counts for a label if at least five texts
    with the label have it, they are 35 % or more of all texts that have it, its z-score is 3 or more, and one of its stems is
    among `weakness_stems`, so that a vendor's name or a product class is no evidence.

    Args:
        texts, labels: the corpus to count on, of equal length.
        weakness_stems: stems of the names and terms of all weaknesses.
        progress: called with the number of texts counted, of twice their number.
    """

    def __init__(
        self,
        texts: Sequence[TokenizedText],
        labels: Sequence[str],
        weakness_stems: frozenset[str],
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._scores: defaultdict[str, dict[str, float]] = defaultdict(dict)
        frequent = _frequent_grams(texts, weakness_stems, progress)
        if not frequent:
            return
        grams = sorted(frequent)
        number = {gram: i for i, gram in enumerate(grams)}
        of_label = Counter(labels)
        names = sorted(of_label)
        place = {label: i for i, label in enumerate(names)}
        codes: list[npt.NDArray[np.int64]] = []
        for done, (text, label) in enumerate(zip(texts, labels, strict=True)):
            found = {number[gram] for gram, _ in _grams_of(text) if gram in number}
            codes.append(np.fromiter(found, np.int64, len(found)) * len(names) + place[label])
            if done % 1000 == 0:
                progress(len(texts) + done)
        pairs, counts = np.unique(np.concatenate(codes), return_counts=True)
        gram_of, label_of = pairs // len(names), pairs % len(names)
        texts_of = np.array([of_label[name] for name in names], dtype=np.float64)[label_of]
        texts_with = np.array([frequent[gram] for gram in grams], dtype=np.float64)[gram_of]
        z = _z_scores(counts.astype(np.float64), texts_of, texts_with, len(texts))
        precision = counts / texts_with
        telling = (counts >= _MIN_TEXTS) & (z >= _MIN_Z) & (precision >= _MIN_PRECISION)
        for i in np.flatnonzero(telling):
            self._scores[names[label_of[i]]][grams[gram_of[i]]] = float(z[i] * precision[i])

    def __len__(self) -> int:
        return sum(map(len, self._scores.values()))

    def find(self, text: TokenizedText, label: str) -> TokenSpan | None:
        """Return the place of the n-gram that tells most for `label`, joined with others that overlap it, or None."""
        scores = self._scores.get(label)
        if not scores:
            return None
        found = [(scores[gram], span) for gram, span in _grams_of(text) if gram in scores]
        if not found:
            return None
        best = max(found, key=lambda item: (item[0], -item[1].first))[1]
        first, last = best.first, best.last
        for _, span in found:
            if span.first <= best.last and span.last >= best.first:
                first, last = min(first, span.first), max(last, span.last)
        return TokenSpan(first, last)


def _grams_of(text: TokenizedText) -> Iterator[tuple[str, TokenSpan]]:
    """Yield every n-gram without a placeholder that stays within a part of a sentence, and its place."""
    for first in range(len(text.stems)):
        for last in range(first, min(first + _MAX_N, len(text.stems))):
            if text.part[last] != text.part[first] or text.stems[last] in PLACEHOLDERS:
                break
            yield " ".join(text.stems[first : last + 1]), TokenSpan(first, last)


def _frequent_grams(
    texts: Sequence[TokenizedText], weakness_stems: frozenset[str], progress: Callable[[int], None]
) -> dict[str, int]:
    """Return the number of texts of each n-gram with a weakness stem that enough texts have."""
    stems = Counter(stem for text in texts for stem in set(text.stems))
    usable = {stem for stem, count in stems.items() if count >= _MIN_TEXTS}
    counts: Counter[str] = Counter()
    for done, text in enumerate(texts):
        known = [stem in usable for stem in text.stems]
        telling = [stem in weakness_stems for stem in text.stems]
        counts.update(
            {
                gram
                for gram, span in _grams_of(text)
                if any(telling[span.first : span.last + 1]) and all(known[span.first : span.last + 1])
            }
        )
        if done % 1000 == 0:
            progress(done)
    return {gram: count for gram, count in counts.items() if count >= _MIN_TEXTS}


def _z_scores(
    counts: npt.NDArray[np.float64], texts_of: npt.NDArray[np.float64], texts_with: npt.NDArray[np.float64], total: int
) -> npt.NDArray[np.float64]:
    """Return the z-score of each (n-gram, label) pair.

    Args:
        counts: texts with the label that have the n-gram.
        texts_of: texts with the label; `texts_with`: texts that have the n-gram; `total`: all texts.
    """
    prior = _PRIOR * (texts_with + 1) / (total + 2)  # never all of it, so that no odds are infinite
    inside, outside = counts + prior, texts_with - counts + prior
    odds = inside / (texts_of + _PRIOR - inside)
    other_odds = outside / (total - texts_of + _PRIOR - outside)
    return (np.log(odds) - np.log(other_odds)) / np.sqrt(1 / inside + 1 / outside)
