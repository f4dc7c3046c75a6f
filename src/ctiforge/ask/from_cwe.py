"""CWE's full texts to objects, links and passages; observed examples become vulnerabilities where no feed has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ctiforge.ask.gathered import Gathered, count_by_kind, render_names
from ctiforge.ask.graph import Link
from ctiforge.ask.objects import KnowledgeObject, Passage, SourceVersion
from ctiforge.ask.passages import PassageMaker
from ctiforge.sources.cwe import CweCatalogue
from ctiforge.sources.cwe_texts import CweTexts, WeaknessText

__all__ = ["gather_cwe", "observed_vulnerabilities"]

_LISTED: Final = (
    ("Child of", "child-of"),
    ("Parent of", "parent-of"),
    ("Can precede", "can-precede"),
    ("Can follow", "can-follow"),
    ("Peer of", "peer-of"),
    ("Can also be", "can-also-be"),
    ("Requires", "requires"),
    ("Required by", "required-by"),
    ("Starts with", "starts-with"),
    ("Starts the chain", "starts-chain"),
    ("Exploited by", "exploited-by"),
)


def gather_cwe(texts: CweTexts, names: Mapping[str, str], table: CweCatalogue | None = None) -> Gathered:
    """Return what the release holds.

    Args:
        names: of attack patterns that are read beside it, for lines of facts.
        table: says what replaced deprecated entries; without it they are unknown.
    """
    gathered = Gathered()
    known = {**names, **{weakness.cwe_id: weakness.name for weakness in texts}}
    for weakness in texts:
        gathered.objects.append(_object_of(weakness))
        gathered.passages.extend(_passages_of(weakness, texts, known))
    gathered.links = [Link(link.source, link.kind, link.target, link.description, "cwe") for link in texts.graph]
    for entry in table or ():
        if entry.status in ("Deprecated", "Obsolete") and entry.cwe_id not in texts:
            after = [each.cwe_id for each in entry.suggestions if each.cwe_id in texts]
            if len(after) == 1:
                gathered.redirects[entry.cwe_id] = after[0]
            else:
                gathered.withdrawn.add(entry.cwe_id)
    gathered.sources.append(
        SourceVersion(
            key="cwe",
            name="MITRE CWE",
            version=texts.version,
            date=texts.date,
            path=texts.path,
            sha256=texts.sha256,
            licence=texts.licence,
            withdrawn=texts.withdrawn,
            counts=count_by_kind(gathered.objects, len(gathered.passages)),
        )
    )
    return gathered


def observed_vulnerabilities(texts: CweTexts) -> Iterator[KnowledgeObject]:
    """Yield the CVEs of observed examples with what MITRE says of them, each once; their passages stand with the weaknesses."""
    found: dict[str, dict[str, None]] = {}
    for weakness in texts:
        for example in weakness.examples:
            found.setdefault(example.cve_id, {})[example.description] = None
    for cve_id, said in found.items():
        yield KnowledgeObject(
            kind="vulnerability",
            id=cve_id,
            name=cve_id,
            text="\n".join(filter(None, said)),
            created=f"{cve_id[4:8]}-12-31",  # the feeds know the day; the year is in the identifier
            source="cwe",
            url=f"https://www.cve.org/CVERecord?id={cve_id}",
        )


def _object_of(weakness: WeaknessText) -> KnowledgeObject:
    return KnowledgeObject(
        kind="weakness",
        id=weakness.cwe_id,
        name=weakness.name,
        text="\n".join(filter(None, (weakness.description, weakness.extended_description))),
        aliases=tuple(term for term, _ in weakness.terms),
        platforms=tuple(dict.fromkeys(name for _, name in weakness.platforms)),
        created=weakness.created,
        modified=weakness.modified,
        facts=tuple(_facts(weakness)),
        source="cwe",
        url=f"https://cwe.mitre.org/data/definitions/{weakness.cwe_id.removeprefix('CWE-')}.html",
        sha256=weakness.sha256,
    )


def _facts(weakness: WeaknessText) -> Iterator[tuple[str, str]]:
    for label, value in (
        ("abstraction", weakness.abstraction),
        ("status", weakness.status),
        ("mapping usage", weakness.usage),
        ("mapping rationale", weakness.rationale),
        ("likelihood of exploit", weakness.likelihood),
        ("introduced in", ", ".join(weakness.phases)),
    ):
        if value:
            yield label, value


def _passages_of(weakness: WeaknessText, texts: CweTexts, names: Mapping[str, str]) -> Iterator[Passage]:
    maker = PassageMaker(weakness.cwe_id, weakness.name)
    yield from maker.make("description", "", weakness.description)
    yield from maker.make("description", "Extended description", weakness.extended_description)
    yield from maker.make("facts", "", _facts_text(weakness, texts, names))
    yield from maker.make("consequence", "Common consequences", "\n".join(
        f"{', '.join(each.scopes)}: {', '.join(each.impacts)}{f' ({each.likelihood} likelihood)' if each.likelihood else ''}"
        f"{f'. {each.note}' if each.note else ''}"
        for each in weakness.consequences
    ))  # fmt: skip
    for cure in weakness.mitigations:
        labels = [*cure.phases, *filter(None, [cure.strategy])]
        says = f" (effectiveness: {cure.effectiveness})" if cure.effectiveness else ""
        yield from maker.make(
            "mitigation", f"Mitigation, {', '.join(labels)}{says}" if labels else "Mitigation", cure.description
        )
    for way in weakness.detections:
        says = f" (effectiveness: {way.effectiveness})" if way.effectiveness else ""
        yield from maker.make("detection", f"Detection by {way.method}{says}", way.description)
    for example in weakness.examples:
        yield from maker.make("example", f"observed in {example.cve_id}", example.description, [example.cve_id])


def _facts_text(weakness: WeaknessText, texts: CweTexts, names: Mapping[str, str]) -> str:
    lines = [f"{label.capitalize()}: {value}" for label, value in _facts(weakness)]
    if weakness.terms:
        lines.append("Alternate terms: " + "; ".join(f"{term}: {said}" if said else term for term, said in weakness.terms))
    if weakness.platforms:
        lines.append(
            "Platforms: " + ", ".join(f"{name} ({kind.replace('_', ' ').lower()})" for kind, name in weakness.platforms)
        )
    for label, relation in _LISTED:
        if others := texts.neighbours(weakness.cwe_id, relation):
            lines.append(f"{label}: {render_names(others, names)}")
    return "\n".join(lines)
