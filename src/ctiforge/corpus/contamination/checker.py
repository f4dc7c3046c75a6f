"""One text against all benchmark items, at every level of contamination."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ctiforge.core.ids import find_cve_ids
from ctiforge.core.object_ids import find_object_ids
from ctiforge.corpus.contamination.benchmarks import BenchmarkItem, Benchmarks
from ctiforge.corpus.contamination.choices import find_choices, options_key
from ctiforge.corpus.contamination.frequencies import DocumentFrequencies
from ctiforge.corpus.contamination.normal_form import exact_key, fold_characters, normalize
from ctiforge.corpus.contamination.overlap import WordOverlapIndex
from ctiforge.corpus.contamination.phrases import PhraseIndex, masked_words, phrases_of
from ctiforge.corpus.contamination.semantic import Embed, SemanticIndex
from ctiforge.corpus.contamination.settings import TEXT_LEVELS, ContaminationSettings, Level

__all__ = ["ContaminationChecker", "Hit", "TextMatch", "merge_levels"]

_DEFAULTS = ContaminationSettings()
_SLACK = 1e-9
_RARE_SHARE = 0.0025
"""Words in a smaller share of the texts weigh the same, so that a product's name does not outweigh the rest of a text."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that a text has in common with a benchmark item.

    Attributes:
        level: see `LEVELS`.
        file, item_id, item_text: the item.
        score: similarity, 0 to 1; 1 for what is equal.
        detail: ``own`` or ``named`` (``exact_id``, ``source_object``: the record's own ID, or one in its text) with the ID;
            ``words`` or ``phrases`` (``ngram``).
    """

    level: Level
    file: str
    item_id: str
    score: float
    item_text: str
    detail: str = ""


@dataclass(slots=True)
class TextMatch:
    """How a text compares with the distinct benchmark texts; places are those of `ContaminationChecker.texts`.

    Attributes:
        levels: place to the strictest level reached, with the score and the detail of a `Hit`.
        jaccard: place to Jaccard index, from the floor asked for on.
    """

    levels: dict[int, tuple[Level, float, str]] = field(default_factory=dict)
    jaccard: dict[int, float] = field(default_factory=dict)


class ContaminationChecker:
    """Benchmark items made ready to be looked for.

    Rare is what few of the benchmark's texts and of `background` have; without a background, boilerplate that the benchmark
    itself has seldom counts as rare, so pass a sample of the texts to be checked.

    Args:
        background: texts of the corpus to be checked, without their instructions (a few thousand are enough).
        embed: turns texts into unit vectors, for the level ``semantic``; None leaves it out.

    Attributes:
        texts: the distinct normalised texts of items; a multiple-choice item has two, its question with and without options.
        items_of: for each, the places of its items in `benchmarks.items`.
    """

    def __init__(
        self,
        benchmarks: Benchmarks,
        settings: ContaminationSettings = _DEFAULTS,
        *,
        background: Iterable[str] = (),
        embed: Embed | None = None,
    ) -> None:
        self.benchmarks = benchmarks
        self.settings = settings
        self._index_items(benchmarks.items)
        in_benchmark = Counter(word for text in self.texts for word in set(text.split()))
        self._plain_words = frozenset(
            word for word, count in in_benchmark.items() if count > settings.name_texts and not any(map(str.isdecimal, word))
        )
        phrases = [self._phrases(text) for text in self.texts]
        frequencies = self._count((*self.texts, *(normalize(text) for text in background)))
        total = frequencies.texts

        def weigh(word: str) -> float:
            return max(math.log((total + 1) / max(frequencies.count(word), _RARE_SHARE * total, 1)), 1e-3) ** 2

        self._overlap = WordOverlapIndex(self.texts, weigh)
        self._rare = PhraseIndex(phrases, frequencies.count)
        self._semantic = SemanticIndex(self.texts, embed) if embed is not None else None

    def _index_items(self, items: Sequence[BenchmarkItem]) -> None:
        places: defaultdict[str, list[int]] = defaultdict(list)
        self._by_cve: defaultdict[str, list[int]] = defaultdict(list)
        self._by_object: defaultdict[str, list[int]] = defaultdict(list)
        self._by_options: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, item in enumerate(items):
            spelled = {normalize(item.text)}
            if item.options:
                spelled.add(normalize(f"{item.text} {' '.join(item.options)}"))
                if key := options_key(item.options):
                    self._by_options[key].append(place)
            for text in sorted(spelled - {""}):
                places[text].append(place)
            for cve_id in item.cve_ids:
                self._by_cve[cve_id].append(place)
            if item.source_object:
                self._by_object[item.source_object].append(place)
        self.texts = list(places)
        self.items_of = list(places.values())
        self._exact: defaultdict[str, list[int]] = defaultdict(list)
        for place, text in enumerate(self.texts):
            self._exact[exact_key(text)].append(place)

    def _phrases(self, normalized: str) -> set[str]:
        return phrases_of(masked_words(normalized, self._plain_words), self.settings.phrase_words)

    def _count(self, texts: Iterable[str]) -> DocumentFrequencies:
        frequencies = DocumentFrequencies()
        for text in texts:
            frequencies.add(exact_key(text), [*text.split(), *self._phrases(text)])
        return frequencies

    def check(self, text: str, ids: Collection[str] = (), source_id: str = "", kind: str = "") -> list[Hit]:
        """Return all that a record has in common with benchmark items, by level, then by item.

        A pair of text and item counts at the strictest of `TEXT_LEVELS` that it reaches; the other levels stand beside it.

        Args:
            text: the part to compare, without an instruction that many records share (`Instructions.remove_from`).
            ids: the record's own identifiers; `source_id`: the object it is about.
            kind: ``rcm`` leaves out ``source_object``, since the CWE that such a record names is its answer.
        """
        by_id = self.id_findings(" ".join((source_id, *ids)), text, objects=kind != "rcm")
        hits = [self._hit(level, place, 1.0, detail) for place, level, detail in by_id]
        best: dict[int, tuple[Level, float, str]] = {}
        for part in self.parts(text):
            merge_levels(best, self.match(part).levels)
        hits += self._text_hits(best)
        return sorted(hits, key=lambda hit: (_ORDER[hit.level], -hit.score, hit.file, hit.item_id))

    def parts(self, text: str) -> list[str]:
        """Return what of `text` is compared, normalised: all of it, and of multiple choice the question alone as well."""
        whole = normalize(text)
        choices = find_choices(fold_characters(text))
        if choices is None:
            return [whole]
        without_letters = normalize(f"{choices.question} {' '.join(choices.options)}")
        return [whole, without_letters, normalize(choices.question)]

    def id_findings(
        self, own: str, text: str, other_texts: Iterable[str] = (), *, objects: bool = True
    ) -> list[tuple[int, Level, str]]:
        """Return item, level and detail of what is found by identifiers and options.

        Args:
            own: the record's identifiers and addresses, in any spelling.
            text: may name CVEs and source objects, and have options; `other_texts` may name CVEs.
        """
        folded = fold_characters(text)
        found: dict[tuple[Level, int], str] = {}
        everything = " ".join((folded, *map(fold_characters, other_texts)))
        for detail, ids_in, objects_in in (("own", own, own), ("named", everything, folded)):
            for cve_id in find_cve_ids(ids_in) if "cve" in ids_in.casefold() else ():
                for place in self._by_cve.get(cve_id, ()):
                    found.setdefault(("exact_id", place), f"{detail} {cve_id}")
            for object_id in find_object_ids(objects_in) if objects else ():
                for place in self._by_object.get(object_id, ()):
                    found.setdefault(("source_object", place), f"{detail} {object_id}")
        if (choices := find_choices(folded)) and (key := options_key(choices.options)):
            found |= {("options", place): "" for place in self._by_options.get(key, ())}
        return [(place, level, detail) for (level, place), detail in found.items()]

    def _hit(self, level: Level, place: int, score: float, detail: str) -> Hit:
        item = self.benchmarks.items[place]
        text = "\n".join((item.text, *item.options))
        return Hit(level, item.file, item.item_id, round(score, 4), text, detail)

    def _text_hits(self, levels: dict[int, tuple[Level, float, str]]) -> list[Hit]:
        best: dict[int, tuple[Level, float, str]] = {}
        for place, found in levels.items():
            merge_levels(best, dict.fromkeys(self.items_of[place], found))
        return [self._hit(level, item, score, detail) for item, (level, score, detail) in best.items()]

    def match(self, normalized: str, jaccard_from: float = 1.0) -> TextMatch:
        """Compare a normalised text with every benchmark text.

        Args:
            jaccard_from: similarities from this on are returned, for a sweep over thresholds.
        """
        found = TextMatch()
        if not normalized:
            return found
        settings = self.settings
        overlaps = self._overlap.find(normalized, min(jaccard_from, settings.near_duplicate), settings.rare_words)
        for overlap in overlaps:
            place = overlap.place
            if overlap.jaccard >= jaccard_from:
                found.jaccard[place] = overlap.jaccard
            if overlap.jaccard >= settings.near_duplicate - _SLACK:
                found.levels[place] = ("near_duplicate", overlap.jaccard, "")
            elif overlap.weighted >= settings.rare_words - _SLACK and overlap.shared >= settings.min_words:
                found.levels[place] = ("ngram", overlap.weighted, "words")
        for place in self._exact.get(exact_key(normalized), ()):
            found.levels[place] = ("exact_text", 1.0, "")
            found.jaccard[place] = 1.0
        for shared in self._rare.shared(self._phrases(normalized), settings.rare_phrases, settings.min_phrases):
            merge_levels(found.levels, {shared.place: ("ngram", shared.share, "phrases")})
        if self._semantic is not None:
            for place, score in self._semantic.nearest(normalized, settings.semantic):
                merge_levels(found.levels, {place: ("semantic", score, "")})
        return found


_ORDER: Final = {level: place for place, level in enumerate(("exact_id", *TEXT_LEVELS, "options", "source_object"))}


def merge_levels(best: dict[int, tuple[Level, float, str]], more: dict[int, tuple[Level, float, str]]) -> None:
    """Keep in `best` the strictest level, and of that the highest score, for each key."""
    for place, found in more.items():
        old = best.get(place)
        if old is None or (-_ORDER[found[0]], found[1]) > (-_ORDER[old[0]], old[1]):
            best[place] = found
