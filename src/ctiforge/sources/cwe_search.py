"""Finding entries by words, and what a text that names no entry may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from ctiforge.core.ids import cwe_number, parse_cwe_id
from ctiforge.sources.cwe_names import NamedEntry, short_names, words_of

__all__ = ["CweMatch", "CweSearch"]

_FEW_WORDS = {
    "a",
    "an",
    "and",
    "by",
    "for",
    "in",
    "into",
    "of",
    "on",
    "or",
    "the",
    "to",
    "with",
    "cwe",
    "vulnerability",
    "issue",
}
_KIND_WEIGHT = {"weakness": 1.0, "category": 0.4, "view": 0.3, "deprecated": 0.3}
"""Entries that cannot be mapped to come last."""


@dataclass(frozen=True, slots=True)
class CweMatch:
    """An entry that was found: its current `name`, the text that `matched`, and a `score` from 0 to 1 (1 is the best)."""

    cwe_id: str
    name: str
    matched: str
    score: float
    kind: str = "weakness"


@dataclass(frozen=True, slots=True)
class _Text:
    """One searchable text of one entry; `weight` says how much a match in it is worth (name, term, former name)."""

    entry: NamedEntry
    text: str
    words: tuple[str, ...]
    weight: float


class CweSearch:
    """Word search over names, alternate terms and former names."""

    def __init__(self, entries: Iterable[NamedEntry]) -> None:
        self._entries = {entry.cwe_id: entry for entry in entries}
        self._texts = [
            _Text(entry, text, tuple(words_of(text).split()), weight * _KIND_WEIGHT[entry.kind])
            for entry in self._entries.values()
            for texts, weight in (
                ((entry.name,), 1.0),
                (short_names(entry.name), 1.0),
                (entry.terms, 0.95),
                (entry.former, 0.7),
            )
            for text in texts
        ]

    def search(self, query: str, limit: int) -> list[CweMatch]:
        """Return entries in which every word of `query` starts a word of one text; shorter texts and names first."""
        words = words_of(query).split()
        if not words or limit <= 0:
            return []
        hits = [
            (text, text.weight * len(words) / max(len(text.words), len(words)))
            for text in self._texts
            if all(any(known.startswith(word) for known in text.words) for word in words)
        ]
        return self._best(hits, limit)

    def suggest(self, text: str, limit: int) -> list[CweMatch]:
        """Return near misses: for a number, entries with a similar number; for words, entries that share or resemble them."""
        if limit <= 0:
            return []
        if cwe_id := parse_cwe_id(text):
            return self._near_numbers(cwe_id, limit)
        words = [word for word in words_of(text).split() if word not in _FEW_WORDS][:30]
        if not words:
            return []
        vocabulary = {word for entry in self._texts for word in entry.words}
        similar = {word: {word, *difflib.get_close_matches(word, vocabulary, n=4, cutoff=0.8)} for word in words}
        hits = []
        for known in self._texts:
            content = [word for word in known.words if word not in _FEW_WORDS]
            shared = sum(1.0 if word in content else 0.8 if similar[word] & set(content) else 0.0 for word in words)
            if shared and content:
                hits.append((known, known.weight * 2 * shared / (len(words) + len(content))))
        return self._best([hit for hit in hits if hit[1] >= 0.3], limit)

    def _near_numbers(self, cwe_id: str, limit: int) -> list[CweMatch]:
        number = str(cwe_number(cwe_id))
        scored = [
            (difflib.SequenceMatcher(None, number, str(cwe_number(other))).ratio(), entry)
            for other, entry in self._entries.items()
            if entry.kind == "weakness"
        ]
        scored.sort(key=lambda pair: (-pair[0], abs(cwe_number(pair[1].cwe_id) - int(number))))
        return [CweMatch(e.cwe_id, e.name, e.name, round(score, 3), e.kind) for score, e in scored[:limit] if score >= 0.5]

    def _best(self, hits: list[tuple[_Text, float]], limit: int) -> list[CweMatch]:
        best: dict[str, CweMatch] = {}
        for text, score in sorted(hits, key=lambda hit: -hit[1]):
            entry = text.entry
            best.setdefault(entry.cwe_id, CweMatch(entry.cwe_id, entry.name, text.text, round(min(score, 1.0), 3), entry.kind))
        ranked = sorted(best.values(), key=lambda match: (-match.score, cwe_number(match.cwe_id)))
        return ranked[:limit]
