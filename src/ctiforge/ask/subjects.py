"""Which object is meant where a name has several: what the question asks for decides, then filters, then the domain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ctiforge.ask.answers import Scope
from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.lookup import fold_name
from ctiforge.ask.mentions import Mention
from ctiforge.ask.objects import KnowledgeObject, ObjectKind

__all__ = ["Choice", "choose_subject"]

_DOMAINS = ("enterprise", "mobile", "ics")


@dataclass(frozen=True, slots=True)
class Choice:
    """The object that is meant, or None, and the others that have the name."""

    chosen: KnowledgeObject | None
    others: tuple[KnowledgeObject, ...] = ()


def choose_subject(base: KnowledgeBase, mention: Mention, kinds: Sequence[ObjectKind], scope: Scope, question: str) -> Choice:
    """Return the object that a mention means.

    Args:
        kinds: that have what is asked for, the likeliest first; a name that means none of these keeps its objects.
        question: words such as ``mobile`` and ``ICS`` in it decide between domains; without one Enterprise comes first.
    """
    everything = [base[each] for each in mention.ids]
    left = everything
    asked = tuple(domain for domain in _DOMAINS if domain in question.casefold().split())
    full = fold_name(mention.text)
    tests: list[Callable[[KnowledgeObject], bool]] = [
        lambda each: each.kind in mention.kinds,
        lambda each: each.kind in kinds,
        lambda each: scope.admits(base, each),
        lambda each: bool(set(asked) & set(each.domains)),
        lambda each: "enterprise" in each.domains or not each.domains,
        lambda each: bool(kinds) and each.kind == min((one.kind for one in left), key=_place(kinds)),
        lambda each: fold_name(each.name) == full,
        lambda each: fold_name(each.name.rpartition(": ")[2]) == full,
        lambda each: "." not in each.id,
    ]
    for test in tests:
        if len(left) > 1 and (kept := [each for each in left if test(each)]):
            left = kept
    if len(left) != 1:
        return Choice(None, tuple(everything))
    return Choice(left[0], tuple(each for each in everything if each is not left[0]))


def _place(kinds: Sequence[ObjectKind]) -> Callable[[ObjectKind], int]:
    return lambda kind: kinds.index(kind) if kind in kinds else len(kinds)
