"""Answers from the graph: relations, passages of one kind and properties of an object, each sentence with what says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ctiforge.ask.answers import AnswerSentence, Scope
from ctiforge.ask.aspects import Aspect
from ctiforge.ask.instructions import is_instruction
from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.objects import KnowledgeObject, Passage
from ctiforge.ask.passages import split_sentences

__all__ = ["LISTED", "Found", "answer_aspect", "first_sentences", "list_names", "title"]

LISTED: Final = 30
"""Objects that one sentence lists at most; `Answer.listed` has all."""
_DETAILS: Final = 5
_MIDDLE: Final = 8
"""Objects between the two ends of a path that are cited at most; beyond these the object's own line of facts is cited."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the graph says to one question about one object; no sentences where it does not say."""

    sentences: tuple[AnswerSentence, ...] = ()
    listed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def title(each: KnowledgeObject) -> str:
    """Return an object's identifier and name."""
    return each.name if each.name.startswith(each.id) else f"{each.id} {each.name}"


def list_names(base: KnowledgeBase, ids: Sequence[str], limit: int = LISTED) -> str:
    """Return the objects with their names, the last after 'and', the rest beyond `limit` as a number."""
    names = [_title_of(base, each) for each in ids[:limit]]
    if len(ids) > limit:
        return f"{'; '.join(names)}; and {len(ids) - limit:,} more"
    return " and ".join(["; ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _title_of(base: KnowledgeBase, object_id: str) -> str:
    found = base.get(object_id)
    return object_id if found is None else title(found)


def first_sentences(text: str, count: int) -> str:
    """Return the first sentences of a text that address no reader like an instruction, as one line."""
    found: list[str] = []
    for line in text.split("\n"):
        for sentence in split_sentences(line):
            if len(found) == count:
                return " ".join(found)
            if not is_instruction(sentence):
                found.append(sentence)
        if found:
            break
    return " ".join(found)


def answer_aspect(base: KnowledgeBase, each: KnowledgeObject, aspect: Aspect, scope: Scope) -> Found:
    """Return what the graph says of one aspect of an object."""
    if aspect.passages is not None:
        return _from_passages(base, each, aspect)
    if aspect.fact:
        return _from_fact(each, aspect)
    return _from_paths(base, each, aspect, scope)


def _from_paths(base: KnowledgeBase, each: KnowledgeObject, aspect: Aspect, scope: Scope) -> Found:
    ends, middle = _follow(base, each, aspect, scope)
    if not ends:
        return Found()
    cites = (each.id, *middle) if len(middle) <= _MIDDLE else _facts_of(base, each, ends)
    listed = list(ends)[:LISTED]
    lead = AnswerSentence(aspect.says.format(subject=title(each), list=list_names(base, list(ends))), cites)
    details = _described(base, each, aspect, listed) if all(len(path) == 1 for path in aspect.paths) else ()
    notes: tuple[str, ...] = ()
    if len(ends) > LISTED:
        relation = aspect.paths[0][0]
        more = f"ctiforge kb show {each.id} --relation {relation}" if len(aspect.paths[0]) == 1 else "--json"
        notes = (f"{len(ends):,} in all; {more} lists them",)
    return Found((lead, *details), tuple(ends), notes)


def _follow(
    base: KnowledgeBase, each: KnowledgeObject, aspect: Aspect, scope: Scope
) -> tuple[dict[str, None], dict[str, None]]:
    """Return the ends of the aspect's paths and the objects on the way that lead to one."""
    ends: dict[str, None] = {}
    middle: dict[str, None] = {}
    for path in aspect.paths:
        for end, way in _walk(base, each.id, path, scope):
            found = base.get(end)
            held = found is not None and (not aspect.wanted or found.kind in aspect.wanted) and scope.admits(base, found)
            if held or (found is None and scope.date is None and not aspect.wanted and not scope.kinds):
                ends[end] = None
                middle.update(dict.fromkeys(way))
    return ends, middle


def _walk(base: KnowledgeBase, start: str, path: Sequence[str], scope: Scope) -> Iterator[tuple[str, tuple[str, ...]]]:
    for relation in base.neighbours(start, path[0]):
        if len(path) == 1:
            yield relation.other, ()
        elif (between := base.get(relation.other)) is not None and _lets_pass(base, between, scope):
            for end, way in _walk(base, between.id, path[1:], scope):
                yield end, (between.id, *way)


def _lets_pass(base: KnowledgeBase, between: KnowledgeObject, scope: Scope) -> bool:
    """Say whether a path may go over the object: kinds are asked of its end alone."""
    return replace(scope, kinds=(), tactic=None).admits(base, between)


def _facts_of(base: KnowledgeBase, each: KnowledgeObject, ends: Iterable[str]) -> tuple[str, ...]:
    """Return the passages of facts that name an end; they list what long paths lead to."""
    wanted = list(ends)
    named = [one.id for one in base.passages_of(each.id) if one.kind == "facts" and any(end in one.text for end in wanted)]
    return (each.id, *named)


def _described(base: KnowledgeBase, each: KnowledgeObject, aspect: Aspect, ends: Sequence[str]) -> Iterator[AnswerSentence]:
    """Yield what the source says of the first relations, in its own words."""
    relations = {one.other: one for path in aspect.paths for one in base.neighbours(each.id, path[0])}
    told = [end for end in ends if relations[end].description][:_DETAILS] if len(ends) <= LISTED else []
    for end in told:
        said = first_sentences(relations[end].description, 1)
        if said:
            # A relation is stated with either end; its passage stands with one of the two.
            cite = _passage_about(base, each.id, end, said) or _passage_about(base, end, each.id, said) or each.id
            yield AnswerSentence(f"{_title_of(base, end)}: {said}", (cite,) if end in cite else (cite, end))


def _passage_about(base: KnowledgeBase, owner: str, other: str, said: str) -> str:
    return next((one.id for one in base.passages_of(owner) if other in one.related and said in one.text), "")


def _from_passages(base: KnowledgeBase, each: KnowledgeObject, aspect: Aspect) -> Found:
    assert aspect.passages is not None
    kind, heading = aspect.passages
    found = [one for one in base.passages_of(each.id) if one.kind == kind and _about(one, each).startswith(heading)]
    by_line = len(found) <= 2
    said = [
        AnswerSentence(_with_label(_label(passage, each), sentence), (passage.id,))
        for passage in found
        for line in (passage.text.split("\n") if by_line else [passage.text])
        if (sentence := first_sentences(line.removeprefix("- ").removeprefix("* "), 2))
    ]
    if not said:
        return Found()
    limit = 2 * _DETAILS
    notes = (f"{len(said) - limit} more: ctiforge kb show {each.id} --passages",) if len(said) > limit else ()
    return Found(tuple(said[:limit]), (), notes)


def _about(passage: Passage, each: KnowledgeObject) -> str:
    """Return what the heading says behind the object's name."""
    return passage.heading.removeprefix(each.id).strip().removeprefix(each.name).removeprefix(": ")


def _label(passage: Passage, each: KnowledgeObject) -> str:
    """Return what a mitigation or a detection is called, as in 'Implementation, Input Validation'; empty for none."""
    about = _about(passage, each)
    return about.removeprefix("Mitigation, ").removeprefix("Detection by ") if about[:9] in ("Mitigatio", "Detection") else ""


def _with_label(label: str, sentence: str) -> str:
    return f"{label}: {sentence}" if label and label not in ("Mitigation", "Mitigations") else sentence


def _from_fact(each: KnowledgeObject, aspect: Aspect) -> Found:
    value = _fact_value(each, aspect.fact)
    if not value:
        return Found()
    listed = value if aspect.fact != "created" or not value.endswith("-12-31") or each.source != "cwe" else value[:4]
    text = aspect.says.format(subject=title(each), list=listed)
    if aspect.fact == "mapping usage" and (why := _fact_value(each, "mapping rationale")):
        return Found((AnswerSentence(text, (each.id,)), AnswerSentence(first_sentences(why, 2), (each.id,))))
    return Found((AnswerSentence(text, (each.id,)),))


def _fact_value(each: KnowledgeObject, label: str) -> str:
    if label in ("platforms", "aliases", "tactics"):
        return ", ".join(getattr(each, label))
    return each.created if label == "created" else dict(each.facts).get(label, "")
