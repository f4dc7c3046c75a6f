"""Questions that prose answers: what an object is, how it is done, seen and countered, and sentences cut in two."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Final

from ctiforge.ask.objects import KnowledgeObject, Passage
from ctiforge.ask.passages import split_sentences
from ctiforge.ask.questions.catalogue import Catalogue
from ctiforge.ask.questions.question import Draft
from ctiforge.ask.questions.wording import (
    mask_names,
    mentions_any,
    short_name,
    split_sentence,
    usable_sentences,
    without_end,
)

__all__ = ["draft_texts"]

_NOUNS: Final[Mapping[str, str]] = {
    "technique": "technique", "mitigation": "mitigation", "group": "group", "software": "software", "campaign": "campaign",
    "tactic": "tactic", "data-component": "data component", "attack-pattern": "attack pattern", "weakness": "weakness",
}  # fmt: skip
_DEFINITIONS: Final = (
    "Which {noun} is described as follows? {sentence}",
    "{sentence} Which {noun} does this describe?",
    "Which {noun} fits this description best: {sentence}",
    "What is the name of the {noun} in which the following holds? {sentence}",
)
_SITUATIONS: Final = (
    "During an investigation you learn that {lowered} Which {noun} is this?",
    "A report says: {sentence} Which {noun} should it be mapped to?",
)
_STATEMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "description": (
        "Which statement describes {name} ({id}) best?", "What is true of {short} ({id})?", "What characterises {short}?",
        "What is the main idea of {name}?",
    ),
    "mitigation": (
        "How can {short} ({id}) be mitigated?", "Which recommendation is given against {name}?",
        "What should be done to prevent or limit {short}?",
    ),
    "detection": (
        "How can {short} ({id}) be detected?", "What should defenders monitor to find {name}?",
        "Which approach helps to detect {short}?",
    ),
    "consequence": ("What is a possible consequence of {name} ({id})?", "What can {short} lead to?"),
    "procedure": (
        "How is {short} ({id}) carried out, according to its examples?",
        "Which of the following is needed for or part of {name}?",
    ),
    "example": ("Which case is an example of {name} ({id})?",),
}  # fmt: skip
_NOT_SAID: Final[Mapping[str, tuple[str, ...]]] = {
    "description": ("Which statement is NOT true of {short} ({id})?", "Which of these does NOT describe {name}?"),
    "mitigation": (
        "Which of the following is NOT a recommended mitigation for {short} ({id})?",
        "All of these help against {name} EXCEPT:",
    ),
    "detection": ("Which of the following is NOT a way to detect {short} ({id})?",),
    "procedure": ("Which of the following is NOT an example or part of {short} ({id})?",),
}
_SHARE_NOT_SAID: Final = 0.3
_RELATED: Final[Mapping[str, tuple[str, ...]]] = {
    "mitigation": (
        "Which mitigation against {short} ({id}) advises the following? {sentence}",
        "{sentence} This advice against {short} belongs to which mitigation?",
        "Which mitigation would a team apply that wants to do this about {short}: {sentence}",
    ),
    "procedure": (
        "Which group, campaign or software used {short} ({id}) in this way? {sentence}",
        "{sentence} Who or what is this, in the examples of {short}?",
    ),
}  # fmt: skip
_WHAT: Final[Mapping[str, str]] = {
    "to": "to what end", "in order to": "to what end", "so that": "to what end", "by": "by what means", "via": "by what means",
    "through": "by what means", "using": "using what", "because": "for what reason", "such as": "which of these is an example",
    "including": "which of these is included", "when": "when or where", "if": "under which condition",
}  # fmt: skip
_HALVES: Final = (
    "How does this statement on {short} ({id}) go on? {head} {joint} ...",
    "{head} {joint} what, in the case of {short} ({id})?",
    "Complete this, on {name}: {head} {joint} ...",
)
_TERM: Final = re.compile(
    r"(?<![\w-])(?:[A-Z][a-z]+(?: [A-Z][a-z]+)+|[A-Z]{2,}[a-z]?(?:[-/ ][A-Z]\w+)?|[A-Z][a-z]+[A-Z]\w+|"
    r"\w+\.(?:exe|dll|py|plist|sh)|\d+(?: (?:bits?|bytes?|days?|minutes?))?)(?![\w-])"
)
_TERM_STEMS: Final = (
    "Which term completes this statement on {short} ({id})? {sentence}",
    "In the context of {name}: {sentence} What is '____'?",
)
_NEAR: Final = 12


def draft_texts(catalogue: Catalogue, subject: KnowledgeObject, rng: Random) -> Iterator[Draft]:
    """Yield questions from an object's passages: one of each kind and of each kind of passage where its text allows."""
    passages = catalogue.passages(subject.id)
    described = [each for each in passages if each.kind == "description"]
    if described:
        yield from _definition(catalogue, subject, described, rng)
    by_kind: dict[str, list[Passage]] = {}
    for each in passages:
        by_kind.setdefault(each.kind, []).append(each)
    for kind, found in by_kind.items():
        if kind in _STATEMENTS:
            chosen = rng.choice(found)
            yield from _statement(catalogue, subject, chosen, rng)
            yield from _not_said(catalogue, subject, found, rng)
            yield from _halves(catalogue, subject, rng.choice(found), rng)
            yield from _term(catalogue, subject, rng.choice(found), rng)
        if kind in _RELATED and (related := [each for each in found if each.related]):
            yield from _related(catalogue, subject, rng.choice(related), rng)


