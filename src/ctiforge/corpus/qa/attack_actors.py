"""Questions about who does what in ATT&CK: groups, software and campaigns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ctiforge.corpus.qa.question import Fact, Generator
from ctiforge.corpus.qa.technique_graph import TechniqueGraph
from ctiforge.corpus.qa.wording import join_names, mentions, said_of_it, sentences, summary
from ctiforge.sources.attack_objects import AttackObject, Campaign, Group, Software

__all__ = ["actor_generators"]

_KINDS: tuple[tuple[str, type[AttackObject], str], ...] = (
    ("group", Group, "this group"),
    ("software", Software, "this software"),
    ("campaign", Campaign, "this campaign"),
)


def actor_generators(graph: TechniqueGraph) -> Iterator[Generator]:
    """Yield the generators; each makes nothing where the bundles have nothing for it."""
    for name, kind, pronoun in _KINDS:
        actors = graph.attack.of_type(kind)
        yield _techniques(graph, name, actors)
        if name != "campaign":
            yield _definitions(graph, name, actors, pronoun)
    yield _procedures(graph)
    yield from _software(graph)
    yield _attribution(graph)
    yield _aliases(graph)
    yield _platforms(graph)


def _slots(each: AttackObject, **more: str) -> dict[str, str]:
    return {"id": each.id, "name": each.name, **more}


def _aliases_of(each: AttackObject) -> tuple[str, ...]:
    return each.aliases if isinstance(each, Group | Software | Campaign) else ()


def _used(graph: TechniqueGraph, actor: str) -> list[str]:
    return [each for each in graph.attack.neighbours(actor, "uses") if each.startswith("T")]


def _through_campaigns(graph: TechniqueGraph, actor: str) -> list[str]:
    """Return what the campaigns of a group use: the group's own list need not repeat it."""
    campaigns = (*graph.attack.neighbours(actor, "has-campaign"), *graph.attack.neighbours(actor, "attributed-to"))
    return [used for each in campaigns for used in graph.attack.neighbours(each, "uses")]


def _doubtful(graph: TechniqueGraph, fact: Fact) -> set[str]:
    indirect = [each for each in _through_campaigns(graph, fact.subject) if each.startswith("T")]
    return {*indirect, *graph.kin_of_all([*_used(graph, fact.subject), *indirect])}


def _procedure(graph: TechniqueGraph, actor: str, technique: str) -> str:
    found = graph.attack.graph.get(actor, "uses", technique)
    return summary(found.description, 360) if found else ""


def _techniques(graph: TechniqueGraph, name: str, actors: Sequence[AttackObject]) -> Generator:
    facts = [
        Fact(each.id, used, _slots(each, technique=graph.attack.full_name(used), technique_id=used))
        for each in actors
        for used in _used(graph, each.id)
    ]
    return Generator(
        name=f"{name}-technique",
        relation="uses",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: _used(graph, fact.subject),
        doubtful=lambda fact: _doubtful(graph, fact),
        near=lambda fact: graph.near(fact.value),
        show=graph.attack.full_name,
        labels=True,
        choices=(
            f"Which technique does MITRE ATT&CK report for the {name} {{name}} ({{id}})?",
            "According to ATT&CK, which of these techniques has been seen with {name} ({id})?",
            f"A hunt for the {name} {{name}} is planned. Which of these techniques is documented for it in ATT&CK?",
        ),
        shorts=(
            "How has {name} ({id}) used {technique} ({technique_id})?",
            "What does ATT&CK report on {name} and {technique}?",
        ),
        answer=lambda fact: _procedure(graph, fact.subject, fact.value),
        short_facts=[fact for fact in facts if len(_procedure(graph, fact.subject, fact.value)) >= 40],
    )


