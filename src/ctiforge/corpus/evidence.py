"""The phrase of a description that shows its weakness: selected from the text, never written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from ctiforge.corpus.cwe_phrases import CwePhrases, TokenizedText, TokenSpan, content_stems
from ctiforge.corpus.lines import reject_record
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.stages import StageWriter
from ctiforge.corpus.telling_grams import TellingGrams
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.cwe_wordings import WORDINGS

__all__ = ["EvidenceKind", "find_evidence", "weakness_stems"]

EvidenceKind = Literal["name", "name_words", "telling_words", "relative_name"]
"""How a phrase shows the weakness: it is a name or term of the CWE; it has most of the words of the name; its words go with
this label in the corpus; it is a name of a parent, child or peer. The first that is found counts."""

_LEFT = frozenset(
    "not no never without lack lacks lacking improper improperly incorrect incorrectly insufficient missing does do".split()
)
_JOINING = frozenset("a an and as at by for from in into is of on or that the to via when which with".split())
_LONGEST = 16


def weakness_stems(catalogue: CweCatalogue) -> frozenset[str]:
    """Return the stems of names, terms and wordings of all weaknesses."""
    stems: set[str] = set()
    for weakness in catalogue:
        for text in (weakness.name, *weakness.terms):
            stems |= content_stems(text)
    for wording in WORDINGS:
        stems |= content_stems(wording)
    return frozenset(stems)


def find_evidence(
    writer: StageWriter,
    records: Iterable[CorpusRecord],
    catalogue: CweCatalogue,
    development_from: str,
    *,
    without_phrase: Literal["keep", "reject"],
) -> None:
    """Give each CVE-to-CWE record ``phrase`` and ``evidence`` in its metadata; other records pass.

    Args:
        development_from: ISO 8601 day; what is counted on the corpus is counted on older records only.
    """
    everything = list(records)
    labelled = [record for record in everything if record.kind == "rcm"]
    texts = {record.id: TokenizedText(record.text) for record in labelled}
    older = [record for record in labelled if record.date < development_from]
    grams = TellingGrams(
        [texts[record.id] for record in older],
        [record.label for record in older],
        weakness_stems(catalogue),
        writer.counter(3 * len(labelled)),
    )
    writer.facts["telling_grams"] = len(grams)
    phrases = CwePhrases(catalogue)
    for done, record in enumerate(everything):
        if record.kind != "rcm":
            writer.keep(record)
            continue
        text = texts[record.id]
        kind, span = _select(text, record.label, phrases, grams)
        if kind is None and without_phrase == "reject":
            detail = f"no phrase of the text shows {record.label}"
            writer.reject(reject_record(record, writer.name, "no_phrase", detail))
            continue
        phrase = text.quote(_widen(text, span)) if span else ""
        metadata = {**record.metadata, "phrase": phrase, "evidence": kind or "none"}
        writer.keep(replace(record, metadata=metadata, steps=(*record.steps, f"evidence {kind or 'none'}")))
        if done % 1000 == 0:
            writer.progress(2 * len(labelled) + done, 3 * len(labelled))


def _select(
    text: TokenizedText, label: str, phrases: CwePhrases, grams: TellingGrams
) -> tuple[EvidenceKind | None, TokenSpan | None]:
    if span := phrases.named(text, label):
        return "name", span
    if (shared := phrases.shared_words(text, label)) and shared[1] >= 0.6:
        return "name_words", shared[0]
    if span := grams.find(text, label):
        return "telling_words", span
    if span := phrases.relative_named(text, label):
        return "relative_name", span
    return None, None


def _widen(text: TokenizedText, span: TokenSpan) -> TokenSpan:
    """Leave out joining words at the left, take in a negation there, and go on to the right to a word that can end a phrase."""
    first, last = span.first, span.last
    while first < last and text.word(first).lower() in _JOINING:
        first += 1
    while first > 0 and last - first < _LONGEST and text.part[first - 1] == text.part[first]:
        if text.word(first - 1).lower() not in _LEFT:
            break
        first -= 1
    while last + 1 < len(text.stems) and last - first < _LONGEST and text.part[last + 1] == text.part[last]:
        if text.word(last).lower() not in _JOINING:
            break
        last += 1
    return TokenSpan(first, last)
