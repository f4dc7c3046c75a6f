"""The ChildOf graph of View-1000 (Research Concepts) as plain numbers-to-numbers maps, and walks over it.

An entry may have several parents, so this is a directed acyclic graph, not a tree; its roots are the pillars.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["CweGraph"]


class CweGraph:
    """Walks over ChildOf relations.

    Args:
        parents: for each entry, its parents in MITRE's order, primary first.
    """

    def __init__(self, parents: Mapping[str, tuple[str, ...]]) -> None:
        self.parents = parents
        children: dict[str, list[str]] = {}
        for child, targets in parents.items():
            for target in targets:
                children.setdefault(target, []).append(child)
        self.children = {entry: tuple(found) for entry, found in children.items()}

    def levels_up(self, entry: str) -> list[tuple[str, ...]]:
        """Return ancestors level by level, nearest first, each entry at its smallest distance only."""
        return _levels(entry, self.parents)

    def levels_down(self, entry: str) -> list[tuple[str, ...]]:
        """Return descendants level by level, nearest first, each entry at its smallest distance only."""
        return _levels(entry, self.children)

    def shortest_path(self, start: str, end: str) -> tuple[str, ...] | None:
        """Return a shortest path over ChildOf in either direction, both ends included, or None where there is none.

        Of several shortest paths, the one that goes up before it goes down, and by primary parents, is taken.
        """
        if start == end:
            return (start,)
        came_from = {start: ""}
        frontier = [start]
        while frontier:
            following = []
            for entry in frontier:
                for neighbour in (*self.parents.get(entry, ()), *self.children.get(entry, ())):
                    if neighbour in came_from:
                        continue
                    came_from[neighbour] = entry
                    if neighbour == end:
                        return _trace(end, came_from)
                    following.append(neighbour)
            frontier = following
        return None

    def paths_to_root(self, entry: str) -> tuple[tuple[str, ...], ...]:
        """Return every way up to a pillar, the one over primary parents first; each starts with `entry`."""
        above = self.parents.get(entry, ())
        if not above:
            return ((entry,),)
        return tuple((entry, *path) for parent in above for path in self.paths_to_root(parent))


def _levels(entry: str, edges: Mapping[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    seen = {entry}
    levels: list[tuple[str, ...]] = []
    level: Iterable[str] = (entry,)
    while True:
        following = tuple(dict.fromkeys(n for e in level for n in edges.get(e, ()) if n not in seen))
        if not following:
            return levels
        seen.update(following)
        levels.append(following)
        level = following


def _trace(end: str, came_from: Mapping[str, str]) -> tuple[str, ...]:
    path = [end]
    while previous := came_from[path[-1]]:
        path.append(previous)
    return tuple(reversed(path))