def _procedures(graph: TechniqueGraph) -> Generator:
    facts: list[Fact] = []
    for _, kind, _ in _KINDS:
        for each in graph.attack.of_type(kind):
            for used in _used(graph, each.id):
                found = graph.attack.graph.get(each.id, "uses", used)
                text = next(iter(sentences(found.description if found else "")), "")
                own = graph.attack[used].name
                if 40 <= len(text) <= 320 and text[-1] == "." and not mentions(text, own) and not mentions(text, used):
                    facts.append(Fact(each.id, used, _slots(each, procedure=text)))
    return Generator(
        name="procedure-technique",
        relation="uses",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: _used(graph, fact.subject),
        doubtful=lambda fact: _doubtful(graph, fact),
        near=lambda fact: graph.near(fact.value),
        show=graph.attack.full_name,
        labels=True,
        choices=(
            'A report says: "{procedure}" Which ATT&CK technique is this?',
            "{procedure} To which technique does ATT&CK map this behaviour?",
            'Map this observation to an ATT&CK technique: "{procedure}"',
        ),
        shorts=('Which ATT&CK technique does this observation show? "{procedure}"', "{procedure} Name the ATT&CK technique."),
        answer=lambda fact: f"{graph.attack.full_name(fact.value)} ({fact.value}).",
        short_facts=facts,
    )


def _definitions(graph: TechniqueGraph, name: str, actors: Sequence[AttackObject], pronoun: str) -> Generator:
    told = {each.id: said_of_it(each.description, [each.name, *_aliases_of(each)], pronoun) for each in actors}
    told = {own: text for own, text in told.items() if text and list(told.values()).count(text) == 1}
    users = {each.id: _related(graph, each.id) for each in actors}
    return Generator(
        name=f"{name}-definition",
        relation="is",
        facts=[Fact(own, own, _slots(graph.attack[own], sentence=text)) for own, text in told.items()],
        subject=graph.subject,
        right=lambda fact: (fact.subject,),
        doubtful=lambda fact: [
            each for each in users[fact.subject] if mentions(fact.slots["sentence"], graph.attack[each].name)
        ],
        near=lambda fact: [users[fact.subject], [each.id for each in actors]],
        show=lambda own: graph.attack[own].name,
        choices=(
            f'Which {name} is described here? "{{sentence}}"',
            f"{{sentence}} Which {name} tracked in MITRE ATT&CK is that?",
        ),
        shorts=("What is {name} ({id})?", f"Describe the {name} {{name}} in one or two sentences."),
        answer=lambda fact: summary(graph.attack[fact.subject].description, 360),
        short_facts=[Fact(each.id, each.id, _slots(each)) for each in actors if summary(each.description, 360)],
    )


def _related(graph: TechniqueGraph, own: str) -> list[str]:
    """Return objects of the same kind that share a user, or something used: the nearest wrong answers."""
    attack = graph.attack
    through = [(each, "uses") for each in attack.neighbours(own, "used-by")]
    through += [(each, "used-by") for each in attack.neighbours(own, "uses") if each.startswith("S")]
    found = (other for each, back in through for other in attack.neighbours(each, back))
    return [each for each in dict.fromkeys(found) if each != own and type(attack[each]) is type(attack[own])]


def _software(graph: TechniqueGraph) -> Iterator[Generator]:
    attack = graph.attack
    programs, groups = attack.of_type(Software), attack.of_type(Group)

    def users(own: str) -> list[str]:
        return [each for each in attack.neighbours(own, "used-by") if each.startswith("G")]

    def indirect_users(own: str) -> set[str]:
        campaigns = [each for each in attack.neighbours(own, "used-by") if each.startswith("C")]
        return {group for each in campaigns for group in attack.neighbours(each, "attributed-to")}

    pairs = [(each, own) for each in groups for own in attack.neighbours(each.id, "uses") if own.startswith("S")]
    yield Generator(
        name="group-software",
        relation="uses",
        facts=[Fact(each.id, own, _slots(each)) for each, own in pairs],
        subject=graph.subject,
        right=lambda fact: [own for own in attack.neighbours(fact.subject, "uses") if own.startswith("S")],
        doubtful=lambda fact: _through_campaigns(graph, fact.subject),
        near=lambda fact: [_related(graph, fact.value), [each.id for each in programs]],
        show=lambda own: attack[own].name,
        choices=(
            "Which software does MITRE ATT&CK list for the group {name} ({id})?",
            "Which of these malware families or tools has {name} used, according to ATT&CK?",
        ),
    )
    yield Generator(
        name="software-group",
        relation="used-by",
        facts=[Fact(own, each.id, _slots(attack[own])) for each, own in pairs if len(users(own)) <= 4],
        subject=graph.subject,
        right=lambda fact: users(fact.subject),
        doubtful=lambda fact: indirect_users(fact.subject),
        near=lambda fact: [_related(graph, fact.value), [each.id for each in groups]],
        show=lambda own: attack[own].name,
        choices=(
            "Which group has used {name} ({id}), according to MITRE ATT&CK?",
            "{name} was found on a host. Which of these groups does ATT&CK tie to it?",
        ),
        shorts=("Which groups does ATT&CK report as users of {name} ({id})?", "Who has used {name}, according to ATT&CK?"),
        answer=lambda fact: join_names(f"{attack[each].name} ({each})" for each in users(fact.subject)) + ".",
    )