def _names(subject: KnowledgeObject) -> list[str]:
    return [subject.name, short_name(subject.name), subject.id, *subject.aliases]


def _sentences(passage: Passage) -> list[str]:
    return usable_sentences(each for line in passage.text.split("\n") for each in split_sentences(line))


def _slots(subject: KnowledgeObject) -> dict[str, str]:
    return {"name": subject.name, "short": short_name(subject.name), "id": subject.id, "noun": _NOUNS[subject.kind]}


def _definition(catalogue: Catalogue, subject: KnowledgeObject, described: Sequence[Passage], rng: Random) -> Iterator[Draft]:
    found = [(each, sentence) for each in described for sentence in _sentences(each)[:5]]
    if not found:
        return
    passage, sentence = rng.choice(found)
    masked = mask_names(sentence, _names(subject), f"this {_NOUNS[subject.kind]}")
    stem = rng.choice((*_DEFINITIONS, *_SITUATIONS)).format(
        **_slots(subject), sentence=masked, lowered=masked[:1].lower() + masked[1:]
    )
    kin = catalogue.kin(subject)
    wrong = [[catalogue.objects[e].name for e in group if e not in kin] for group in catalogue.near(subject.id)]
    why = f"{subject.name} ({subject.id}): {sentence}"
    yield Draft(f"definition-{subject.kind}", stem, subject.name, wrong, (passage.id,), 2, why)


def _statement(catalogue: Catalogue, subject: KnowledgeObject, passage: Passage, rng: Random) -> Iterator[Draft]:
    own = _sentences(passage)
    if not own:
        return
    sentence = rng.choice(own)
    pronoun = f"this {_NOUNS[subject.kind]}"
    wrong = [
        [without_end(mask_names(each, _names(other), pronoun)) for other, each in group]
        for group in _like(catalogue, subject, passage.kind, rng)
    ]
    stem = rng.choice(_STATEMENTS[passage.kind]).format(**_slots(subject))
    right = without_end(mask_names(sentence, _names(subject), pronoun))
    why = f"{passage.heading}: {sentence}"
    yield Draft(f"statement-{passage.kind}-{subject.kind}", stem, right, wrong, (passage.id,), 2, why)


def _not_said(catalogue: Catalogue, subject: KnowledgeObject, passages: Sequence[Passage], rng: Random) -> Iterator[Draft]:
    """Ask which statement is not made of an object: three are, one is made of a near one."""
    own = [sentence for each in passages for sentence in _sentences(each)]
    stems = _NOT_SAID.get(passages[0].kind)
    if stems is None or len(own) < 3 or rng.random() >= _SHARE_NOT_SAID:
        return
    pronoun = f"this {_NOUNS[subject.kind]}"
    others = [found for group in _like(catalogue, subject, passages[0].kind, rng) for found in group]
    if not others:
        return
    other, sentence = rng.choice(others)
    right = without_end(mask_names(sentence, _names(other), pronoun))
    wrong = [without_end(mask_names(each, _names(subject), pronoun)) for each in own]
    why = f"This is said of {other.name} ({other.id}): {sentence}"
    passage = passages[0]
    stem = rng.choice(stems).format(**_slots(subject))
    yield Draft(f"not-statement-{passage.kind}-{subject.kind}", stem, right, [wrong], (passage.id,), 3, why)


