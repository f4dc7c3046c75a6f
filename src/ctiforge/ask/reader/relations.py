"""What the graph says of a question's objects and an option's: relations, values of lists and facts, and whose page fits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ctiforge.ask.lookup import fold_name
from ctiforge.ask.objects import KnowledgeObject
from ctiforge.ask.reader.evidence import Evidence, OptionEvidence
from ctiforge.ask.terms import search_terms

__all__ = ["graph_features"]

_IDS = re.compile(r"[(\[]?\b(?:TA|[TSGMCA]|DS|DC|DET|CWE-|CAPEC-)\d+(?:\.\d+)?\b[)\]]?\s*[:,-]?\s*")


def graph_features(evidence: Evidence, option: OptionEvidence) -> list[float]:
    """Return, for objects that the question names and for those that it seems to be about:

    the option's object stands in any relation to one; in a relation that the question's words ask for; the option is a value of
    one's lists or facts; of one that the question's words ask for.
    """
    values: list[float] = []
    for subjects in (evidence.named, () if evidence.named else evidence.topics):
        related = asked = listed = listed_asked = 0.0
        for place, each in enumerate(subjects[:6]):
            found = evidence.base.get(each)
            if found is None:
                continue
            weight = 1.0 if evidence.named else 1.0 / (1 + place)
            any_relation, fitting = _relations(evidence, found, option)
            any_value, fitting_value = _values(evidence, found, option)
            related, asked = max(related, weight * any_relation), max(asked, weight * fitting)
            listed, listed_asked = max(listed, weight * any_value), max(listed_asked, weight * fitting_value)
        values += [related, asked, listed, listed_asked]
    return values


def _relations(evidence: Evidence, subject: KnowledgeObject, option: OptionEvidence) -> tuple[float, float]:
    wanted = set(option.mentions) - {subject.id}
    if not wanted:
        return 0.0, 0.0
    kinds = {each.kind for each in subject.relations if each.other in wanted}
    return float(bool(kinds)), float(any(map(evidence.cues.asks_for, kinds)))


def _lists_of(subject: KnowledgeObject) -> Iterator[tuple[str, str]]:
    yield from (("platform operating system", value) for value in subject.platforms)
    yield from (("tactic", value) for value in subject.tactics)
    yield from (("name alias known", value) for value in (subject.id, subject.name, *subject.aliases))
    yield from subject.facts


def _values(evidence: Evidence, subject: KnowledgeObject, option: OptionEvidence) -> tuple[float, float]:
    wanted = fold_name(_IDS.sub("", option.text)).strip(" .")
    listed = fitting = 0.0
    if not wanted:
        return listed, fitting
    for label, value in _lists_of(subject):
        held = {fold_name(part).strip(" .") for part in (value, *value.split(","))}
        if wanted in held:
            listed = 1.0
            if any(term in evidence.terms for term in search_terms(label)):
                fitting = 1.0
    return listed, fitting
