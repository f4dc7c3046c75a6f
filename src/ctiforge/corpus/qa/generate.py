"""Grounded questions and answers from CVE, CWE, CAPEC and ATT&CK, the same for the same objects, settings and seed.

Every wrong option is false by the catalogues: it is neither among the right values nor among those that a reader could defend
(`Generator.doubtful`), and reads differently from each of them. Gold letters come in shuffled blocks of A, B, C and D, so
they are uniform within every generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from ctiforge.corpus.qa.attack_actors import actor_generators
from ctiforge.corpus.qa.attack_defences import defence_generators
from ctiforge.corpus.qa.attack_techniques import technique_generators
from ctiforge.corpus.qa.capec_patterns import pattern_generators
from ctiforge.corpus.qa.cve_records import record_generators
from ctiforge.corpus.qa.cwe_weaknesses import weakness_generators
from ctiforge.corpus.qa.objects import QaObjects
from ctiforge.corpus.qa.pattern_graph import PatternGraph
from ctiforge.corpus.qa.question import Fact, Generator
from ctiforge.corpus.qa.settings import QaSettings
from ctiforge.corpus.qa.technique_graph import TechniqueGraph
from ctiforge.corpus.qa.weakness_graph import WeaknessGraph
from ctiforge.corpus.qa.wording import CHOICE_INSTRUCTIONS, LAYOUTS, SHORT_INSTRUCTIONS, mentions, word_overlap
from ctiforge.corpus.record import CorpusRecord

__all__ = ["build_generators", "generate_qa"]

_LETTERS: Final = "ABCD"
_LABELLED_SHARE: Final = 0.25
"""How many of the questions that may show identifiers in their options do so."""
_TOO_ALIKE: Final = 0.5
"""Jaccard similarity of words from which on a sentence is not offered beside a right one."""


def build_generators(objects: QaObjects) -> Iterator[Generator]:
    """Yield every generator that the objects given allow, in a fixed order."""
    techniques = TechniqueGraph(objects.attack) if objects.attack is not None else None
    weaknesses = WeaknessGraph(objects.weaknesses) if objects.weaknesses is not None else None
    if techniques is not None:
        yield from technique_generators(techniques)
        yield from defence_generators(techniques)
        yield from actor_generators(techniques)
    if objects.capec is not None:
        yield from pattern_generators(PatternGraph(objects.capec), weaknesses, techniques)
    if weaknesses is not None:
        yield from weakness_generators(weaknesses)
    if objects.advisories:
        yield from record_generators(objects.advisories, objects.advisory_licence, weaknesses, objects.capec)


def generate_qa(objects: QaObjects, settings: QaSettings, seed: int) -> Iterator[CorpusRecord]:
    """Yield the questions that `settings` ask for; a generator that has fewer yields what it has.

    Facts are drawn by the seed, each subject once before any twice. Every record cites its source object (`source_id`,
    `source_sha256`) and carries in `metadata`: ``form`` (``choice`` or ``short``), ``relation``, ``value`` (the right value),
    ``options`` (the four values in the order of the letters), ``slots`` (what the question quotes) and ``objects``
    (identifiers of all objects that question and options are about).
    """
    asked: set[str] = set()
    for generator in build_generators(objects):
        counts = settings.counts.get(generator.name)
        if counts is None:
            continue
        maker = _Maker(generator, settings, seed, asked)
        if counts.choice and generator.choices:
            yield from maker.choices(counts.choice)
        if counts.short and generator.shorts and generator.answer is not None:
            yield from maker.shorts(counts.short)


class _Maker:
    """Makes the records of one generator."""

    def __init__(self, generator: Generator, settings: QaSettings, seed: int, asked: set[str]) -> None:
        self.generator = generator
        self.settings = settings
        self.seed = seed
        self.asked = asked

    def choices(self, count: int) -> Iterator[CorpusRecord]:
        letters = _letters(Random(f"{self.seed}/{self.generator.name}/letters"))
        letter = next(letters)
        for fact in self._drawn(self.generator.facts, "choice"):
            if count <= 0:
                return
            if (record := self._choice(fact, letter)) is not None and record.text not in self.asked:
                self.asked.add(record.text)
                count, letter = count - 1, next(letters)
                yield record

    def shorts(self, count: int) -> Iterator[CorpusRecord]:
        facts = self.generator.short_facts
        for fact in self._drawn(_first_of_each(self.generator.facts) if facts is None else facts, "short"):
            if count <= 0:
                return
            if (record := self._short(fact)) is not None and record.text not in self.asked:
                self.asked.add(record.text)
                count -= 1
                yield record

    def _drawn(self, facts: Sequence[Fact], form: str) -> list[Fact]:
        """Return the facts in the order in which they are tried: shuffled, every subject once, then every one twice."""
        shuffled = [fact for fact in facts if fact.subject not in self.settings.exclude]
        Random(f"{self.seed}/{self.generator.name}/{form}").shuffle(shuffled)
        turns: dict[str, int] = {}
        ranked: list[tuple[int, int]] = []
        for place, fact in enumerate(shuffled):
            turns[fact.subject] = turn = turns.get(fact.subject, 0) + 1
            ranked.append((turn, place))
        return [shuffled[place] for _, place in sorted(ranked)]

    def _choice(self, fact: Fact, letter: str) -> CorpusRecord | None:
        own = self._id(fact, "choice")
        rng = Random(f"{self.seed}/{own}")
        wrong = self._wrong(fact, rng)
        if len(wrong) < len(_LETTERS) - 1 or len(self.generator.show(fact.value)) > self.settings.longest_option:
            return None
        values = list(wrong)
        values.insert(_LETTERS.index(letter), fact.value)
        stem = rng.choice(self.generator.choices).format(**fact.slots)
        labelled = self.generator.labels and rng.random() < _LABELLED_SHARE
        layout = rng.choice(LAYOUTS)
        shown = [f"{value} {self.generator.show(value)}" if labelled else self.generator.show(value) for value in values]
        lines = [layout.format(letter=each, text=text) for each, text in zip(_LETTERS, shown, strict=True)]
        text = "\n".join((stem, *lines))
        instruction = rng.choice(CHOICE_INSTRUCTIONS)
        prompt = f"{instruction}\n\n{text}" if rng.random() < 0.75 else f"{text}\n\n{instruction}"
        return self._record(own, fact, "choice", prompt, letter, text, stem, label=letter, options=values)

    def _wrong(self, fact: Fact, rng: Random) -> list[str]:
        """Return three values that are wrong by the graph and read unlike any right one, as near as there are."""
        generator = self.generator
        right = set(generator.right(fact))
        barred = right | set(generator.doubtful(fact)) | {fact.value}
        right_texts = [generator.show(value) for value in {*right, fact.value}]
        whole_texts = [generator.whole(value) for value in {*right, fact.value}] if generator.whole is not None else right_texts
        taken_texts = {text.casefold() for text in right_texts}
        found: list[str] = []
        for group in generator.near(fact):
            candidates = [value for value in group if value not in barred]
            rng.shuffle(candidates)
            for value in candidates:
                text = generator.show(value)
                if value in barred or text.casefold() in taken_texts or len(text) > self.settings.longest_option:
                    continue
                if generator.prose and (
                    any(word_overlap(text, other) >= _TOO_ALIKE for other in right_texts)
                    or any(mentions(other, text) for other in whole_texts)
                ):
                    continue
                found.append(value)
                if len(found) == len(_LETTERS) - 1:
                    return found
                barred.add(value)
                taken_texts.add(text.casefold())
        return found

    def _short(self, fact: Fact) -> CorpusRecord | None:
        own = self._id(fact, "short")
        rng = Random(f"{self.seed}/{own}")
        assert self.generator.answer is not None
        answer = self.generator.answer(fact)
        if not answer.strip(" ."):
            return None
        text = rng.choice(self.generator.shorts).format(**fact.slots)
        prompt = f"{rng.choice(SHORT_INSTRUCTIONS)}\n\n{text}"
        completion = f"{answer}\nSource: {_citation(fact.subject)}" if self.settings.cite else answer
        return self._record(own, fact, "short", prompt, completion, text, text)

    def _id(self, fact: Fact, form: str) -> str:
        """Return an identifier that follows from generator, form, subject, right value and what is quoted."""
        told = "\x1f".join((fact.value, *(f"{name}={fact.slots[name]}" for name in sorted(fact.slots))))
        return f"qa/{self.generator.name}/{form}/{fact.subject}/{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    def _record(
        self,
        own: str,
        fact: Fact,
        form: str,
        prompt: str,
        completion: str,
        text: str,
        question: str,
        *,
        label: str = "",
        options: Sequence[str] = (),
    ) -> CorpusRecord | None:
        if len(question) > self.settings.longest_question:
            return None
        subject = self.generator.subject(fact.subject)
        metadata = {"form": form, "relation": self.generator.relation, "value": fact.value, "slots": dict(fact.slots)}
        if options:
            metadata["options"] = list(options)
        about = (_object_of(value) for value in (fact.subject, fact.value, *options))
        metadata["objects"] = sorted({each for each in about if each})
        return CorpusRecord(
            id=own,
            kind="qa",
            generator=f"qa/{self.generator.name}",
            prompt=prompt,
            completion=completion,
            text=text,
            label=label,
            source_id=fact.subject,
            source=subject.source,
            source_sha256=subject.sha256,
            licence=subject.licence,
            date=subject.date,
            metadata=metadata,
        )


def _letters(rng: Random) -> Iterator[str]:
    while True:
        block = list(_LETTERS)
        rng.shuffle(block)
        yield from block


def _first_of_each(facts: Sequence[Fact]) -> list[Fact]:
    first: dict[str, Fact] = {}
    for fact in facts:
        first.setdefault(fact.subject, fact)
    return list(first.values())


def _object_of(value: str) -> str:
    """Return the identifier inside a value (``M1040@T1055``, ``CAPEC-66#0``), or nothing for a word of a closed list."""
    head = value.partition("@")[2] or value.partition("#")[0]
    return head if any(each.isdigit() for each in head) and " " not in head else ""


def _citation(object_id: str) -> str:
    if object_id.startswith("CVE-"):
        return f"CVE record {object_id}"
    return object_id if object_id.startswith(("CWE-", "CAPEC-")) else f"MITRE ATT&CK {object_id}"
