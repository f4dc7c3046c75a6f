"""Questions that the graph answers: which object stands in a relation to another, and which does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from ctiforge.ask.objects import KnowledgeObject, ObjectKind
from ctiforge.ask.questions.catalogue import Catalogue
from ctiforge.ask.questions.question import ALL_OF_THEM, Draft
from ctiforge.ask.questions.wording import short_name

__all__ = ["draft_relations"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Questions about one relation of one kind of object; stems may use {name}, {short} and {id}."""

    subject: ObjectKind
    relation: str
    answer: ObjectKind
    stems: tuple[str, ...]
    turned: tuple[str, ...] = ()
    said: str = ""


_KINDS: Final = (
    _Kind(
        "technique", "mitigated-by", "mitigation",
        (
            "Which mitigation can be used against {short} ({id})?",
            "Which of the following is recommended by MITRE to mitigate the technique {name}?",
            "What measure helps to prevent adversaries from using {short}?",
            "A defender wants to counter {id}. Which mitigation should be considered?",
            "Which security measure limits the impact of {short}?",
        ),
        (
            "Which of the following is NOT listed as a mitigation for {name} ({id})?",
            "All of these mitigate {short} EXCEPT:",
        ),
        "{subject} is mitigated by {answer}.",
    ),
    _Kind(
        "technique", "in-tactic", "tactic",
        (
            "Which tactic does the technique {short} ({id}) belong to?",
            "Under which ATT&CK tactic is {name} categorised?",
            "What is the tactical goal of an adversary who uses {id}?",
            "{short} is primarily associated with which tactic?",
        ),
        ("Which tactic is NOT associated with {name} ({id})?",),
        "{subject} is listed under the tactic {answer}.",
    ),
    _Kind(
        "technique", "has-subtechnique", "technique",
        ("Which of the following is a sub-technique of {name} ({id})?", "{short} has which sub-technique?"),
        ("Which of these is NOT a sub-technique of {short} ({id})?",),
        "{answer} is a sub-technique of {subject}.",
    ),
    _Kind(
        "technique", "subtechnique-of", "technique",
        ("{short} ({id}) is a sub-technique of which technique?", "What is the parent technique of {short}?"),
        (), "{subject} is a sub-technique of {answer}.",
    ),
    _Kind(
        "technique", "used-by", "group",
        (
            "Which group has used {name} ({id})?", "Which threat actor is known to have used {short}?",
            "{short} was observed in operations of which adversary group?",
        ),
        ("Which group is NOT reported to use {name} ({id})?",), "{answer} has used {subject}.",
    ),
    _Kind(
        "technique", "used-by", "software",
        (
            "Which malware or tool is known for {name} ({id})?", "Which software has used the technique {short}?",
            "Which of these programs implements {short} according to ATT&CK's procedure examples?",
        ),
        (), "{answer} has used {subject}.",
    ),
    _Kind(
        "technique", "used-by", "campaign",
        ("During which campaign was {name} ({id}) used?", "In which operation did threat actors use {short}?"),
        (), "{subject} was used in {answer}.",
    ),
    _Kind(
        "mitigation", "mitigates", "technique",
        (
            "Which technique is mitigated by {name} ({id})?", "{name} helps against which of these techniques?",
            "Against which adversary behaviour does MITRE recommend {name}?",
        ),
        ("Which technique is NOT addressed by the mitigation {name} ({id})?",), "{subject} mitigates {answer}.",
    ),
    _Kind(
        "group", "uses", "technique",
        ("Which technique is used by {name} ({id})?", "The group {name} has been observed using which technique?"),
        (), "{subject} has used {answer}.",
    ),
    _Kind(
        "group", "uses", "software",
        ("Which software does {name} ({id}) use?", "Which malware or tool is associated with the group {name}?"),
        ("Which of these tools has NOT been linked to {name}?",), "{subject} has used {answer}.",
    ),
    _Kind(
        "software", "uses", "technique",
        ("Which technique does {name} ({id}) implement?", "What can the software {name} do, in terms of ATT&CK techniques?"),
        (), "{subject} uses {answer}.",
    ),
    _Kind(
        "software", "used-by", "group",
        ("Which group has used {name} ({id})?", "{name} is associated with which threat group?"),
        (), "{answer} has used {subject}.",
    ),
    _Kind(
        "campaign", "attributed-to", "group",
        ("Which group is the campaign {name} ({id}) attributed to?", "Who was behind {name}?"),
        (), "{subject} is attributed to {answer}.",
    ),
    _Kind(
        "tactic", "has-technique", "technique",
        ("Which technique belongs to the tactic {name} ({id})?", "Which of these is a way to achieve {name}?"),
        ("Which of the following techniques is NOT part of the tactic {name}?",), "{answer} belongs to {subject}.",
    ),
    _Kind(
        "weakness", "child-of", "weakness",
        ("Which weakness is a parent of {id} ({name})?", "{id} is a child of which more general weakness?"),
        (), "{answer} is a parent of {subject}.",
    ),
    _Kind(
        "weakness", "parent-of", "weakness",
        ("Which of these is a child of {id} ({name})?", "Which weakness is a more specific form of {name}?"),
        (), "{answer} is a child of {subject}.",
    ),
    _Kind(
        "weakness", "can-precede", "weakness",
        ("Which weakness can follow from {id} ({name})?", "{name} can lead to which other weakness?"),
        (), "{subject} can precede {answer}.",
    ),
    _Kind(
        "weakness", "peer-of", "weakness",
        ("Which weakness is listed as a peer of {id} ({name})?",), (), "{answer} is a peer of {subject}.",
    ),
    _Kind(
        "weakness", "exploited-by", "attack-pattern",
        ("Which attack pattern is related to {id} ({name})?", "Which attack exploits the weakness {name}?"),
        (), "{answer} exploits {subject}.",
    ),
    _Kind(
        "attack-pattern", "exploits", "weakness",
        ("Which weakness is related to {id} ({name})?", "Which CWE entry does the attack pattern {name} exploit?"),
        ("Which weakness is NOT listed as related to {id} ({name})?",), "{subject} exploits {answer}.",
    ),
    _Kind(
        "attack-pattern", "child-of", "attack-pattern",
        ("{id} ({name}) is a child of which attack pattern?", "What is the more general pattern of {name}?"),
        (), "{answer} is a parent of {subject}.",
    ),
    _Kind(
        "attack-pattern", "parent-of", "attack-pattern",
        ("Which attack pattern is a child of {id} ({name})?",), (), "{answer} is a child of {subject}.",
    ),
    _Kind(
        "attack-pattern", "can-precede", "attack-pattern",
        ("Which attack pattern can {id} ({name}) precede?",), (), "{subject} can precede {answer}.",
    ),
)  # fmt: skip

