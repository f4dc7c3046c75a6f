"""Questions about CVE records: the weakness behind one, its impact, the attack it opens the way to, the attack vector."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ctiforge.core.advisory import Advisory
from ctiforge.core.files import sha256
from ctiforge.core.ids import find_cwe_ids, parse_cve_id
from ctiforge.corpus.qa.cwe_weaknesses import impacts_of
from ctiforge.corpus.qa.question import Fact, Generator, Subject
from ctiforge.corpus.qa.weakness_graph import WeaknessGraph
from ctiforge.corpus.qa.wording import closed, join_names
from ctiforge.sources.capec import CapecCatalogue

__all__ = ["record_generators"]

_SHORTEST, _LONGEST = 60, 700
_VECTORS: Final = {"N": "Network", "A": "Adjacent", "L": "Local", "P": "Physical"}
_ATTACK_VECTOR = re.compile(r"(?:^|/)AV:([NALP])(?=/|$)")


def record_generators(
    advisories: Sequence[Advisory], licence: str, weaknesses: WeaknessGraph | None, capec: CapecCatalogue | None
) -> Iterator[Generator]:
    """Yield the generators; those about weaknesses are left out where CWE was not given.

    A record is asked about where its description has 60 to 700 characters. The weakness is asked about where all
    parties together name exactly one, the description does not, and MITRE does not discourage or prohibit mapping to it.
    """
    told = {
        each.id: each
        for each in advisories
        if parse_cve_id(each.id) == each.id and _SHORTEST <= len(each.description) <= _LONGEST
    }

    def subject(cve_id: str) -> Subject:
        each = told[cve_id]
        return Subject(cve_id, each.source.path, sha256(each.description.encode()), licence, each.published[:10])

    yield _attack_vector(told, subject)
    if weaknesses is not None:
        yield from _weaknesses(told, subject, weaknesses, capec)


def _fact(each: Advisory, value: str) -> Fact:
    return Fact(each.id, value, {"id": each.id, "text": closed(" ".join(each.description.split()))})


def _attack_vector(told: dict[str, Advisory], subject: Callable[[str], Subject]) -> Generator:
    found: dict[str, str] = {}
    for each in told.values():
        seen = {m[1] for score in each.cvss if score.version.startswith("3") and (m := _ATTACK_VECTOR.search(score.vector))}
        if len(seen) == 1:
            found[each.id] = _VECTORS[seen.pop()]
    return Generator(
        name="cve-attack-vector",
        relation="attack-vector",
        facts=[_fact(told[own], value) for own, value in found.items()],
        subject=subject,
        right=lambda fact: (found[fact.subject],),
        near=lambda fact: [tuple(_VECTORS.values())],
        show=str,
        choices=(
            'Which CVSS 3 attack vector does this vulnerability have? "{text}"',
            "{text} From where can {id} be attacked, in the terms of CVSS 3?",
        ),
        shorts=('Give the CVSS 3 attack vector of this vulnerability: "{text}"',),
        answer=lambda fact: found[fact.subject] + ".",
    )


def _weaknesses(
    told: dict[str, Advisory], subject: Callable[[str], Subject], graph: WeaknessGraph, capec: CapecCatalogue | None
) -> Iterator[Generator]:
    cwe = graph.cwe
    behind: dict[str, str] = {}
    for each in told.values():
        assigned = {weakness.cwe_id for weakness in each.weaknesses if weakness.cwe_id}
        if len(assigned) != 1 or find_cwe_ids(each.description):
            continue
        only = assigned.pop()
        if only in cwe and cwe[only].usage not in ("Discouraged", "Prohibited"):
            behind[each.id] = only
    facts = [_fact(told[own], value) for own, value in behind.items()]

    def too_near(fact: Fact) -> set[str]:
        own = behind[fact.subject]
        return {*graph.kin(own), *cwe.neighbours(own, "can-precede"), *cwe.neighbours(own, "can-follow")}

    yield Generator(
        name="cve-weakness",
        relation="weakness",
        facts=facts,
        subject=subject,
        right=lambda fact: (behind[fact.subject],),
        doubtful=too_near,
        near=lambda fact: graph.near(fact.value),
        show=lambda own: cwe[own].name,
        labels=True,
        choices=(
            'Which weakness is the root cause of this vulnerability? "{text}"',
            "{text} To which CWE entry was {id} mapped?",
            'Map this advisory to a weakness: "{text}"',
        ),
        shorts=('Which weakness was {id} mapped to, and what is its CWE ID? "{text}"',),
        answer=lambda fact: f"{cwe[fact.value].name} ({fact.value}).",
    )
    yield Generator(
        name="cve-impact",
        relation="weakness-impact",
        facts=[Fact(f.subject, impact, f.slots) for f in facts for impact in impacts_of(cwe[behind[f.subject]])],
        subject=subject,
        right=lambda fact: impacts_of(cwe[behind[fact.subject]]),
        doubtful=lambda fact: {i for each in graph.kin(behind[fact.subject]) for i in impacts_of(cwe[each])},
        near=lambda fact: [sorted({impact for each in cwe for impact in impacts_of(each)})],
        show=str,
        choices=(
            "{text} Which technical impact does CWE list for the weakness behind {id}?",
            'Which consequence does the weakness behind this vulnerability have, according to CWE? "{text}"',
        ),
        shorts=('Which technical impacts does CWE list for the weakness behind {id}? "{text}"',),
        answer=lambda fact: (
            f"{cwe[behind[fact.subject]].name} ({behind[fact.subject]}): {join_names(impacts_of(cwe[behind[fact.subject]]))}."
        ),
    )
    if capec is not None:
        yield _attack_patterns(behind, facts, subject, graph, capec)


def _attack_patterns(
    behind: dict[str, str],
    facts: Sequence[Fact],
    subject: Callable[[str], Subject],
    graph: WeaknessGraph,
    capec: CapecCatalogue,
) -> Generator:
    """The chain CVE to CWE to CAPEC."""

    def patterns(cwe_id: str) -> list[str]:
        found = [*capec.neighbours(cwe_id, "exploited-by"), *graph.cwe.neighbours(cwe_id, "exploited-by")]
        return [each for each in dict.fromkeys(found) if each in capec]

    def right(fact: Fact) -> list[str]:
        return patterns(behind[fact.subject])

    def kin(fact: Fact) -> set[str]:
        own = right(fact)
        related = {other for each in own for way in ("child-of", "parent-of") for other in capec.neighbours(each, way)}
        return related | {each for kin in graph.kin(behind[fact.subject]) for each in patterns(kin)}

    return Generator(
        name="cve-attack-pattern",
        relation="weakness-exploited-by",
        facts=[Fact(f.subject, pattern, f.slots) for f in facts for pattern in patterns(behind[f.subject])],
        subject=subject,
        right=right,
        doubtful=kin,
        near=lambda fact: [
            [s for parent in capec.neighbours(fact.value, "child-of") for s in capec.neighbours(parent, "parent-of")],
            [each.id for each in capec if each.abstraction == capec[fact.value].abstraction],
        ],
        show=lambda own: capec[own].name,
        labels=True,
        choices=(
            "{text} Which CAPEC attack pattern exploits the weakness behind {id}?",
            'Which attack pattern does the weakness in this advisory open the way to? "{text}"',
        ),
    )
