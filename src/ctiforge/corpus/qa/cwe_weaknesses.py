"""Questions about CWE weaknesses: definitions, hierarchy, chains, consequences, mapping usage, observed examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from ctiforge.corpus.qa.question import Fact, Generator
from ctiforge.corpus.qa.weakness_graph import WeaknessGraph
from ctiforge.corpus.qa.wording import closed, join_names, mentions, sentences, summary, telling_sentence
from ctiforge.sources.cwe_texts import WeaknessText

__all__ = ["impacts_of", "weakness_generators"]

_USAGES = ("Allowed", "Allowed-with-Review", "Discouraged", "Prohibited")
_LEVELS = ("Pillar", "Class", "Base", "Variant", "Compound")
_VAGUE = ("other", "varies by context", "unknown", "not applicable")


def weakness_generators(graph: WeaknessGraph) -> Iterator[Generator]:
    """Yield the generators; each makes nothing where the catalogue has nothing for it."""
    yield from _definitions(graph)
    yield from _relations(graph)
    yield _examples(graph)
    yield _terms(graph)
    yield from _closed_lists(graph)
    yield from _texts(graph)


def impacts_of(weakness: WeaknessText) -> list[str]:
    """Return the technical impacts that MITRE lists, without 'Other' and its like."""
    found = (impact for each in weakness.consequences for impact in each.impacts)
    return [impact for impact in dict.fromkeys(found) if impact.casefold() not in _VAGUE]


def _fact(graph: WeaknessGraph, cwe_id: str, value: str, **slots: str) -> Fact:
    return Fact(cwe_id, value, {"id": cwe_id, "name": graph.cwe[cwe_id].name, **slots})


def _names(weakness: WeaknessText) -> list[str]:
    """Return the name, its short form in brackets, and the alternate terms."""
    short = weakness.name.partition("('")[2].partition("')")[0]
    return [name for name in (weakness.name.partition(" ('")[0], short, *(term for term, _ in weakness.terms)) if name]


def _definitions(graph: WeaknessGraph) -> Iterator[Generator]:
    cwe = graph.cwe
    seen = Counter(sentence for each in cwe for sentence in sentences(each.description))
    told = {each.cwe_id: telling_sentence(each.description, _names(each)) for each in cwe}
    told = {own: sentence for own, sentence in told.items() if sentence and seen[sentence] == 1}
    facts = [_fact(graph, own, own, sentence=sentence) for own, sentence in told.items()]
    yield Generator(
        name="weakness-definition",
        relation="is",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: (fact.subject,),
        doubtful=lambda fact: graph.kin(fact.subject),
        near=lambda fact: graph.near(fact.subject),
        show=lambda own: cwe[own].name,
        labels=True,
        choices=(
            'Which CWE entry is defined like this? "{sentence}"',
            "{sentence} Which weakness is that?",
            'A code review finds: "{sentence}" Which weakness should be reported?',
        ),
        shorts=('Name the weakness and its CWE ID: "{sentence}"', "{sentence} Which CWE entry fits?"),
        answer=lambda fact: f"{fact.slots['name']} ({fact.subject}).",
    )
    yield Generator(
        name="weakness-description",
        relation="is",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: (fact.subject,),
        doubtful=lambda fact: graph.kin(fact.subject),
        near=lambda fact: [[each for each in group if each in told] for group in graph.near(fact.subject)],
        show=lambda own: told[own],
        whole=lambda own: cwe[own].description,
        prose=True,
        choices=("What goes wrong in {id} ({name})?", "Which statement describes {name} ({id})?"),
        shorts=("What is {id} ({name})?", "Explain the weakness {name}.", "What does {id} mean?"),
        answer=lambda fact: summary(cwe[fact.subject].description),
        short_facts=[_fact(graph, each.cwe_id, each.cwe_id) for each in cwe if summary(each.description)],
    )


def _relations(graph: WeaknessGraph) -> Iterator[Generator]:
    cwe = graph.cwe

    def related(name: str, relation: str, choices: Sequence[str], shorts: Sequence[str]) -> Generator:
        def right(fact: Fact) -> tuple[str, ...]:
            return cwe.neighbours(fact.subject, relation)

        return Generator(
            name=name,
            relation=relation,
            facts=[_fact(graph, each.cwe_id, other) for each in cwe for other in cwe.neighbours(each.cwe_id, relation)],
            subject=graph.subject,
            right=right,
            doubtful=lambda fact: {fact.subject, *graph.kin(fact.subject), *graph.kin_of_all(right(fact))},
            near=lambda fact: graph.near(fact.value),
            show=lambda own: cwe[own].name,
            labels=True,
            choices=choices,
            shorts=shorts,
            answer=lambda fact: join_names(f"{cwe[each].name} ({each})" for each in right(fact)) + ".",
        )

    yield related(
        "weakness-parent",
        "child-of",
        (
            "In CWE's Research Concepts view, {name} ({id}) is a child of which entry?",
            "Which more general weakness is the parent of {id} ({name})?",
        ),
        ("What is the parent of {id} ({name}) in View-1000?", "Which more general weakness does {id} belong under?"),
    )
    yield related(
        "weakness-child",
        "parent-of",
        (
            "Which entry is a more specific form of {name} ({id})?",
            "{id} ({name}) is too general for a finding. Which of these is one of its children in CWE?",
        ),
        (),
    )
    yield related(
        "weakness-next",
        "can-precede",
        (
            "In a chain of weaknesses, {name} ({id}) can lead to which of these?",
            "Which weakness can follow from {id} ({name}), according to CWE?",
        ),
        ("Which weaknesses can {id} ({name}) lead to, according to CWE?",),
    )


def _examples(graph: WeaknessGraph) -> Generator:
    cwe = graph.cwe
    facts = [
        _fact(graph, each.cwe_id, each.cwe_id, text=closed(example.description), cve=example.cve_id)
        for each in cwe
        for example in each.examples
        if 40 <= len(example.description) <= 400 and "CWE-" not in example.description
        if not any(mentions(example.description, name) for name in _names(each))
    ]

    def right(fact: Fact) -> tuple[str, ...]:
        return cwe.neighbours(fact.slots["cve"], "example-of")

    return Generator(
        name="weakness-example",
        relation="example-of",
        facts=facts,
        subject=graph.subject,
        right=right,
        doubtful=lambda fact: {
            each
            for own in right(fact)
            for each in (*graph.kin(own), *cwe.neighbours(own, "can-precede"), *cwe.neighbours(own, "can-follow"))
        },
        near=lambda fact: graph.near(fact.subject),
        show=lambda own: cwe[own].name,
        labels=True,
        choices=(
            'MITRE summarises {cve} as "{text}" Of which weakness is this an observed example?',
            'Which weakness does this vulnerability show? "{text}"',
        ),
        shorts=('Which weakness does this vulnerability show? "{text}"',),
        answer=lambda fact: f"{fact.slots['name']} ({fact.subject}).",
        short_facts=facts,
    )


def _terms(graph: WeaknessGraph) -> Generator:
    cwe = graph.cwe
    owners: dict[str, set[str]] = {}
    for each in cwe:
        for term, _ in each.terms:
            owners.setdefault(term.casefold(), set()).add(each.cwe_id)
    facts = [
        _fact(graph, each.cwe_id, each.cwe_id, term=term)
        for each in cwe
        for term, _ in each.terms
        if not mentions(each.name, term)
    ]
    return Generator(
        name="weakness-term",
        relation="term-of",
        facts=facts,
        subject=graph.subject,
        right=lambda fact: owners[fact.slots["term"].casefold()],
        doubtful=lambda fact: {
            *graph.kin(fact.subject),
            *(
                each.cwe_id
                for each in cwe
                if mentions(each.description, fact.slots["term"]) or mentions(each.name, fact.slots["term"])
            ),
        },
        near=lambda fact: graph.near(fact.subject),
        show=lambda own: cwe[own].name,
        labels=True,
        choices=('Which CWE entry is also known as "{term}"?', 'Under which CWE entry does MITRE list the term "{term}"?'),
        shorts=('Which CWE entry is meant by "{term}"?',),
        answer=lambda fact: f"{fact.slots['name']} ({fact.subject}).",
        short_facts=facts,
    )


def _closed_lists(graph: WeaknessGraph) -> Iterator[Generator]:
    """Questions whose options come from a list that CWE's schema closes."""
    cwe = graph.cwe

    def listed(
        name: str,
        values: Callable[[WeaknessText], Sequence[str]],
        choices: Sequence[str],
        shorts: Sequence[str],
        known: Sequence[str] = (),
        kin_too: bool = True,
    ) -> Generator:
        every = known or sorted({value for each in cwe for value in values(each)})
        return Generator(
            name=f"weakness-{name}",
            relation=name,
            facts=[_fact(graph, each.cwe_id, value) for each in cwe for value in values(each)],
            subject=graph.subject,
            right=lambda fact: values(cwe[fact.subject]),
            doubtful=lambda fact: (
                {value for each in graph.parents_and_children(fact.subject) for value in values(cwe[each])} if kin_too else ()
            ),
            near=lambda fact: [every],
            show=str,
            choices=choices,
            shorts=shorts,
            answer=lambda fact: join_names(values(cwe[fact.subject])) + ".",
        )

    yield listed(
        "impact",
        impacts_of,
        ("Which technical impact does CWE list for {name} ({id})?", "What can an attacker achieve through {id} ({name})?"),
        ("Which technical impacts does CWE list for {id} ({name})?", "What may be the consequences of {name}?"),
    )
    yield listed(
        "scope",
        lambda each: _real(scope for found in each.consequences for scope in found.scopes),
        ("Which security property does {name} ({id}) put at risk, according to CWE?", "{id} ({name}) affects which of these?"),
        ("Which security properties can {id} ({name}) affect?",),
    )
    yield listed(
        "phase",
        lambda each: each.phases,
        ("In which phase is {name} ({id}) introduced, according to CWE?",),
        ("In which phases of development can {id} ({name}) be introduced?",),
    )
    yield listed(
        "language",
        _languages,
        ("For which programming language does CWE list {name} ({id})?",),
        ("For which programming languages does CWE list {id} ({name})?",),
    )
    yield listed(
        "usage",
        lambda each: (each.usage,) if each.usage in _USAGES else (),
        (
            "May a vulnerability be mapped to {id} ({name})? Give MITRE's mapping usage.",
            "What does CWE's mapping note say about using {id} ({name}) for root cause mapping?",
        ),
        ("Is {id} ({name}) fit for mapping a vulnerability? State MITRE's usage.",),
        known=_USAGES,
        kin_too=False,
    )
    yield listed(
        "abstraction",
        lambda each: (each.abstraction,) if each.abstraction in _LEVELS else (),
        ("At which level of abstraction does CWE place {name} ({id})?",),
        ("Which level of abstraction does {id} ({name}) have in CWE?",),
        known=_LEVELS,
        kin_too=False,
    )