def _like(
    catalogue: Catalogue, subject: KnowledgeObject, kind: str, rng: Random
) -> Iterator[list[tuple[KnowledgeObject, str]]]:
    """Yield sentences from passages of the same kind: of near objects, and of any of the topic."""
    kin = catalogue.kin(subject)
    for group in catalogue.near(subject.id):
        drawn = rng.sample(group, min(len(group), _NEAR))
        found: list[tuple[KnowledgeObject, str]] = []
        for each in drawn:
            if each in kin:
                continue
            passages = [one for one in catalogue.passages(each) if one.kind == kind]
            if passages and (sentences := _sentences(rng.choice(passages))):
                found.append((catalogue.objects[each], rng.choice(sentences)))
        yield found


def _halves(catalogue: Catalogue, subject: KnowledgeObject, passage: Passage, rng: Random) -> Iterator[Draft]:
    """Ask for the end of a sentence; the ends of like sentences are wrong, with the same joint first."""
    own = _sentences(passage)
    if not own:
        return
    sentence = rng.choice(own)
    if (cut := split_sentence(sentence, rng)) is None:
        return
    head, joint, tail = cut
    said = [each for one in catalogue.passages(subject.id)[:12] for each in _sentences(one) if each != sentence]
    same = [without_end(found[2]) for each in said if (found := split_sentence(each, rng)) is not None and rng.random() < 0.3]
    other: list[str] = []
    for group in _like(catalogue, subject, passage.kind, rng):
        for _, each in group:
            if (found := split_sentence(each, rng)) is not None:
                (same if found[1] == joint else other).append(without_end(found[2]))
    stem = rng.choice(_HALVES).format(**_slots(subject), head=head, joint=joint)
    if joint in _WHAT and rng.random() < 0.4:
        stem = f"{head}: {_WHAT[joint]}?"
        stem = stem if mentions_any(stem, _names(subject)) else f"Regarding {short_name(subject.name)} ({subject.id}): {stem}"
    why = f"{passage.heading}: {sentence}"
    yield Draft(f"halves-{passage.kind}-{subject.kind}", stem, without_end(tail), [same, other], (passage.id,), 3, why)


def _term(catalogue: Catalogue, subject: KnowledgeObject, passage: Passage, rng: Random) -> Iterator[Draft]:
    """Ask for a proper term in a sentence; proper terms of like sentences that the passage does not have are wrong."""
    for sentence in _sentences(passage):
        found = [each for each in _TERM.finditer(sentence) if each.start() > 0 and not mentions_any(each[0], _names(subject))]
        if not found:
            continue
        term = rng.choice(found)
        wrong = [
            [
                match[0]
                for _, each in group
                for match in _TERM.finditer(each)
                if match.start() > 0 and match[0] not in passage.text
            ]
            for group in _like(catalogue, subject, passage.kind, rng)
        ]
        gap = sentence[: term.start()] + "____" + sentence[term.end() :]
        stem = rng.choice(_TERM_STEMS).format(**_slots(subject), sentence=gap)
        why = f"{passage.heading}: {sentence}"
        yield Draft(f"term-{passage.kind}-{subject.kind}", stem, term[0], wrong, (passage.id,), 3, why)
        return


def _related(catalogue: Catalogue, subject: KnowledgeObject, passage: Passage, rng: Random) -> Iterator[Draft]:
    """Ask for the mitigation or the actor that a passage is about, by what it says."""
    other = catalogue.objects.get(passage.related[0])
    own = _sentences(passage)
    if other is None or not own:
        return
    sentence = rng.choice(own)
    masked = mask_names(sentence, _names(other), f"this {_NOUNS[other.kind]}" if passage.kind == "mitigation" else "____")
    same = [each for one in catalogue.passages(subject.id) if one.kind == passage.kind for each in one.related[:1]]
    taken = {other.id, *catalogue.kin(other)}
    near = [catalogue.objects[e].name for e in dict.fromkeys(same) if e in catalogue.objects and e not in taken]
    every = [each.name for each in catalogue.by_kind[other.kind] if each.id not in taken]
    stem = rng.choice(_RELATED[passage.kind]).format(**_slots(subject), sentence=masked)
    yield Draft(
        f"by-{passage.kind}-{other.kind}", stem, other.name, [near, every], (passage.id,), 3, f"{passage.heading}: {sentence}"
    )
