"""What an object is, how two differ, and whether one stands in a relation to the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ctiforge.ask.answers import AnswerSentence
from ctiforge.ask.graph_answers import Found, first_sentences, list_names, title
from ctiforge.ask.instructions import is_instruction
from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.objects import KnowledgeObject, Relation
from ctiforge.ask.passages import split_sentences

__all__ = ["compare", "define", "kind_name", "relate"]

_SENTENCES: Final = 3
_KIND_NAMES: Final = {
    "attack-pattern": "CAPEC attack pattern",
    "weakness": "CWE weakness",
    "vulnerability": "CVE vulnerability",
    "document": "document",
}
_SAID: Final = {
    "uses": "uses", "used-by": "is used by", "mitigates": "mitigates", "mitigated-by": "is mitigated by", "detects": "detects",
    "detected-by": "is detected by", "subtechnique-of": "is a sub-technique of", "has-subtechnique": "has the sub-technique",
    "attributed-to": "is attributed to", "has-campaign": "is behind", "targets": "targets", "targeted-by": "is targeted by",
    "in-tactic": "belongs to", "has-technique": "has the technique", "has-analytic": "has", "analytic-of": "belongs to",
    "reads": "reads", "read-by": "is read by", "component-of": "is a component of", "has-component": "has",
    "child-of": "is a child of", "parent-of": "is the parent of", "can-precede": "can precede", "can-follow": "can follow",
    "peer-of": "is a peer of", "can-also-be": "can also be", "exploits": "exploits", "exploited-by": "is exploited by",
    "same-as-technique": "corresponds to", "same-as-pattern": "corresponds to", "requires": "requires",
    "required-by": "is required by", "starts-with": "starts with", "starts-chain": "starts the chain",
    "observed-in": "was observed in", "example-of": "is an observed example of", "has-weakness": "has the weakness",
    "weakness-of": "is a weakness of",
}  # fmt: skip
_COMPARED: Final = ("abstraction", "mapping usage", "likelihood of exploit", "typical severity", "type")


def kind_name(each: KnowledgeObject) -> str:
    """Return what an object is, for a sentence: ``ATT&CK technique (enterprise)``."""
    if each.kind in _KIND_NAMES:
        return _KIND_NAMES[each.kind]
    domains = f" ({', '.join(each.domains)})" if each.domains else ""
    return f"ATT&CK {each.kind.replace('-', ' ')}{domains}"


def define(base: KnowledgeBase, each: KnowledgeObject) -> Found:
    """Return what the source says the object is, and what class it belongs to."""
    said = list(_own_words(base, each, _SENTENCES))
    parts = [kind_name(each)]
    parts += [f"with the tactics {', '.join(each.tactics)}"] if each.tactics else []
    platforms = [name for name in each.platforms if not name.startswith("Not ")]  # CWE's 'Not Language-Specific' says nothing
    parts += [f"on the platforms {', '.join(platforms)}"] if platforms else []
    article = "an" if parts[0][0] in "AEIO" else "a"
    class_of = AnswerSentence(f"{title(each)} is {article} {', '.join(parts)}.", (each.id,))
    return Found((class_of, *said), (each.id,))


def _own_words(base: KnowledgeBase, each: KnowledgeObject, count: int) -> Iterator[AnswerSentence]:
    """Yield the first sentences of the object's text, each with the passage that holds it."""
    passages = base.passages_of(each.id)
    lines = (line.removeprefix("- ").removeprefix("* ") for line in each.text.split("\n"))
    sentences = [one for line in lines for one in split_sentences(line) if not one.endswith(":") and not is_instruction(one)]
    for sentence in sentences[:count]:
        yield AnswerSentence(sentence, (next((one.id for one in passages if sentence in one.text), each.id),))


def compare(base: KnowledgeBase, first: KnowledgeObject, second: KnowledgeObject) -> Found:
    """Return what each of two objects is, how they stand to one another, and the properties in which they differ."""
    sentences = []
    for each in (first, second):
        said = first_sentences(each.text, 1)
        passages = base.passages_of(each.id)
        cite = next((one.id for one in passages if said and said in one.text), each.id)
        sentences.append(AnswerSentence(f"{title(each)}: {said or kind_name(each)}", tuple(dict.fromkeys((cite, each.id)))))
    sentences += _between(base, first, second) or _shared(base, first, second)
    for label in _COMPARED:
        values = [dict(each.facts).get(label, "") for each in (first, second)]
        if all(values) and values[0] != values[1]:
            text = f"The {label} of {first.id} is {values[0]}, that of {second.id} {values[1]}."
            sentences.append(AnswerSentence(text, (first.id, second.id)))
    for label, pair in (("tactics", (first.tactics, second.tactics)), ("platforms", (first.platforms, second.platforms))):
        if all(pair) and set(pair[0]) != set(pair[1]):
            text = f"The {label} of {first.id} are {', '.join(pair[0])}; those of {second.id} are {', '.join(pair[1])}."
            sentences.append(AnswerSentence(text, (first.id, second.id)))
    return Found(tuple(sentences), (first.id, second.id))


def relate(base: KnowledgeBase, first: KnowledgeObject, second: KnowledgeObject) -> Found:
    """Return how two objects stand to one another, or what stands between them; nothing where no source says."""
    sentences = _between(base, first, second) or _shared(base, first, second)
    return Found(tuple(sentences), (first.id, second.id) if sentences else ())


def _between(base: KnowledgeBase, first: KnowledgeObject, second: KnowledgeObject) -> list[AnswerSentence]:
    found = []
    for one in first.relations:
        if one.other != second.id:
            continue
        found.append(AnswerSentence(f"{title(first)} {_SAID[one.kind]} {title(second)}.", (first.id, second.id)))
        if said := first_sentences(one.description, 1):
            found.append(AnswerSentence(said, (_where(base, first, second, said),)))
    return found


def _where(base: KnowledgeBase, first: KnowledgeObject, second: KnowledgeObject, said: str) -> str:
    passages = (*base.passages_of(first.id), *base.passages_of(second.id))
    return next((one.id for one in passages if said in one.text and {first.id, second.id} <= set(one.object_ids)), first.id)


def _shared(base: KnowledgeBase, first: KnowledgeObject, second: KnowledgeObject) -> list[AnswerSentence]:
    """Say what both stand in the same relation to: a common parent, or what lies between the two."""
    found = []
    for kind in ("child-of", "subtechnique-of", "in-tactic"):
        both = [each for each in _others(first.relations, kind) if each in _others(second.relations, kind)]
        if both:
            text = f"{first.id} and {second.id} both {_plural(_SAID[kind])} {list_names(base, both)}."
            found.append(AnswerSentence(text, (first.id, second.id)))
            break
    if not found:
        theirs = {one.other: one for one in second.relations}
        bridges = [(one, theirs[one.other]) for one in first.relations if one.other in theirs][:3]
        for near, far in bridges:
            between = f"{near.other} {near.name}".strip()
            text = f"{title(first)} {_SAID[near.kind]} {between}; {title(second)} {_SAID[far.kind]} {near.other}."
            found.append(AnswerSentence(text, (first.id, second.id)))
    return found


def _others(relations: Sequence[Relation], kind: str) -> list[str]:
    return [one.other for one in relations if one.kind == kind]


def _plural(verb: str) -> str:
    return (
        verb.replace("is a child", "are children")
        .replace("is a sub-technique", "are sub-techniques")
        .replace("belongs", "belong")
    )
