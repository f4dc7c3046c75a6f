"""Which weaknesses belong to which view: followed through members, categories and the view's own ChildOf relations."""

from __future__ import annotations

from collections.abc import Iterable

from ctiforge.sources.cwe_xml import CweEntry

__all__ = ["view_membership"]


def view_membership(entries: Iterable[CweEntry]) -> dict[int, set[int]]:
    """Return, for each weakness number, the numbers of the views it is reached from.

    A graph view lists its top entries; below them come the members that a category has in that view and the weaknesses that
    are ChildOf in that view. An explicit view lists its members. Implicit views are filters over texts that the table does
    not hold, so they have no members here (they are 'all entries with ...' slices: languages, phases, level).
    """
    by_number = {entry.number: entry for entry in entries}
    children: dict[tuple[int, int], list[int]] = {}
    for entry in by_number.values():
        for relation in entry.relations:
            if relation.nature == "ChildOf" and relation.view:
                children.setdefault((relation.view, relation.target), []).append(entry.number)
    found: dict[int, set[int]] = {}
    for view in by_number.values():
        if view.kind == "view" and view.status.lower() != "deprecated":
            for number in _reached(view, by_number, children):
                found.setdefault(number, set()).add(view.number)
    return found


def _reached(view: CweEntry, by_number: dict[int, CweEntry], children: dict[tuple[int, int], list[int]]) -> set[int]:
    reached: set[int] = set()
    waiting = [view.number]
    while waiting:
        number = waiting.pop()
        entry = by_number.get(number)
        if entry is None or number in reached:
            continue
        reached.add(number)
        waiting += [member.target for member in entry.members if member.view in (0, view.number)]
        waiting += children.get((view.number, number), [])
    return {number for number in reached if by_number[number].kind == "weakness"}