def _attribution(graph: TechniqueGraph) -> Generator:
    attack = graph.attack
    groups = [each.id for each in attack.of_type(Group)]
    facts = [
        Fact(each.id, group, _slots(each))
        for each in attack.of_type(Campaign)
        for group in attack.neighbours(each.id, "attributed-to")
    ]
    return Generator(
        name="campaign-group",
        relation="attributed-to",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: attack.neighbours(fact.subject, "attributed-to"),
        near=lambda fact: [_related(graph, fact.value), groups],
        show=lambda own: attack[own].name,
        choices=("To which group does MITRE ATT&CK attribute {name} ({id})?", "Who is behind {name}, according to ATT&CK?"),
        shorts=("To which group does ATT&CK attribute {name} ({id})?",),
        answer=lambda fact: (
            join_names(f"{attack[each].name} ({each})" for each in attack.neighbours(fact.subject, "attributed-to")) + "."
        ),
    )


def _aliases(graph: TechniqueGraph) -> Generator:
    attack = graph.attack
    groups = attack.of_type(Group)
    owners: dict[str, set[str]] = {}
    for each in groups:
        for alias in (each.name, *each.aliases):
            owners.setdefault(alias.casefold(), set()).add(each.id)
    facts = [Fact(each.id, each.id, _slots(each, alias=alias)) for each in groups for alias in each.aliases]
    return Generator(
        name="group-alias",
        relation="alias-of",
        facts=[fact for fact in facts if not mentions(fact.slots["alias"], fact.slots["name"])],
        subject=graph.subject,
        right=lambda fact: owners[fact.slots["alias"].casefold()],
        doubtful=lambda fact: [each.id for each in groups if mentions(each.description, fact.slots["alias"])],
        near=lambda fact: [_related(graph, fact.subject), [each.id for each in groups]],
        show=lambda own: attack[own].name,
        choices=(
            "{alias} is another name of which group tracked by MITRE ATT&CK?",
            "A vendor report speaks of {alias}. Under which name does ATT&CK track this group?",
        ),
        shorts=("Which group does ATT&CK associate with the name {alias}?", "Under which name does ATT&CK track {alias}?"),
        answer=lambda fact: f"{fact.slots['name']} ({fact.subject}).",
        short_facts=facts,
    )


def _platforms(graph: TechniqueGraph) -> Generator:
    programs = graph.attack.of_type(Software)
    by_id = {each.id: each for each in programs}
    known = list(dict.fromkeys(platform for each in programs for platform in each.platforms))
    return Generator(
        name="software-platform",
        relation="platform",
        facts=[Fact(each.id, platform, _slots(each)) for each in programs for platform in each.platforms],
        subject=graph.subject,
        right=lambda fact: by_id[fact.subject].platforms,
        near=lambda fact: [known],
        show=str,
        choices=(
            "On which platform does {name} ({id}) run, according to ATT&CK?",
            "Which platform does ATT&CK list for {name}?",
        ),
        shorts=("Which platforms does ATT&CK list for {name} ({id})?",),
        answer=lambda fact: join_names(by_id[fact.subject].platforms) + ".",
    )