def _languages(weakness: WeaknessText) -> list[str]:
    """Return the languages of a weakness; none where a whole class is listed, for then any language of it is right."""
    names = [name for kind, name in weakness.platforms if kind == "Language"]
    whole_class = any(name.startswith("Not ") or "Compiled" in name or "Interpreted" in name for name in names)
    return [] if whole_class else [name for name in names if name.casefold() not in _VAGUE]


def _real(values: Iterator[str]) -> list[str]:
    return [value for value in dict.fromkeys(values) if value.casefold() not in _VAGUE]


def _texts(graph: WeaknessGraph) -> Iterator[Generator]:
    yield _listed_texts(
        graph,
        "mitigation",
        lambda each: [found.description for found in each.mitigations],
        ("Which measure does CWE recommend against {name} ({id})?", "How can a developer avoid {id} ({name})?"),
        ("How can {id} ({name}) be prevented?", "Which mitigations does CWE give for {name} ({id})?"),
    )
    yield _listed_texts(
        graph,
        "detection",
        lambda each: [f"{found.method}: {found.description}" for found in each.detections],
        ("Which way to find {name} ({id}) does CWE describe?",),
        ("How can {id} ({name}) be found?", "Which detection methods does CWE describe for {name} ({id})?"),
    )


def _listed_texts(
    graph: WeaknessGraph,
    name: str,
    texts: Callable[[WeaknessText], Sequence[str]],
    choices: Sequence[str],
    shorts: Sequence[str],
) -> Generator:
    """Questions about one of a weakness's lists of texts; the key of a text is ``CWE-79#0``."""
    cwe = graph.cwe
    whole = {f"{each.cwe_id}#{number}": text for each in cwe for number, text in enumerate(texts(each))}
    times = Counter(whole.values())
    shown = {key: first for key, text in whole.items() if times[text] <= 2 and len(first := summary(text, 240)) >= 30}
    keys: dict[str, list[str]] = {}
    for key in whole:
        keys.setdefault(key.partition("#")[0], []).append(key)

    def near(fact: Fact) -> list[list[str]]:
        return [[key for each in group for key in keys.get(each, ()) if key in shown] for group in graph.near(fact.subject)]

    def answer(fact: Fact) -> str:
        listed = [text for key in keys[fact.subject] if (text := summary(whole[key], 300))][:4]
        return listed[0] if len(listed) == 1 else "\n".join(f"- {text}" for text in listed)

    answered = [own for own, found in keys.items() if any(summary(whole[key], 300) for key in found)]
    return Generator(
        name=f"weakness-{name}",
        relation=name,
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
        short_facts=[_fact(graph, own, keys[own][0]) for own in answered],
    )
