"""Where entries stand in CWE's research view: the paths from a pillar down to each, joined to trees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ctiforge.core.weakness import Weakness
from ctiforge.sources.cwe import CweCatalogue

__all__ = ["TreeNode", "relation_words", "weakness_trees"]


@dataclass(frozen=True, slots=True)
class TreeNode:
    """An entry with those below it that lead to a marked one; `marks` says who named it."""

    entry: Weakness
    marks: tuple[str, ...]
    below: tuple[TreeNode, ...]


def weakness_trees(catalogue: CweCatalogue, marked: Mapping[str, Sequence[str]]) -> list[TreeNode]:
    """Return trees that hold every marked weakness with its ancestors, by MITRE's primary parents.

    Args:
        marked: what to say of each entry, such as ``{"CWE-79": ("CNA", "model")}``; what is no weakness is left out.
    """
    below: dict[str | None, list[str]] = {}
    for cwe_id in filter(catalogue.is_weakness, marked):
        path: list[str | None] = [None, *reversed(catalogue.paths_to_root(cwe_id)[0])]
        for upper, lower in pairwise(path):
            if lower is not None and lower not in below.setdefault(upper, []):
                below[upper].append(lower)

    def nodes(upper: str | None) -> Iterable[TreeNode]:
        for each in below.get(upper, ()):
            yield TreeNode(catalogue[each], tuple(marked.get(each, ())), tuple(nodes(each)))

    return list(nodes(None))


def relation_words(catalogue: CweCatalogue, assigned: str, suggested: str) -> str:
    """Return how what a party assigned stands to what the model suggests, in words; empty where nothing can be said."""
    if not suggested or not catalogue.is_weakness(assigned):
        return ""
    if assigned == suggested:
        return "same as the model"
    if assigned in catalogue.ancestors(suggested):
        return "broader than the model's"
    if assigned in catalogue.descendants(suggested):
        return "narrower than the model's"
    return "differs from the model"
