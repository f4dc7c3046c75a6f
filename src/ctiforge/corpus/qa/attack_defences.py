"""Questions about defence against ATT&CK techniques: mitigations, how they help, data components, analytics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ctiforge.corpus.qa.question import Fact, Generator
from ctiforge.corpus.qa.technique_graph import TechniqueGraph
from ctiforge.corpus.qa.wording import join_names, summary, telling_sentence
from ctiforge.sources.attack_objects import Analytic, DataComponent, Mitigation

__all__ = ["defence_generators"]

_NO_MITIGATIONS: Final = ("do not mitigate", "mitigation limited or not effective", "pre-compromise")
_MOST_LISTED = 6


def defence_generators(graph: TechniqueGraph) -> Iterator[Generator]:
    """Yield the generators; each makes nothing where the bundles have nothing for it."""
    yield from _mitigations(graph)
    yield _mitigation_use(graph)
    yield _data_components(graph)
    yield _analytics(graph)


def _slots(graph: TechniqueGraph, technique_id: str) -> dict[str, str]:
    name = graph.attack.full_name(technique_id)
    return {"id": technique_id, "name": name, "domain": graph.domain_name(technique_id)}


def _mitigations(graph: TechniqueGraph) -> Iterator[Generator]:
    attack = graph.attack
    real = {each.id for each in attack.of_type(Mitigation) if each.name.casefold() not in _NO_MITIGATIONS}

    def of(technique_id: str) -> list[str]:
        return [each for each in attack.neighbours(technique_id, "mitigated-by") if each in real]

    def near(fact: Fact) -> list[list[str]]:
        return [[each for each in group if each in real] for group in graph.near_values(fact.subject, "mitigated-by")]

    facts = [Fact(each.id, m, _slots(graph, each.id)) for each in graph.techniques for m in of(each.id)]
    yield Generator(
        name="technique-mitigation",
        relation="mitigated-by",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: attack.neighbours(fact.subject, "mitigated-by"),
        doubtful=lambda fact: {m for each in graph.kin(fact.subject) for m in attack.neighbours(each, "mitigated-by")},
        near=near,
        show=lambda own: attack[own].name,
        labels=True,
        choices=(
            "Which mitigation does MITRE ATT&CK list for {name} ({id})?",
            "A defender wants to prevent {name}. Which of these does ATT&CK for {domain} recommend?",
            "Which of these measures mitigates {id} ({name}), according to ATT&CK?",
        ),
        shorts=(
            "Which mitigations does ATT&CK list for {name} ({id})?",
            "How can an organisation prevent {id}? Name ATT&CK's mitigations.",
        ),
        answer=lambda fact: join_names(f"{attack[each].name} ({each})" for each in of(fact.subject)) + ".",
        short_facts=[fact for fact in facts if len(of(fact.subject)) <= _MOST_LISTED and fact.value == of(fact.subject)[0]],
    )
    yield Generator(
        name="mitigation-technique",
        relation="mitigates",
        facts=[
            Fact(fact.value, fact.subject, {"id": fact.value, "name": attack[fact.value].name, "domain": fact.slots["domain"]})
            for fact in facts
        ],
        subject=graph.subject,
        right=lambda fact: attack.neighbours(fact.subject, "mitigates"),
        doubtful=lambda fact: graph.kin_of_all(attack.neighbours(fact.subject, "mitigates")),
        near=lambda fact: graph.near(fact.value),
        show=attack.full_name,
        labels=True,
        choices=(
            "Against which technique does MITRE ATT&CK for {domain} recommend {name} ({id})?",
            "{name} ({id}) mitigates which of these ATT&CK techniques?",
            "A team has rolled out {name}. Which of these techniques does ATT&CK say it addresses?",
        ),
    )


def _mitigation_use(graph: TechniqueGraph) -> Generator:
    """How a mitigation is applied against a technique; the key of such a text is ``M1040@T1055``."""
    attack = graph.attack
    texts: dict[str, str] = {}
    for each in graph.techniques:
        for mitigation in attack.neighbours(each.id, "mitigated-by"):
            found = attack.graph.get(mitigation, "mitigates", each.id)
            text = telling_sentence(found.description if found else "", [attack[mitigation].name], longest=240)
            if text and attack[mitigation].name.casefold() not in _NO_MITIGATIONS:
                texts[f"{mitigation}@{each.id}"] = text
    by_technique: dict[str, list[str]] = {}
    for key in texts:
        by_technique.setdefault(key.partition("@")[2], []).append(key)

    def fact(key: str) -> Fact:
        mitigation, _, technique = key.partition("@")
        return Fact(technique, key, {**_slots(graph, technique), "mitigation": attack[mitigation].name})

    def near(fact: Fact) -> list[list[str]]:
        own = fact.value.partition("@")[0]
        groups = [[fact.subject], *graph.near(fact.subject)[:3]]
        found = [[key for each in group for key in by_technique.get(each, ())] for group in groups]
        return [[key for key in group if key.partition("@")[0] != own] for group in found]

    def whole(key: str) -> str:
        mitigation, _, technique = key.partition("@")
        found = attack.graph.get(mitigation, "mitigates", technique)
        return found.description if found else ""

    facts = [fact(key) for key in texts]
    return Generator(
        name="mitigation-use",
        relation="mitigation-use",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: (fact.value,),
        near=near,
        show=lambda key: texts[key],
        whole=whole,
        prose=True,
        choices=(
            "How is {mitigation} applied against {name} ({id}), according to ATT&CK?",
            "Which advice does ATT&CK give under {mitigation} for {name} ({id})?",
        ),
        shorts=(
            "How does {mitigation} help against {name} ({id})?",
            "What does ATT&CK advise under {mitigation} to counter {name}?",
        ),
        answer=lambda fact: summary(whole(fact.value)),
        short_facts=facts,
    )


def _data_components(graph: TechniqueGraph) -> Generator:
    attack = graph.attack
    every = [each.id for each in attack.of_type(DataComponent)]

    def near(fact: Fact) -> list[list[str]]:
        groups = [*graph.near(fact.subject)[:2]]
        return [*(list(dict.fromkeys(c for each in group for c in graph.components(each))) for group in groups), every]

    facts = [Fact(each.id, c, _slots(graph, each.id)) for each in graph.techniques for c in graph.components(each.id)]
    return Generator(
        name="technique-data-component",
        relation="detected-with",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: graph.components(fact.subject),
        doubtful=lambda fact: {c for each in graph.kin(fact.subject) for c in graph.components(each)},
        near=near,
        show=lambda own: attack[own].name,
        choices=(
            "Which data component do ATT&CK's analytics for {name} ({id}) rely on?",
            "To detect {name}, which of these data components should be collected, according to ATT&CK for {domain}?",
            "Which telemetry do the detection analytics for {id} ({name}) read?",
        ),
        shorts=(
            "Which data components do ATT&CK's analytics for {name} ({id}) use?",
            "What should be collected to detect {id}?",
        ),
        answer=lambda fact: join_names(attack[each].name for each in graph.components(fact.subject)) + ".",
        short_facts=[fact for fact in facts if fact.value == graph.components(fact.subject)[0] and _few(graph, fact)],
    )


def _few(graph: TechniqueGraph, fact: Fact) -> bool:
    return len(graph.components(fact.subject)) <= _MOST_LISTED


def _analytics(graph: TechniqueGraph) -> Generator:
    attack = graph.attack
    analytics = {each.id: each for each in attack.of_type(Analytic)}
    told: dict[str, str] = {}
    facts: list[Fact] = []
    asked: list[Fact] = []
    for each in graph.techniques:
        for own in graph.analytics(each.id):
            platforms = join_names(analytics[own].platforms[:3])
            fact = Fact(each.id, own, {**_slots(graph, each.id), "platform": platforms})
            if platforms and len(analytics[own].description) >= 60 and summary(analytics[own].description, 600):
                asked.append(fact)
            text = telling_sentence(analytics[own].description, [each.name, each.id], longest=260)
            if text and platforms:
                told[own] = text
                facts.append(fact)

    def near(fact: Fact) -> list[list[str]]:
        platforms = set(analytics[fact.value].platforms)
        groups = [[a for each in group for a in graph.analytics(each) if a in told] for group in graph.near(fact.subject)[:3]]
        return [[a for a in group if platforms & set(analytics[a].platforms)] for group in groups]

    return Generator(
        name="technique-analytic",
        relation="detected-by-analytic",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: graph.analytics(fact.subject),
        doubtful=lambda fact: {a for each in graph.kin(fact.subject) for a in graph.analytics(each)},
        near=near,
        show=lambda own: told.get(own) or analytics[own].description,
        whole=lambda own: analytics[own].description,
        prose=True,
        choices=(
            "Which behaviour does ATT&CK's analytic for {name} ({id}) on {platform} look for?",
            "Which of these detections belongs to {name} ({id}) on {platform}?",
        ),
        shorts=(
            "How can {name} ({id}) be detected on {platform}?",
            "What should a detection for {id} ({name}) on {platform} look for?",
        ),
        answer=lambda fact: summary(analytics[fact.value].description, 600),
        short_facts=asked,
    )
