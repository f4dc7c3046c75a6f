"""CAPEC catalogue to objects, links and passages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ctiforge.ask.gathered import Gathered, count_by_kind, render_names
from ctiforge.ask.graph import Link
from ctiforge.ask.objects import KnowledgeObject, Passage, SourceVersion
from ctiforge.ask.passages import PassageMaker
from ctiforge.sources.capec import AttackPattern, CapecCatalogue

__all__ = ["gather_capec"]

_LISTED = (
    ("Child of", "child-of"),
    ("Parent of", "parent-of"),
    ("Can precede", "can-precede"),
    ("Can follow", "can-follow"),
    ("Peer of", "peer-of"),
    ("Can also be", "can-also-be"),
    ("Exploits", "exploits"),
    ("Same as technique", "same-as-technique"),
)


def gather_capec(
    catalogue: CapecCatalogue, names: Mapping[str, str], resolve_technique: Callable[[str], str | None] = lambda each: each
) -> Gathered:
    """Return what the catalogue holds.

    Args:
        names: of weaknesses and techniques that are read beside it, for lines of facts.
        resolve_technique: from an identifier that CAPEC gives to a live one, or None to leave the link out.
    """
    gathered = Gathered()
    known = {**names, **{pattern.id: pattern.name for pattern in catalogue}}
    for pattern in catalogue:
        gathered.objects.append(_object_of(pattern))
        gathered.passages.extend(_passages_of(pattern, catalogue, known, resolve_technique))
    for link in catalogue.graph:
        end = resolve_technique(link.target) if link.kind == "same-as-technique" else link.target
        if end:
            gathered.links.append(Link(link.source, link.kind, end, link.description, "capec"))
    gathered.sources.append(
        SourceVersion(
            key="capec",
            name="MITRE CAPEC",
            version=catalogue.version,
            date=catalogue.date,
            path=catalogue.path,
            sha256=catalogue.sha256,
            licence=catalogue.licence,
            withdrawn=catalogue.withdrawn,
            counts=count_by_kind(gathered.objects, len(gathered.passages)),
        )
    )
    return gathered


def _object_of(pattern: AttackPattern) -> KnowledgeObject:
    return KnowledgeObject(
        kind="attack-pattern",
        id=pattern.id,
        name=pattern.name,
        text=_joined(pattern.description, pattern.extended_description),
        aliases=pattern.alternate_terms,
        created=pattern.created,
        modified=pattern.modified,
        facts=tuple(_facts(pattern)),
        source="capec",
        url=f"https://capec.mitre.org/data/definitions/{pattern.id.removeprefix('CAPEC-')}.html",
        sha256=pattern.sha256,
    )


def _joined(*texts: str) -> str:
    return "\n".join(filter(None, texts))


def _facts(pattern: AttackPattern) -> Iterator[tuple[str, str]]:
    for label, value in (
        ("abstraction", pattern.abstraction),
        ("status", pattern.status),
        ("likelihood of attack", pattern.likelihood),
        ("typical severity", pattern.severity),
        ("domains of attack", ", ".join(pattern.domains)),
    ):
        if value:
            yield label, value


def _passages_of(
    pattern: AttackPattern, catalogue: CapecCatalogue, names: Mapping[str, str], resolve: Callable[[str], str | None]
) -> Iterator[Passage]:
    maker = PassageMaker(pattern.id, pattern.name)
    yield from maker.make("description", "", _joined(pattern.description, pattern.extended_description))
    lines = [f"{label.capitalize()}: {value}" for label, value in _facts(pattern)]
    lines += [f"Also known as: {', '.join(pattern.alternate_terms)}"] if pattern.alternate_terms else []
    for label, relation in _LISTED:
        others = [resolve(each) or "" for each in catalogue.neighbours(pattern.id, relation)] if (
            relation == "same-as-technique"
        ) else list(catalogue.neighbours(pattern.id, relation))  # fmt: skip
        if others := list(filter(None, others)):
            lines.append(f"{label}: {render_names(others, names)}")
    yield from maker.make("facts", "", "\n".join(lines))
    yield from maker.make("procedure", "Execution flow", pattern.execution_flow)
    needs = [f"Prerequisite: {text}" for text in pattern.prerequisites]
    needs += [f"Skill {level}: {text}" if text else f"Skill: {level}" for level, text in pattern.skills]
    needs += [f"Resource: {text}" for text in pattern.resources]
    yield from maker.make("procedure", "Prerequisites, skills and resources", "\n".join(needs))
    outcomes = (
        f"{', '.join(each.scopes)}: {each.impact}{f' ({each.note})' if each.note else ''}" for each in pattern.consequences
    )
    yield from maker.make("consequence", "Consequences", "\n".join(outcomes))
    yield from maker.make("mitigation", "Mitigations", "\n".join(pattern.mitigations))
    yield from maker.make("example", "Example instances", "\n".join(pattern.examples))