_SHARE_TURNED: Final = 0.35
_SHARE_LABELLED: Final = 0.3
_SHARE_ALL: Final = 0.12


def draft_relations(catalogue: Catalogue, subject: KnowledgeObject, rng: Random) -> Iterator[Draft]:
    """Yield one question of each relation that the object has, some of them turned round."""
    for kind in _KINDS:
        if kind.subject == subject.kind:
            right = [each for each in catalogue.others(subject, kind.relation) if catalogue.objects[each].kind == kind.answer]
            if right:
                yield from _draft(catalogue, subject, kind, right, rng)


def _draft(catalogue: Catalogue, subject: KnowledgeObject, kind: _Kind, right: Sequence[str], rng: Random) -> Iterator[Draft]:
    labelled = rng.random() < _SHARE_LABELLED
    slots = {"name": subject.name, "short": short_name(subject.name), "id": subject.id}
    wrong = _wrong(catalogue, subject, kind, right)

    def show(object_id: str) -> str:
        name = catalogue.objects[object_id].name
        return f"{name} ({object_id})" if labelled else name

    if kind.turned and len(right) >= 3 and rng.random() < _SHARE_TURNED:
        near = wrong[0] or wrong[1]
        if near:
            odd = rng.choice(near)
            stem = rng.choice(kind.turned).format(**slots)
            others = [show(each) for each in rng.sample(list(right), min(len(right), 8))]
            why = f"{catalogue.objects[odd].name} is not among those that are listed for {subject.name} ({subject.id})."
            yield Draft(f"not-{kind.relation}-{kind.answer}", stem, show(odd), [others], (f"{subject.id}#facts.0",), 3, why)
            return
    if len(right) >= 3 and rng.random() < _SHARE_ALL:
        stem = rng.choice(kind.stems).format(**slots)
        listed = ", ".join(catalogue.objects[each].name for each in right[:6])
        why = f"{subject.name} ({subject.id}) has all of them, among others: {listed}."
        others = [show(each) for each in rng.sample(list(right), min(len(right), 8))]
        yield Draft(f"all-{kind.relation}-{kind.answer}", stem, ALL_OF_THEM, [others], (f"{subject.id}#facts.0",), 3, why)
        return
    chosen = rng.choice(list(right))
    stem = rng.choice(kind.stems).format(**slots)
    why = kind.said.format(subject=f"{subject.name} ({subject.id})", answer=f"{catalogue.objects[chosen].name} ({chosen})")
    shown = [[show(each) for each in group] for group in wrong]
    yield Draft(f"{kind.relation}-{kind.answer}", stem, show(chosen), shown, _support(catalogue, subject, chosen), 1, why)


def _wrong(catalogue: Catalogue, subject: KnowledgeObject, kind: _Kind, right: Sequence[str]) -> list[list[str]]:
    """Return values of the right kind: those of near objects, and all; never what is right, or right for kin."""
    doubtful = {*right, subject.id, *catalogue.kin(subject)}
    doubtful |= {other for each in right for other in catalogue.kin(catalogue.objects[each])}
    for each in catalogue.kin(subject):
        if each in catalogue.objects:
            doubtful |= set(catalogue.others(catalogue.objects[each], kind.relation))
    near: dict[str, None] = {}
    for group in catalogue.near(subject.id)[:2]:
        for each in group[:60]:
            near.update(dict.fromkeys(catalogue.others(catalogue.objects[each], kind.relation)))
    kept = [each for each in near if catalogue.objects[each].kind == kind.answer and each not in doubtful]
    domains = set(subject.domains)
    every = [
        each.id
        for each in catalogue.by_kind.get(kind.answer, ())
        if each.id not in doubtful and (not domains or not each.domains or domains & set(each.domains))
    ]
    return [kept, every]


def _support(catalogue: Catalogue, subject: KnowledgeObject, other: str) -> tuple[str, ...]:
    """Return the passage that says what joins the two, else the line of facts."""
    for own, far in ((subject.id, other), (other, subject.id)):
        for passage in catalogue.passages(own):
            if far in passage.related:
                return (passage.id,)
    return (f"{subject.id}#facts.0",)
