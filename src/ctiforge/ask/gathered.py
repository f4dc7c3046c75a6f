"""What a reader of one source hands to the build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ctiforge.ask.graph import Link
from ctiforge.ask.objects import KnowledgeObject, Passage, SourceVersion

__all__ = ["Gathered", "count_by_kind", "render_names"]


@dataclass(slots=True)
class Gathered:
    """Objects without relations, passages, links between any objects, and withdrawn identifiers with what took their place.

    Attributes:
        redirects: identifier of a revoked or deprecated object to that of its successor.
        withdrawn: identifiers that were withdrawn and have no successor.
    """

    sources: list[SourceVersion] = field(default_factory=list)
    objects: list[KnowledgeObject] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)

    def add(self, other: Gathered) -> None:
        """Take over everything; the first source of an object, a redirect or a key stands."""
        self.sources += other.sources
        self.objects += other.objects
        self.passages += other.passages
        self.links += other.links
        self.redirects = {**other.redirects, **self.redirects}
        self.withdrawn |= other.withdrawn


def count_by_kind(objects: Iterable[KnowledgeObject], passages: int) -> Mapping[str, int]:
    """Return how many objects there are of each kind, and passages."""
    return {**dict(sorted(Counter(each.kind for each in objects).items())), "passages": passages}


def render_names(ids: Iterable[str], names: Mapping[str, str], limit: int = 40) -> str:
    """Return ``M1040 Behavior Prevention on Endpoint; M1026 ...`` for a line of facts, cut at `limit` with a count."""
    listed = list(ids)
    text = "; ".join(f"{each} {names[each]}" if names.get(each) else each for each in listed[:limit])
    return text + (f"; and {len(listed) - limit} more" if len(listed) > limit else "")
