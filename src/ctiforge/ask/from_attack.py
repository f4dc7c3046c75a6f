"""ATT&CK catalogue to objects, links and passages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ctiforge.ask.gathered import Gathered, count_by_kind, render_names
from ctiforge.ask.graph import Link
from ctiforge.ask.objects import KnowledgeObject, ObjectKind, Passage, SourceVersion
from ctiforge.ask.passages import PassageMaker
from ctiforge.sources.attack import AttackBundle, AttackCatalogue, data_components
from ctiforge.sources.attack_objects import (
    Analytic,
    Asset,
    AttackObject,
    Campaign,
    DataComponent,
    DataSource,
    DetectionStrategy,
    Group,
    LogSource,
    Mitigation,
    Software,
    Tactic,
    Technique,
)

__all__ = ["gather_attack"]

_KINDS: Final[dict[type[AttackObject], ObjectKind]] = {
    Technique: "technique",
    Tactic: "tactic",
    Mitigation: "mitigation",
    Group: "group",
    Software: "software",
    Campaign: "campaign",
    Asset: "asset",
    DataSource: "data-source",
    DataComponent: "data-component",
    DetectionStrategy: "detection-strategy",
    Analytic: "analytic",
}
_PAGES: Final[dict[ObjectKind, str]] = {
    "technique": "techniques",
    "tactic": "tactics",
    "mitigation": "mitigations",
    "group": "groups",
    "software": "software",
    "campaign": "campaigns",
    "asset": "assets",
    "data-source": "datasources",
    "data-component": "datacomponents",
    "detection-strategy": "detectionstrategies",
}
_LISTED: Final = (
    ("Tactics", "in-tactic"),
    ("Techniques", "has-technique"),
    ("Sub-technique of", "subtechnique-of"),
    ("Sub-techniques", "has-subtechnique"),
    ("Mitigations", "mitigated-by"),
    ("Mitigates", "mitigates"),
    ("Detected by", "detected-by"),
    ("Detects", "detects"),
    ("Targeted assets", "targets"),
    ("Targeted by", "targeted-by"),
    ("Attributed to", "attributed-to"),
    ("Campaigns", "has-campaign"),
    ("Uses", "uses"),
    ("Used by", "used-by"),
    ("Component of", "component-of"),
    ("Data components", "has-component"),
)
_FACTS_LISTED: Final = 40


def gather_attack(catalogue: AttackCatalogue) -> Gathered:
    """Return what the bundles of a catalogue hold; one `SourceVersion` a bundle."""
    reading = _Reading(catalogue)
    gathered = Gathered(redirects=dict(catalogue.successors))
    for each in catalogue:
        gathered.objects.append(reading.object_of(each))
        gathered.passages.extend(reading.passages_of(each))
    source_of = {each.id: each.source for each in gathered.objects}
    gathered.links = [
        Link(link.source, link.kind, link.target, link.description, source_of[link.source]) for link in catalogue.graph
    ]
    for bundle in catalogue.bundles:
        key = reading.keys[bundle.path]
        own = [each for each in gathered.objects if each.source == key]
        passages = sum(source_of[passage.object_id] == key for passage in gathered.passages)
        gathered.sources.append(_version_of(bundle, key, catalogue.licence, own, passages))
    return gathered


def _version_of(bundle: AttackBundle, key: str, licence: str, own: Iterable[KnowledgeObject], passages: int) -> SourceVersion:
    domains = " and ".join(domain.upper() if domain == "ics" else domain.title() for domain in bundle.domains)
    return SourceVersion(
        key=key,
        name=f"MITRE ATT&CK {domains}".strip(),
        version=bundle.version,
        date=bundle.modified,
        path=bundle.path,
        sha256=bundle.sha256,
        licence=licence,
        withdrawn=sum(bundle.withdrawn.values()),
        counts=count_by_kind(own, passages),
    )


class _Reading:
    """One catalogue with the names of its objects."""

    def __init__(self, catalogue: AttackCatalogue) -> None:
        self.catalogue = catalogue
        self.keys: dict[str, str] = {}
        for bundle in catalogue.bundles:
            key = "-".join(["attack", *bundle.domains])
            self.keys[bundle.path] = key if key not in self.keys.values() else f"{key}-{len(self.keys) + 1}"
        self.names = {each.id: self._name_of(each) for each in catalogue}

    def _name_of(self, each: AttackObject) -> str:
        if isinstance(each, Analytic):
            strategies = self.catalogue.neighbours(each.id, "analytic-of")
            return " of ".join([each.name, *(self.catalogue[strategy].name for strategy in strategies[:1])])
        return self.catalogue.full_name(each.id)

    def _url_of(self, each: AttackObject) -> str:
        kind = _KINDS[type(each)]
        if kind == "analytic":
            strategies = self.catalogue.neighbours(each.id, "analytic-of")
            page, own = (_PAGES["detection-strategy"], strategies[0]) if strategies else ("", "")
        else:
            page, own = _PAGES[kind], each.id.replace(".", "/")
        anchor = f"#{each.id}" if kind == "analytic" else ""
        return f"https://attack.mitre.org/{page}/{own}{anchor}" if page else "https://attack.mitre.org/"

    def object_of(self, each: AttackObject) -> KnowledgeObject:
        tactics = [self.catalogue[tactic].name for tactic in self.catalogue.neighbours(each.id, "in-tactic")]
        return KnowledgeObject(
            kind=_KINDS[type(each)],
            id=each.id,
            name=self.names[each.id],
            text=each.description,
            aliases=getattr(each, "aliases", ()),
            platforms=getattr(each, "platforms", ()),
            tactics=tuple(dict.fromkeys(tactics)),
            domains=tuple(each.domains),
            created=each.created,
            modified=each.modified,
            facts=tuple((label, value) for label, value in _facts(each) if value),
            source=self.keys[each.source],
            url=self._url_of(each),
            sha256=each.sha256,
        )

    def passages_of(self, each: AttackObject) -> Iterator[Passage]:
        maker = PassageMaker(each.id, self.names[each.id])
        if isinstance(each, Analytic):
            yield from self._analytic(each, maker)
            return
        yield from maker.make("description", "", each.description)
        yield from maker.make("facts", "", self._facts_text(each))
        if isinstance(each, Technique):
            yield from maker.make("detection", "Detection", each.detection)
        if isinstance(each, DataComponent) and each.log_sources:
            yield from maker.make("detection", "Log sources", "\n".join(map(_log_line, each.log_sources)))
        yield from self._related(each, maker, "mitigated-by", "Mitigation {}")
        if isinstance(each, Technique):
            yield from self._related(each, maker, "used-by", "used by {}")
        elif isinstance(each, Group | Campaign):
            wanted = [other for other in self.catalogue.neighbours(each.id, "uses") if other.startswith("S")]
            yield from self._related(each, maker, "uses", "uses {}", wanted)

    def _related(
        self, each: AttackObject, maker: PassageMaker, relation: str, about: str, others: Iterable[str] | None = None
    ) -> Iterator[Passage]:
        kind = "mitigation" if relation == "mitigated-by" else "procedure"
        for other in self.catalogue.neighbours(each.id, relation) if others is None else others:
            link = self.catalogue.graph.get(each.id, relation, other)
            if link is not None and link.description:
                heading = about.format(f"{other} {self.names[other]}")
                yield from maker.make("mitigation" if kind == "mitigation" else "procedure", heading, link.description, [other])

    def _analytic(self, each: Analytic, maker: PassageMaker) -> Iterator[Passage]:
        strategies = self.catalogue.neighbours(each.id, "analytic-of")
        techniques = [found for one in strategies for found in self.catalogue.neighbours(one, "detects")]
        components = self.catalogue.neighbours(each.id, "reads")
        lines = [each.description]
        lines += [f"Platforms: {', '.join(each.platforms)}"] if each.platforms else []
        lines += [f"Data components: {render_names(components, self.names)}"] if components else []
        logs = dict.fromkeys(_log_line(log) for _, log in each.log_sources)
        lines += [f"Log sources: {'; '.join(logs)}"] if logs else []
        lines += [f"To be set: {field}: {text}" for field, text in each.mutable_elements]
        about = f"detects {render_names(techniques, self.names)}" if techniques else ""
        yield from maker.make("detection", about, "\n".join(filter(None, lines)), [*strategies, *techniques, *components])

    def _facts_text(self, each: AttackObject) -> str:
        lines = [f"{_KINDS[type(each)].replace('-', ' ').capitalize()} of ATT&CK ({', '.join(each.domains)})."]
        aliases = getattr(each, "aliases", ())
        lines += [f"Also known as: {', '.join(aliases)}"] if aliases else []
        platforms = getattr(each, "platforms", ())
        lines += [f"Platforms: {', '.join(platforms)}"] if platforms else []
        lines += [f"{label.capitalize()}: {value}" for label, value in _facts(each) if value]
        for label, relation in _LISTED:
            if others := self.catalogue.neighbours(each.id, relation):
                lines.append(f"{label}: {render_names(others, self.names, _FACTS_LISTED)}")
        if isinstance(each, Technique) and (components := data_components(self.catalogue, each.id)):
            lines.append(f"Data components to detect it: {render_names(components, self.names, _FACTS_LISTED)}")
        if isinstance(each, DataComponent):
            lines += self._seen_with(each)
        return "\n".join(lines) if len(lines) > 1 else ""

    def _seen_with(self, each: DataComponent) -> list[str]:
        strategies = [
            strategy
            for analytic in self.catalogue.neighbours(each.id, "read-by")
            for strategy in self.catalogue.neighbours(analytic, "analytic-of")
        ]
        techniques = dict.fromkeys(found for one in strategies for found in self.catalogue.neighbours(one, "detects"))
        return [f"Helps to detect: {render_names(techniques, self.names, _FACTS_LISTED)}"] if techniques else []


def _log_line(log: LogSource) -> str:
    return f"{log.name} ({log.channel})" if log.channel else log.name


def _facts(each: AttackObject) -> Iterator[tuple[str, str]]:
    """Yield what only some classes have; empty values are left out by the caller."""
    if isinstance(each, Technique):
        yield "impact type", ", ".join(each.impact_types)
    elif isinstance(each, Software):
        yield "type", each.kind
    elif isinstance(each, Campaign):
        yield "first seen", each.first_seen
        yield "last seen", each.last_seen
    elif isinstance(each, Asset):
        yield "sectors", ", ".join(each.sectors)
    elif isinstance(each, Tactic):
        yield "short name", each.shortname
    yield "version", each.version
