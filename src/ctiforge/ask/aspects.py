"""What can be asked of an object, by its kind: the words that ask for it, and where in the graph the answer is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ctiforge.ask.objects import ObjectKind, PassageKind

__all__ = ["ASPECTS", "Aspect", "find_aspect", "kinds_with"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """One thing that can be asked. The answer is in one of `paths`, `passages`, `fact`.

    Attributes:
        name: in answers and results, e.g. ``mitigations``.
        words: that ask for it.
        says: the sentence, with ``{subject}`` and ``{list}``.
        noun: what the knowledge base does not state where there is none.
        paths: relations to follow from the object, one after the other; of several paths all ends count.
        wanted: kinds of the ends; empty for all.
        passages: the passages of the object that answer, and how their heading begins after the object.
        fact: a property of the object: ``platforms``, ``aliases``, ``tactics``, ``created``, or the label of a fact.
    """

    name: str
    words: re.Pattern[str]
    says: str
    noun: str
    paths: tuple[tuple[str, ...], ...] = ()
    wanted: tuple[ObjectKind, ...] = ()
    passages: tuple[PassageKind, str] | None = None
    fact: str = ""


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


_MITIGATE: Final = _words(
    r"mitigat\w*|prevent\w*|counter(?:measure)?s?|protect\w*|defend\w*|defen[cs]es?|remed\w+|harden\w*|fix(?:es|ed)?|stop\w*|"
    r"avoid\w*|block\w*|safeguards?|against"
)
_DETECT: Final = _words(r"detect\w*|hunt\w*|spot\w*|identif\w+|monitor\w*|recogni[sz]e\w*|noticed?|find")
_COMPONENTS: Final = _words(r"data[- ]?(?:source|component)s?|telemetry|logs?|log sources?|logged|sensors?|events?")
_ANALYTICS: Final = _words(r"analytics?")
_PARENTS: Final = _words(
    r"parents?|of what\b.* child|(?:child|sub-?technique|variant) of(?= (?:what|which)|\s*\W*$)|ancestors?|broader|more "
    r"general|above"
)
_CHILDREN: Final = _words(r"sub-?techniques?|child(?:ren)?|parent of|narrower|more specific|variants?|below")
_GROUPS: Final = _words(r"groups?|actors?|apts?|intrusion sets?|who")
_SOFTWARE: Final = _words(r"software|malware|tools?|programs?|ransomware|famil(?:y|ies)|trojans?")
_CAMPAIGNS: Final = _words(r"campaigns?|operations?|intrusions?")
_TECHNIQUES: Final = _words(r"techniques?|ttps?|methods?|behaviou?rs?|tradecraft|att&?ck")
_PATTERNS: Final = _words(r"capecs?|attack patterns?|patterns?")
_WEAKNESSES: Final = _words(r"cwes?|weakness(?:es)?|root causes?")
_PLATFORMS: Final = _words(r"platforms?|operating systems?|os|oses|systems|run on|runs on")
_ALIASES: Final = _words(r"alias(?:es)?|also known|other names?|called|aka|alternate (?:terms?|names?)|synonyms?|known as")
_USES: Final = _words(r"uses?|used|using|relies|employs?")
_PRECEDE: Final = _words(r"precedes?|leads? to|lead|next|enables?|causes|comes after")
_FOLLOW: Final = _words(r"follows?|preceded by|before|result(?:s)? from|caused by|comes before")
_PEERS: Final = _words(r"peers?|related|similar")
_CONSEQUENCES: Final = _words(r"consequences?|impacts?|happens?|effects?|risks?|harm|outcomes?")
_WHEN: Final = _words(r"when|published|created|dates?|first seen|last seen|first|since")
_CREATED: Final = Aspect(
    name="date",
    words=_words(r"published|created|added|dates?"),
    says="{subject} was added to its source on {list}.",
    noun="day",
    fact="created",
)


def _hop(
    name: str, words: re.Pattern[str], says: str, *paths: str, wanted: tuple[ObjectKind, ...] = (), noun: str = ""
) -> Aspect:
    """An answer at the end of relations; each path is their names with spaces between."""
    return Aspect(
        name=name, words=words, says=says, noun=noun or name, paths=tuple(tuple(each.split()) for each in paths), wanted=wanted
    )


def _texts(name: str, words: re.Pattern[str], kind: PassageKind, heading: str = "", noun: str = "") -> Aspect:
    return Aspect(name=name, words=words, says="", noun=noun or name, passages=(kind, heading))


def _fact(name: str, words: re.Pattern[str], says: str, label: str) -> Aspect:
    return Aspect(name=name, words=words, says=says, noun=name, fact=label)


_USED_BY: Final = (
    _hop("groups", _GROUPS, "{subject} is used by {list}.", "used-by", wanted=("group",)),
    _hop("software", _SOFTWARE, "{subject} is used by {list}.", "used-by", wanted=("software",)),
    _hop("campaigns", _CAMPAIGNS, "{subject} was used in {list}.", "used-by", wanted=("campaign",)),
)
_HAS_ALIASES: Final = _fact("aliases", _ALIASES, "{subject} is also called {list}.", "aliases")
_HAS_PLATFORMS: Final = _fact("platforms", _PLATFORMS, "{subject} applies to {list}.", "platforms")
_LOGS_OF: Final = "detected-by has-analytic reads"

_TECHNIQUE: Final = (
    _hop(
        "data components", _COMPONENTS, "{subject} can be detected from {list}.", _LOGS_OF, noun="data components to detect it"
    ),
    _hop("analytics", _ANALYTICS, "{subject} is detected by {list}.", "detected-by has-analytic"),
    _hop("parents", _PARENTS, "{subject} is a sub-technique of {list}.", "subtechnique-of", noun="parent technique"),
    _hop("sub-techniques", _CHILDREN, "{subject} has the sub-techniques {list}.", "has-subtechnique"),
    _hop("tactics", _words(r"tactics?|phases?"), "{subject} belongs to {list}.", "in-tactic"),
    _HAS_PLATFORMS,
    _hop("mitigations", _MITIGATE, "{subject} is mitigated by {list}.", "mitigated-by"),
    *_USED_BY,
    _hop("attack patterns", _PATTERNS, "{subject} corresponds to {list}.", "same-as-pattern"),
    _hop(
        "weaknesses", _WEAKNESSES, "{subject} corresponds to attack patterns that exploit {list}.", "same-as-pattern exploits"
    ),
    _hop("assets", _words(r"assets?|targets?"), "{subject} targets {list}.", "targets"),
    _hop("detection strategies", _DETECT, "{subject} is detected by {list}.", "detected-by"),
    _CREATED,
    _hop("procedures", _words(r"used|uses|examples?|procedures?|in the wild|seen"), "{subject} is used by {list}.", "used-by"),
)
_GROUP: Final = (
    _hop("campaigns", _CAMPAIGNS, "{subject} is behind {list}.", "has-campaign"),
    _hop("software", _SOFTWARE, "{subject} uses {list}.", "uses", wanted=("software",)),
    _hop("techniques", _TECHNIQUES, "{subject} uses {list}.", "uses", wanted=("technique",)),
    _HAS_ALIASES,
    _CREATED,
    _hop("techniques", _USES, "{subject} uses {list}.", "uses"),
)
_SOFTWARE_KIND: Final = (
    *(each for each in _USED_BY if each.name != "software"),
    _hop("techniques", _TECHNIQUES, "{subject} uses {list}.", "uses", wanted=("technique",)),
    _HAS_PLATFORMS,
    _HAS_ALIASES,
    _CREATED,
    _fact("type", _words(r"type|kind|malware or|tool or"), "{subject} is {list}.", "type"),
    _hop("users", _words(r"used|users?"), "{subject} is used by {list}.", "used-by"),
    _hop("techniques", _USES, "{subject} uses {list}.", "uses", wanted=("technique",)),
)
_CAMPAIGN: Final = (
    _hop("groups", _words(rf"{_GROUPS.pattern}|attribut\w*|behind"), "{subject} is attributed to {list}.", "attributed-to"),
    _hop("software", _SOFTWARE, "{subject} used {list}.", "uses", wanted=("software",)),
    _hop("techniques", _TECHNIQUES, "{subject} used {list}.", "uses", wanted=("technique",)),
    _fact("last seen", _words(r"last seen|end(?:ed)?|over"), "{subject} was last seen on {list}.", "last seen"),
    _fact("first seen", _WHEN, "{subject} was first seen on {list}.", "first seen"),
    _HAS_ALIASES,
    _hop("techniques", _USES, "{subject} used {list}.", "uses"),
)
_MITIGATION: Final = (
    _hop("techniques", _words(rf"{_TECHNIQUES.pattern}|{_MITIGATE.pattern}|address\w*|help\w*"),
         "{subject} mitigates {list}.", "mitigates"),
)  # fmt: skip
_TACTIC: Final = (
    _hop("techniques", _words(rf"{_TECHNIQUES.pattern}|achieve\w*"), "{subject} has the techniques {list}.", "has-technique"),
)
_ASSET: Final = (
    _hop("techniques", _words(rf"{_TECHNIQUES.pattern}|target\w*|attack\w*|threaten\w*"), "{subject} is targeted by {list}.",
         "targeted-by"),
    _HAS_PLATFORMS,
)  # fmt: skip
_DATA_COMPONENT: Final = (
    _texts("log sources", _words(r"log\w*|channels?|events?|where|sources?"), "detection", "Log sources"),
    _hop("data sources", _words(r"data sources?|component of|belongs?"), "{subject} is a component of {list}.", "component-of"),
    _hop("techniques", _words(rf"{_TECHNIQUES.pattern}|{_DETECT.pattern}|show\w*|reveal\w*|see"),
         "{subject} helps to detect {list}.", "read-by analytic-of detects"),
)  # fmt: skip
_DETECTION_STRATEGY: Final = (
    _hop("analytics", _ANALYTICS, "{subject} has {list}.", "has-analytic"),
    _hop("data components", _COMPONENTS, "{subject} reads {list}.", "has-analytic reads"),
    _hop("techniques", _words(rf"{_TECHNIQUES.pattern}|{_DETECT.pattern}"), "{subject} detects {list}.", "detects"),
)
_ANALYTIC: Final = (
    _hop("data components", _COMPONENTS, "{subject} reads {list}.", "reads"),
    _HAS_PLATFORMS,
    _hop("techniques", _words(rf"{_TECHNIQUES.pattern}|{_DETECT.pattern}"), "{subject} detects {list}.", "analytic-of detects"),
    _hop("detection strategies", _words(r"strateg\w+|belongs?|part"), "{subject} belongs to {list}.", "analytic-of"),
)
_ATTACK_PATTERN: Final = (
    _hop("parents", _PARENTS, "{subject} is a child of {list}.", "child-of", noun="parent"),
    _hop("children", _CHILDREN, "{subject} is the parent of {list}.", "parent-of"),
    _texts("mitigations", _MITIGATE, "mitigation"),
    _hop("weaknesses", _words(rf"{_WEAKNESSES.pattern}|exploits?|exploited"), "{subject} exploits {list}.", "exploits"),
    _hop("techniques", _TECHNIQUES, "{subject} corresponds to {list}.", "same-as-technique"),
    _fact("severity", _words(r"severity|severe|serious"), "The typical severity of {subject} is {list}.", "typical severity"),
    _fact("likelihood", _words(r"likelihood|likely"), "The likelihood of {subject} is {list}.", "likelihood of attack"),
    _fact("abstraction", _words(r"abstraction|level"), "{subject} has the abstraction {list}.", "abstraction"),
    _texts("prerequisites", _words(r"prerequisites?|skills?|resources?|needs?|needed|requires?|required"), "procedure",
           "Prerequisites"),
    _texts("consequences", _CONSEQUENCES, "consequence"),
    _hop("can precede", _PRECEDE, "{subject} can precede {list}.", "can-precede", noun="attack patterns that it can precede"),
    _hop("can follow", _FOLLOW, "{subject} can follow {list}.", "can-follow", noun="attack patterns that it can follow"),
    _texts("examples", _words(r"examples?|instances?"), "example"),
    _HAS_ALIASES,
    _CREATED,
)  # fmt: skip
_WEAKNESS: Final = (
    _fact("likelihood", _words(r"likelihood|how likely"), "The likelihood of exploit of {subject} is {list}.",
          "likelihood of exploit"),
    _hop("parents", _PARENTS, "{subject} is a child of {list}.", "child-of", noun="parent"),
    _hop("children", _CHILDREN, "{subject} is the parent of {list}.", "parent-of"),
    _fact("mapping usage", _words(r"mapping|map|mapped|usage|allowed|discouraged|prohibited"),
          "The mapping usage of {subject} is {list}.", "mapping usage"),
    _texts("mitigations", _MITIGATE, "mitigation"),
    _hop("attack patterns", _words(rf"{_PATTERNS.pattern}|exploit(?:s|ed|ing)?|attacks?|attacked"),
         "{subject} is exploited by {list}.", "exploited-by"),
    _texts("detection methods", _DETECT, "detection"),
    _hop("vulnerabilities", _words(r"cves?|vulnerabilit(?:y|ies)|observed|real[- ]world|examples?"),
         "{subject} was seen in {list}.", "observed-in", "weakness-of", noun="examples"),
    _texts("consequences", _CONSEQUENCES, "consequence"),
    _fact("abstraction", _words(r"abstraction|level|pillar|class|base"), "{subject} has the abstraction {list}.",
          "abstraction"),
    _fact("platforms", _words(r"languages?|platforms?|technolog\w+|systems"), "{subject} applies to {list}.", "platforms"),
    _fact("phases", _words(r"phases?|introduc\w+|lifecycle"), "{subject} is introduced in {list}.", "introduced in"),
    _hop("techniques", _TECHNIQUES, "{subject} is exploited by attack patterns that correspond to {list}.",
         "exploited-by same-as-technique"),
    _hop("can precede", _PRECEDE, "{subject} can precede {list}.", "can-precede", noun="weaknesses that it can precede"),
    _hop("can follow", _FOLLOW, "{subject} can follow {list}.", "can-follow", noun="weaknesses that it can follow"),
    _hop("requires", _words(r"requires?|composed|consists?|composite"), "{subject} requires {list}.", "requires"),
    _hop("peers", _PEERS, "{subject} is a peer of {list}.", "peer-of"),
    _HAS_ALIASES,
    _CREATED,
)  # fmt: skip
_VULNERABILITY: Final = (
    _hop("weaknesses", _words(rf"{_WEAKNESSES.pattern}|classif\w+|type|kind|behind"), "{subject} has {list}.",
         "has-weakness", "example-of", noun="weakness"),
    _hop("attack patterns", _PATTERNS, "{subject} has weaknesses that {list} exploit.",
         "has-weakness exploited-by", "example-of exploited-by"),
    _fact("known exploited", _words(r"kev|exploited|exploitation"), "{subject} is known to be exploited since {list}.",
          "known exploited since"),
    Aspect(name="date", words=_WHEN, says="{subject} was published on {list}.", noun="day of publication", fact="created"),
)  # fmt: skip

ASPECTS: Final[Mapping[ObjectKind, tuple[Aspect, ...]]] = MappingProxyType(
    {
        "technique": _TECHNIQUE,
        "weakness": _WEAKNESS,
        "group": _GROUP,
        "software": _SOFTWARE_KIND,
        "campaign": _CAMPAIGN,
        "mitigation": _MITIGATION,
        "tactic": _TACTIC,
        "asset": _ASSET,
        "data-source": (_hop("data components", _words(r"components?"), "{subject} has {list}.", "has-component"),),
        "data-component": _DATA_COMPONENT,
        "detection-strategy": _DETECTION_STRATEGY,
        "analytic": _ANALYTIC,
        "attack-pattern": _ATTACK_PATTERN,
        "vulnerability": _VULNERABILITY,
        "document": (),
    }
)
"""What can be asked of each kind, in the order in which words are looked for; kinds in the order in which a name of several
kinds is taken."""


def find_aspect(kind: ObjectKind, text: str) -> Aspect | None:
    """Return the first aspect of an object of this kind that the words of `text` ask for, or None."""
    return next((each for each in ASPECTS[kind] if each.words.search(text)), None)


def kinds_with(text: str) -> tuple[ObjectKind, ...]:
    """Return the kinds of objects that have something the words of `text` ask for, the likeliest first."""
    return tuple(kind for kind in ASPECTS if find_aspect(kind, text) is not None)
