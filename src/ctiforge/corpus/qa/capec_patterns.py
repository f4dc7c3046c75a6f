"""Questions about CAPEC attack patterns: definitions, hierarchy, chains, weaknesses, techniques, and what their texts say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from ctiforge.corpus.qa.pattern_graph import PatternGraph
from ctiforge.corpus.qa.question import Fact, Generator
from ctiforge.corpus.qa.technique_graph import TechniqueGraph
from ctiforge.corpus.qa.weakness_graph import WeaknessGraph
from ctiforge.corpus.qa.wording import join_names, sentences, summary, telling_sentence
from ctiforge.sources.capec import AttackPattern

__all__ = ["pattern_generators"]

_LEVELS = ("Very Low", "Low", "Medium", "High", "Very High")
_MOST_LISTED = 5


def pattern_generators(
    graph: PatternGraph, weaknesses: WeaknessGraph | None, techniques: TechniqueGraph | None
) -> Iterator[Generator]:
    """Yield the generators; those that need CWE or ATT&CK are left out where these were not given."""
    yield from _definitions(graph)
    yield from _hierarchy(graph)
    yield _severity(graph)
    yield _consequences(graph)
    yield _listed_texts(
        graph,
        "pattern-mitigation",
        lambda each: each.mitigations,
        ("Which of these measures does CAPEC recommend against {name} ({id})?", "What counters {name}, according to CAPEC?"),
        ("Which measures does CAPEC give against {name} ({id})?", "How can a developer or defender counter {name} ({id})?"),
    )
    yield _listed_texts(
        graph,
        "pattern-prerequisite",
        lambda each: each.prerequisites,
        ("Which condition must hold for {name} ({id}) to work?", "What is a prerequisite of {name}, according to CAPEC?"),
        ("Which prerequisites does CAPEC give for {name} ({id})?", "Under which conditions is {name} ({id}) possible?"),
    )
    if weaknesses is not None:
        yield from _weaknesses(graph, weaknesses)
    if techniques is not None:
        yield _techniques(graph, techniques)


def _fact(graph: PatternGraph, capec_id: str, value: str, **slots: str) -> Fact:
    return Fact(capec_id, value, {"id": capec_id, "name": graph.capec[capec_id].name, **slots})


def _definitions(graph: PatternGraph) -> Iterator[Generator]:
    capec = graph.capec
    seen = Counter(sentence for each in capec for sentence in sentences(each.description))
    told = {each.id: telling_sentence(each.description, [each.name, *each.alternate_terms]) for each in capec}
    told = {own: sentence for own, sentence in told.items() if sentence and seen[sentence] == 1}
    facts = [_fact(graph, own, own, sentence=sentence) for own, sentence in told.items()]
    yield Generator(
        name="pattern-definition",
        relation="is",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: (fact.subject,),
        doubtful=lambda fact: graph.kin(fact.subject),
        near=lambda fact: graph.near(fact.subject),
        show=lambda own: capec[own].name,
        labels=True,
        choices=(
            'Which CAPEC attack pattern is described here? "{sentence}"',
            "{sentence} What is this attack pattern called in CAPEC?",
        ),
        shorts=('Name the CAPEC attack pattern: "{sentence}"', "{sentence} Which CAPEC entry describes this attack?"),
        answer=lambda fact: f"{fact.slots['name']} ({fact.subject}).",
    )
    yield Generator(
        name="pattern-description",
        relation="is",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: (fact.subject,),
        doubtful=lambda fact: graph.kin(fact.subject),
        near=lambda fact: [[each for each in group if each in told] for group in graph.near(fact.subject)],
        show=lambda own: told[own],
        whole=lambda own: capec[own].description,
        prose=True,
        choices=("What does an adversary do in {name} ({id})?", "Which statement describes the attack pattern {name}?"),
        shorts=("What is the attack pattern {name} ({id})?", "Explain {id} ({name}) as CAPEC describes it."),
        answer=lambda fact: summary(capec[fact.subject].description),
        short_facts=[_fact(graph, each.id, each.id) for each in capec if summary(each.description)],
    )


def _hierarchy(graph: PatternGraph) -> Iterator[Generator]:
    capec = graph.capec

    def related(name: str, relation: str, choices: Sequence[str], shorts: Sequence[str], near_value: bool) -> Generator:
        return Generator(
            name=name,
            relation=relation,
            facts=[_fact(graph, each.id, other) for each in capec for other in capec.neighbours(each.id, relation)],
            subject=graph.subject,
            right=lambda fact: capec.neighbours(fact.subject, relation),
            doubtful=lambda fact: {
                fact.subject,
                *graph.kin(fact.subject),
                *graph.kin_of_all(capec.neighbours(fact.subject, relation)),
            },
            near=lambda fact: graph.near(fact.value if near_value else fact.subject),
            show=lambda own: capec[own].name,
            labels=True,
            choices=choices,
            shorts=shorts,
            answer=lambda fact: (
                join_names(f"{capec[each].name} ({each})" for each in capec.neighbours(fact.subject, relation)) + "."
            ),
        )

    yield related(
        "pattern-parent",
        "child-of",
        (
            "{name} ({id}) is a more specific form of which CAPEC attack pattern?",
            "Which attack pattern is the parent of {name} in CAPEC?",
        ),
        ("What is the parent of {name} ({id}) in CAPEC?",),
        near_value=True,
    )
    yield related(
        "pattern-child",
        "parent-of",
        (
            "Which attack pattern is a more specific form of {name} ({id})?",
            "Which of these does CAPEC list as a child of {name}?",
        ),
        (),
        near_value=True,
    )
    yield related(
        "pattern-next",
        "can-precede",
        (
            "In a chain of attacks, {name} ({id}) can come before which of these patterns, according to CAPEC?",
            "Which attack can follow {name}, according to CAPEC?",
        ),
        ("Which attack patterns can follow {name} ({id}), according to CAPEC?",),
        near_value=True,
    )


def _severity(graph: PatternGraph) -> Generator:
    rated = {each.id: each.severity for each in graph.capec if each.severity in _LEVELS}
    return Generator(
        name="pattern-severity",
        relation="severity",
        facts=[_fact(graph, own, level) for own, level in rated.items()],
        subject=graph.subject,
        right=lambda fact: (rated[fact.subject],),
        near=lambda fact: [_LEVELS],
        show=str,
        choices=(
            "Which typical severity does CAPEC give to {name} ({id})?",
            "How severe is {name} typically, according to CAPEC?",
        ),
        shorts=("Which typical severity does CAPEC state for {name} ({id})?",),
        answer=lambda fact: rated[fact.subject] + ".",
    )


def _consequences(graph: PatternGraph) -> Generator:
    capec = graph.capec

    def impacts(own: str) -> list[str]:
        return list(dict.fromkeys(each.impact for each in capec[own].consequences if each.impact and each.impact != "Other"))

    known = sorted({impact for each in capec for impact in impacts(each.id) if len(impact) <= 60})

    def answer(fact: Fact) -> str:
        return " ".join(
            f"{join_names(each.scopes)}: {each.impact}." for each in capec[fact.subject].consequences[:_MOST_LISTED]
        )

    return Generator(
        name="pattern-consequence",
        relation="impact",
        facts=[_fact(graph, each.id, impact) for each in capec for impact in impacts(each.id) if impact in known],
        subject=graph.subject,
        right=lambda fact: impacts(fact.subject),
        doubtful=lambda fact: {impact for each in graph.kin(fact.subject) for impact in impacts(each)},
        near=lambda fact: [known],
        show=str,
        choices=(
            "Which consequence does CAPEC name for a successful {name} ({id})?",
            "What can an adversary gain with {name}, according to CAPEC?",
        ),
        shorts=("Which consequences does CAPEC list for {name} ({id})?", "What does a successful {name} lead to?"),
        answer=answer,
    )


def _listed_texts(
    graph: PatternGraph,
    name: str,
    texts: Callable[[AttackPattern], Sequence[str]],
    choices: Sequence[str],
    shorts: Sequence[str],
) -> Generator:
    """Questions about one of a pattern's lists of texts; the key of a text is ``CAPEC-66#0``."""
    capec = graph.capec
    whole: dict[str, str] = {}
    shown: dict[str, str] = {}
    keys: dict[str, list[str]] = {}
    for each in capec:
        for number, text in enumerate(texts(each)):
            key = f"{each.id}#{number}"
            whole[key] = text
            keys.setdefault(each.id, []).append(key)
            first = summary(text, 220)
            if len(first) >= 25:
                shown[key] = first

    def near(fact: Fact) -> list[list[str]]:
        return [[key for each in group for key in keys.get(each, ()) if key in shown] for group in graph.near(fact.subject)[1:]]

    def answer(fact: Fact) -> str:
        listed = [shown[key] for key in keys[fact.subject] if key in shown][:_MOST_LISTED]
        return listed[0] if len(listed) == 1 else "\n".join(f"- {text}" for text in listed)

    return Generator(
        name=name,
        relation=name.partition("-")[2],
        facts=[_fact(graph, key.partition("#")[0], key) for key in shown],
        subject=graph.subject,
        right=lambda fact: keys[fact.subject],
        doubtful=lambda fact: {key for each in graph.kin(fact.subject) for key in keys.get(each, ())},
        near=near,
        show=lambda key: shown.get(key) or whole[key],
        whole=lambda key: whole[key],
        prose=True,
        choices=choices,
        shorts=shorts,
        answer=answer,
    )


