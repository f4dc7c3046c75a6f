"""Questions about what ATT&CK techniques are: definitions, tactics, platforms, places in the matrix, assets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ctiforge.corpus.qa.question import Fact, Generator
from ctiforge.corpus.qa.technique_graph import TechniqueGraph
from ctiforge.corpus.qa.wording import join_names, said_of_it, sentences, summary, telling_sentence
from ctiforge.sources.attack_objects import Asset, Tactic, Technique

__all__ = ["technique_generators"]


def technique_generators(graph: TechniqueGraph) -> Iterator[Generator]:
    """Yield the generators; each makes nothing where the bundles have nothing for it."""
    yield from _definitions(graph)
    yield from _tactics(graph)
    yield from _platforms(graph)
    yield from _places(graph)
    yield _identifiers(graph)
    yield _assets(graph)


def _named(graph: TechniqueGraph, object_id: str, value: str, **slots: str) -> Fact:
    each = graph.attack[object_id]
    name = graph.attack.full_name(object_id)
    return Fact(object_id, value, {"id": each.id, "name": name, "domain": graph.domain_name(object_id), **slots})


def _definitions(graph: TechniqueGraph) -> Iterator[Generator]:
    attack = graph.attack
    seen = Counter(sentence for each in graph.techniques for sentence in sentences(each.description))
    told = {each.id: telling_sentence(each.description, [each.name]) for each in graph.techniques}
    told = {own: sentence for own, sentence in told.items() if sentence and seen[sentence] == 1}
    facts = [_named(graph, own, own, sentence=sentence) for own, sentence in told.items()]

    def kin(fact: Fact) -> tuple[str, ...]:
        return graph.kin(fact.subject)

    yield Generator(
        name="technique-definition",
        relation="is",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: (fact.subject,),
        doubtful=kin,
        near=lambda fact: graph.near(fact.subject),
        show=attack.full_name,
        labels=True,
        choices=(
            'Which technique of MITRE ATT&CK for {domain} does this describe? "{sentence}"',
            "{sentence} Which ATT&CK technique is that?",
            'An analyst notes: "{sentence}" Under which ATT&CK technique ({domain}) does the note belong?',
        ),
        shorts=(
            'Name the ATT&CK technique that is described here: "{sentence}"',
            "{sentence} What does ATT&CK call this, and under which ID?",
        ),
        answer=lambda fact: f"{fact.slots['name']} ({fact.subject}).",
    )
    yield Generator(
        name="technique-description",
        relation="is",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: (fact.subject,),
        doubtful=kin,
        near=lambda fact: [[each for each in group if each in told] for group in graph.near(fact.subject)],
        show=lambda own: told[own],
        whole=lambda own: attack[own].description,
        prose=True,
        choices=(
            "Which statement describes the ATT&CK technique {name} ({id})?",
            "What do adversaries do when they use {name} ({id})?",
            "How does MITRE ATT&CK for {domain} describe {name}?",
        ),
        shorts=("What is {name} ({id}) in MITRE ATT&CK?", "Explain the ATT&CK technique {name}.", "What does {id} stand for?"),
        answer=lambda fact: _explained(graph, fact.subject),
        short_facts=[_named(graph, each.id, each.id) for each in graph.techniques if summary(each.description)],
    )


def _explained(graph: TechniqueGraph, own: str) -> str:
    return f"{graph.attack.full_name(own)} ({own}): {summary(graph.attack[own].description)}"


def _tactics(graph: TechniqueGraph) -> Iterator[Generator]:
    attack = graph.attack
    tactics = attack.of_type(Tactic)
    facts = [_named(graph, t.id, tactic) for t in graph.techniques for tactic in attack.neighbours(t.id, "in-tactic")]

    def same_matrix(fact: Fact) -> list[list[str]]:
        return [[each.id for each in tactics if set(each.domains) & set(attack[fact.subject].domains)]]

    yield Generator(
        name="technique-tactic",
        relation="in-tactic",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: attack.neighbours(fact.subject, "in-tactic"),
        doubtful=lambda fact: {t for each in graph.kin(fact.subject) for t in attack.neighbours(each, "in-tactic")},
        near=same_matrix,
        show=lambda own: attack[own].name,
        choices=(
            "Under which tactic does MITRE ATT&CK for {domain} list the technique {name} ({id})?",
            "Which of these tactics does {name} serve, according to ATT&CK for {domain}?",
            "An alert is tagged {id} ({name}). Which tactic is it part of?",
        ),
        shorts=(
            "Which tactics does {name} ({id}) belong to?",
            "What does an adversary want to achieve with {id}? Name the tactics.",
        ),
        answer=lambda fact: (
            join_names(f"{attack[each].name} ({each})" for each in attack.neighbours(fact.subject, "in-tactic")) + "."
        ),
    )
    yield Generator(
        name="tactic-technique",
        relation="has-technique",
        facts=[_named(graph, fact.value, fact.subject) for fact in facts],
        subject=graph.subject,
        right=lambda fact: attack.neighbours(fact.subject, "has-technique"),
        doubtful=lambda fact: graph.kin_of_all(attack.neighbours(fact.subject, "has-technique")),
        near=lambda fact: _other_tactics(graph, fact),
        show=attack.full_name,
        labels=True,
        choices=(
            "Which technique belongs to the tactic {name} ({id}) of ATT&CK for {domain}?",
            "For the tactic {name}, ATT&CK for {domain} lists which of these techniques?",
            "An adversary pursues {name}. Which of these techniques does ATT&CK for {domain} place under that tactic?",
        ),
    )
    told = {each.id: said_of_it(each.description, [each.name], "this tactic") for each in tactics}
    yield Generator(
        name="tactic-definition",
        relation="is",
        facts=[_named(graph, own, own, sentence=sentence) for own, sentence in told.items() if sentence],
        subject=graph.subject,
        right=lambda fact: (fact.subject,),
        near=same_matrix,
        show=lambda own: attack[own].name,
        choices=(
            'Which tactic of ATT&CK for {domain} has this goal? "{sentence}"',
            "{sentence} Which ATT&CK for {domain} tactic is this?",
        ),
        shorts=(
            "What is the goal of the tactic {name} in ATT&CK for {domain}?",
            "Explain the ATT&CK for {domain} tactic {name}.",
        ),
        answer=lambda fact: summary(attack[fact.subject].description),
        short_facts=[_named(graph, each.id, each.id) for each in tactics if summary(each.description)],
    )


def _other_tactics(graph: TechniqueGraph, fact: Fact) -> list[list[str]]:
    """Return techniques that share a platform with the right one (nearest), and all others of its domain."""
    own = graph.technique(fact.value)
    pool = [each for each in graph.techniques if set(each.domains) & set(own.domains)]
    return [[each.id for each in pool if set(each.platforms) & set(own.platforms)], [each.id for each in pool]]


def _platforms(graph: TechniqueGraph) -> Iterator[Generator]:
    known: dict[str, list[str]] = {}
    for each in graph.techniques:
        for domain in each.domains:
            known[domain] = list(dict.fromkeys([*known.get(domain, ()), *each.platforms]))

    def all_platforms(own: str) -> list[str]:
        return list(dict.fromkeys(p for domain in graph.technique(own).domains for p in known[domain]))

    def kin_platforms(fact: Fact) -> set[str]:
        return {platform for each in graph.kin(fact.subject) for platform in graph.technique(each).platforms}

    yield Generator(
        name="technique-platform",
        relation="platform",
        facts=[_named(graph, each.id, platform) for each in graph.techniques for platform in each.platforms],
        subject=graph.subject,
        right=lambda fact: graph.technique(fact.subject).platforms,
        doubtful=kin_platforms,
        near=lambda fact: [all_platforms(fact.subject)],
        show=str,
        choices=(
            "For which of these platforms does ATT&CK list {name} ({id})?",
            "On which platform can {name} be seen, according to MITRE ATT&CK for {domain}?",
        ),
        shorts=("Which platforms does ATT&CK list for {name} ({id})?", "Where can {id} ({name}) be used by an adversary?"),
        answer=lambda fact: join_names(graph.technique(fact.subject).platforms) + ".",
    )
    yield Generator(
        name="technique-platform-except",
        relation="not-platform",
        facts=[
            _named(graph, each.id, platform)
            for each in graph.techniques
            if len(each.platforms) >= 3
            for platform in all_platforms(each.id)
            if platform not in each.platforms and not any(platform in graph.technique(k).platforms for k in graph.kin(each.id))
        ],
        subject=graph.subject,
        right=lambda fact: [p for p in all_platforms(fact.subject) if p not in graph.technique(fact.subject).platforms],
        near=lambda fact: [graph.technique(fact.subject).platforms],
        show=str,
        choices=(
            "Which platform does ATT&CK NOT list for {name} ({id})?",
            "All but one of these platforms are listed for {name} in MITRE ATT&CK. Which one is not?",
        ),
    )


def _places(graph: TechniqueGraph) -> Iterator[Generator]:
    attack = graph.attack
    subs = [each for each in graph.techniques if attack.neighbours(each.id, "subtechnique-of")]
    parents_by_name: dict[str, set[str]] = {}
    for each in subs:
        parents_by_name.setdefault(each.name.casefold(), set()).update(attack.neighbours(each.id, "subtechnique-of"))
    tops = [each for each in graph.techniques if not attack.neighbours(each.id, "subtechnique-of")]

    def tops_near(own: str) -> list[list[str]]:
        keep = {each.id for each in tops}
        return [[each for each in group if each in keep] for group in graph.near(own)]

    yield Generator(
        name="subtechnique-parent",
        relation="subtechnique-of",
        facts=[
            _named(graph, each.id, parent, own=each.name)
            for each in subs
            for parent in attack.neighbours(each.id, "subtechnique-of")
        ],
        subject=graph.subject,
        right=lambda fact: parents_by_name[fact.slots["own"].casefold()],
        near=lambda fact: tops_near(fact.value),
        show=lambda own: attack[own].name,
        choices=(
            "{own} is a sub-technique of which ATT&CK technique?",
            "Which technique of ATT&CK for {domain} has {own} as a sub-technique?",
        ),
        shorts=("Which technique is {id} a sub-technique of?", "What is the parent of {own} ({id}) in ATT&CK?"),
        answer=lambda fact: f"{attack[fact.value].name} ({fact.value}).",
    )
    yield Generator(
        name="technique-subtechnique",
        relation="has-subtechnique",
        facts=[_named(graph, parent, each.id) for each in subs for parent in attack.neighbours(each.id, "subtechnique-of")],
        subject=graph.subject,
        right=lambda fact: attack.neighbours(fact.subject, "has-subtechnique"),
        near=lambda fact: [[e for e in g if attack.neighbours(e, "subtechnique-of")] for g in graph.near(fact.subject)],
        show=lambda own: attack[own].name,
        choices=(
            "Which of these is a sub-technique of {name} ({id})?",
            "ATT&CK for {domain} divides {name} into sub-techniques. Which of these is one of them?",
        ),
    )


def _identifiers(graph: TechniqueGraph) -> Generator:
    names = Counter((graph.attack.full_name(each.id), each.domains) for each in graph.techniques)
    unique: list[Technique] = [each for each in graph.techniques if names[graph.attack.full_name(each.id), each.domains] == 1]
    return Generator(
        name="technique-id",
        relation="is",
        facts=[_named(graph, each.id, each.id) for each in unique],
        subject=graph.subject,
        right=lambda fact: (fact.subject,),
        near=lambda fact: graph.near(fact.subject),
        show=str,
        choices=(
            "Which ID does MITRE ATT&CK for {domain} give to {name}?",
            "Under which ATT&CK ({domain}) identifier is {name} to be reported?",
        ),
        shorts=("What is the ATT&CK ({domain}) ID of {name}?",),
        answer=lambda fact: fact.subject,
    )


def _assets(graph: TechniqueGraph) -> Generator:
    attack = graph.attack
    assets = [each.id for each in attack.of_type(Asset)]
    return Generator(
        name="technique-asset",
        relation="targets",
        facts=[_named(graph, each.id, asset) for each in graph.techniques for asset in attack.neighbours(each.id, "targets")],
        subject=graph.subject,
        right=lambda fact: attack.neighbours(fact.subject, "targets"),
        doubtful=lambda fact: {a for each in graph.kin(fact.subject) for a in attack.neighbours(each, "targets")},
        near=lambda fact: [assets],
        show=lambda own: attack[own].name,
        choices=(
            "Which ICS asset does ATT&CK name as a target of {name} ({id})?",
            "In an industrial plant, which of these assets can be the target of {name}, according to ATT&CK for ICS?",
        ),
    )
