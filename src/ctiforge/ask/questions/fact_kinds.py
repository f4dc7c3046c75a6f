"""Questions about properties with a closed list of values: platforms, likelihoods, severities, phases, abstractions, types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from ctiforge.ask.objects import KnowledgeObject
from ctiforge.ask.questions.catalogue import Catalogue
from ctiforge.ask.questions.question import Draft
from ctiforge.ask.questions.wording import short_name

__all__ = ["draft_facts"]

_FACTS: Final = {
    ("weakness", "likelihood of exploit"): (
        "What is the likelihood of exploit of {id} ({name})?", "How likely is the exploitation of {name}, according to CWE?",
    ),
    ("weakness", "introduced in"): (
        "In which phase is {name} ({id}) typically introduced?", "During which phase of the life cycle may {id} arise?",
    ),
    ("weakness", "abstraction"): ("At which level of abstraction does CWE place {id} ({name})?",),
    ("weakness", "mapping usage"): ("May vulnerabilities be mapped to {id} ({name}), according to its mapping notes?",),
    ("attack-pattern", "likelihood of attack"): (
        "What is the likelihood of attack of {id} ({name})?", "How likely is an attack by {name}, according to CAPEC?",
    ),
    ("attack-pattern", "typical severity"): (
        "What is the typical severity of {id} ({name})?", "How severe is {name} typically, according to CAPEC?",
    ),
    ("attack-pattern", "abstraction"): ("At which level of abstraction does CAPEC place {id} ({name})?",),
    ("software", "type"): ("What type of software is {name} ({id})?",),
}  # fmt: skip
_PLATFORMS: Final = (
    "On which platform can {name} ({id}) be used?", "Which of the following platforms is affected by {short} ({id})?",
    "{short} applies to which of these platforms?",
)  # fmt: skip
_NO_PLATFORMS: Final = (
    "Which of the following is NOT a platform of {name} ({id})?",
    "{short} is listed for all of these platforms EXCEPT:",
)
_SCALES: Final = {
    "likelihood of exploit": ("Low", "Medium", "High", "Unknown", "None"),
    "likelihood of attack": ("Low", "Medium", "High", "Unknown", "None"),
    "typical severity": ("Very Low", "Low", "Medium", "High", "Very High"),
}
_SHARE_TURNED: Final = 0.4


def draft_facts(catalogue: Catalogue, subject: KnowledgeObject, rng: Random) -> Iterator[Draft]:
    """Yield one question about each fact with a closed list of values."""
    slots = {"name": subject.name, "short": short_name(subject.name), "id": subject.id}
    support = (f"{subject.id}#facts.0",)
    for label, value in subject.facts:
        stems = _FACTS.get((subject.kind, label))
        if stems is None:
            continue
        own = value.split(", ")
        right = rng.choice(own)
        others = [each for each in _values(catalogue, subject.kind, label) if each not in own]
        why = f"{subject.name} ({subject.id}): {label} is {value}."
        yield Draft(
            f"{subject.kind}-{label.replace(' ', '-')}", rng.choice(stems).format(**slots), right, [others], support, 2, why
        )
    if subject.kind == "technique" and subject.platforms:
        yield _platforms(catalogue, subject, slots, rng)


def _values(catalogue: Catalogue, kind: str, label: str) -> Sequence[str]:
    if label in _SCALES:
        return _SCALES[label]
    every = (
        value for each in catalogue.by_kind[kind] for name, held in each.facts if name == label for value in held.split(", ")
    )
    return list(dict.fromkeys(every))


def _platforms(catalogue: Catalogue, subject: KnowledgeObject, slots: dict[str, str], rng: Random) -> Draft:
    own = list(subject.platforms)
    domains = set(subject.domains)
    every = [p for each in catalogue.by_kind["technique"] if domains & set(each.domains) for p in each.platforms]
    others = [each for each in dict.fromkeys(every) if each not in own]
    why = f"{subject.name} ({subject.id}) is listed for {', '.join(own)}."
    support = (f"{subject.id}#facts.0",)
    if len(own) >= 3 and others and rng.random() < _SHARE_TURNED:
        stem = rng.choice(_NO_PLATFORMS).format(**slots)
        return Draft("not-platform", stem, rng.choice(others), [own], support, 3, why)
    return Draft("platform", rng.choice(_PLATFORMS).format(**slots), rng.choice(own), [others], support, 1, why)