def _weaknesses(graph: PatternGraph, weaknesses: WeaknessGraph) -> Iterator[Generator]:
    capec, cwe = graph.capec, weaknesses.cwe

    def exploited(capec_id: str) -> list[str]:
        """Return what either catalogue says the pattern exploits; they are of different dates."""
        found = [*capec.neighbours(capec_id, "exploits"), *cwe.neighbours(capec_id, "exploits")]
        return [each for each in dict.fromkeys(found) if each in cwe]

    exploiters: dict[str, list[str]] = {}
    for each in capec:
        for cwe_id in exploited(each.id):
            exploiters.setdefault(cwe_id, []).append(each.id)
    yield Generator(
        name="pattern-weakness",
        relation="exploits",
        facts=[_fact(graph, each.id, cwe_id) for each in capec for cwe_id in exploited(each.id)],
        subject=graph.subject,
        right=lambda fact: exploited(fact.subject),
        doubtful=lambda fact: weaknesses.kin_of_all(exploited(fact.subject)),
        near=lambda fact: weaknesses.near(fact.value),
        show=lambda own: cwe[own].name,
        labels=True,
        choices=(
            "Which weakness does the attack pattern {name} ({id}) exploit?",
            "{name} ({id}) succeeds because of which of these weaknesses, according to CAPEC?",
        ),
        shorts=("Which weaknesses can {name} ({id}) exploit?",),
        answer=lambda fact: join_names(f"{cwe[each].name} ({each})" for each in exploited(fact.subject)[:6]) + ".",
        short_facts=[_fact(graph, each.id, exploited(each.id)[0]) for each in capec if 0 < len(exploited(each.id)) <= 6],
    )
    facts = [
        Fact(cwe_id, capec_id, {"id": cwe_id, "name": cwe[cwe_id].name})
        for cwe_id, found in exploiters.items()
        for capec_id in found
    ]
    yield Generator(
        name="weakness-pattern",
        relation="exploited-by",
        facts=facts,
        subject=weaknesses.subject,
        right=lambda fact: exploiters[fact.subject],
        doubtful=lambda fact: {
            *graph.kin_of_all(exploiters[fact.subject]),
            *(each for kin in weaknesses.kin(fact.subject) for each in exploiters.get(kin, ())),
        },
        near=lambda fact: graph.near(fact.value),
        show=lambda own: capec[own].name,
        labels=True,
        choices=(
            "Which CAPEC attack pattern exploits {name} ({id})?",
            "A product has {id} ({name}). Which of these attack patterns does that open the way to?",
        ),
    )


def _techniques(graph: PatternGraph, techniques: TechniqueGraph) -> Generator:
    capec, attack = graph.capec, techniques.attack

    def same(capec_id: str) -> list[str]:
        named = (attack.resolve(each) for each in capec.neighbours(capec_id, "same-as-technique"))
        turned = (each.id for each in techniques.techniques if capec_id in each.capec_ids)
        return list(dict.fromkeys([*(each for each in named if each), *turned]))

    return Generator(
        name="pattern-technique",
        relation="same-as-technique",
        facts=[_fact(graph, each.id, technique) for each in capec for technique in same(each.id)],
        subject=graph.subject,
        right=lambda fact: same(fact.subject),
        doubtful=lambda fact: techniques.kin_of_all(same(fact.subject)),
        near=lambda fact: techniques.near(fact.value),
        show=attack.full_name,
        labels=True,
        choices=(
            "Which ATT&CK technique does the CAPEC attack pattern {name} ({id}) correspond to?",
            "{id} ({name}) is mapped to which technique of MITRE ATT&CK?",
        ),
        shorts=("Which ATT&CK technique corresponds to {name} ({id})?",),
        answer=lambda fact: join_names(f"{attack.full_name(each)} ({each})" for each in same(fact.subject)) + ".",
    )
