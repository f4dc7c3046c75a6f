"""Questions with what answers them, made from a knowledge base; and questions that no such knowledge base can answer."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ctiforge.ask import KnowledgeBase, KnowledgeObject, ObjectKind, Passage
from ctiforge.ask.passages import split_sentences

__all__ = ["OFF_TOPIC", "AskedQuestion", "generate_questions"]


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question, what it asks for, and what has to be in the answer.

    Attributes:
        aspect: as `Answer.aspect` names it; ``text`` for free text.
        subject: identifier of the object that it is about; of free text the object whose passage it was made from.
        listed: identifiers that a structured answer must list, exactly; empty where the answer is words.
        by_name: the object is named, not given by its identifier.
    """

    text: str
    aspect: str
    subject: str
    listed: frozenset[str] = frozenset()
    by_name: bool = False


_STRUCTURED: tuple[tuple[ObjectKind, str, str, ObjectKind | None, tuple[str, ...]], ...] = (
    ("technique", "mitigations", "mitigated-by", None, ("Which mitigations fit {}?", "How can {} be prevented?")),
    ("technique", "groups", "used-by", "group", ("Which groups use {}?", "Who has used {}?")),
    ("technique", "software", "used-by", "software", ("Which software uses {}?", "What malware is known for {}?")),
    ("technique", "tactics", "in-tactic", None, ("Which tactic does {} belong to?", "tactic of {}")),
    ("technique", "sub-techniques", "has-subtechnique", None, ("What are the sub-techniques of {}?",)),
    ("technique", "parents", "subtechnique-of", None, ("What is the parent technique of {}?",)),
    ("technique", "detection strategies", "detected-by", None, ("How is {} detected?",)),
    ("technique", "attack patterns", "same-as-pattern", None, ("Which CAPEC entry corresponds to {}?",)),
    ("group", "techniques", "uses", "technique", ("Which techniques does {} use?", "techniques of {}")),
    ("group", "software", "uses", "software", ("Which software does {} use?", "What tools does {} use?")),
    ("software", "groups", "used-by", "group", ("Which groups use {}?",)),
    ("software", "techniques", "uses", "technique", ("Which techniques does {} use?",)),
    ("campaign", "groups", "attributed-to", None, ("Which group is {} attributed to?",)),
    ("mitigation", "techniques", "mitigates", None, ("Which techniques does {} mitigate?",)),
    ("tactic", "techniques", "has-technique", None, ("Which techniques does {} have?",)),
    ("asset", "techniques", "targeted-by", None, ("Which techniques target {}?",)),
    ("analytic", "data components", "reads", None, ("Which data components does {} read?",)),
    ("detection-strategy", "techniques", "detects", None, ("What does {} detect?",)),
    ("attack-pattern", "weaknesses", "exploits", None, ("Which CWEs does {} exploit?",)),
    ("attack-pattern", "parents", "child-of", None, ("What is the parent of {}?",)),
    ("attack-pattern", "techniques", "same-as-technique", None, ("Which ATT&CK technique matches {}?",)),
    ("weakness", "attack patterns", "exploited-by", None, ("Which CAPEC attack patterns exploit {}?",)),
    ("weakness", "parents", "child-of", None, ("What is the parent of {}?", "Of what is {} a child?")),
    ("weakness", "children", "parent-of", None, ("What are the children of {}?",)),
    ("weakness", "vulnerabilities", "observed-in", None, ("Which CVEs are examples of {}?",)),
    ("vulnerability", "weaknesses", "example-of", None, ("Which CWE does {} have?",)),
)
_WORDS_ONLY: tuple[tuple[ObjectKind, str, tuple[str, ...]], ...] = (
    ("technique", "definition", ("What is {}?", "Explain {}")),
    ("weakness", "definition", ("What is {}?", "Define {}")),
    ("attack-pattern", "definition", ("What is {}?",)),
    ("group", "definition", ("Who is {}?",)),
    ("software", "definition", ("What is {}?",)),
    ("weakness", "mitigations", ("How can {} be mitigated?",)),
    ("weakness", "consequences", ("What are the consequences of {}?",)),
    ("weakness", "mapping usage", ("Is {} allowed for mapping?",)),
    ("attack-pattern", "mitigations", ("What helps against {}?",)),
    ("technique", "platforms", ("Which platforms does {} affect?",)),
)
_BY_NAME = frozenset(("technique", "group", "software", "campaign", "attack-pattern"))
_DATA_COMPONENTS = ("Which data components show {}?", "Which data source can detect {}?")
_NOISE = (
    "", "", "our auditors asked: ", "for a ticket of a colleague, ", "quick question before lunch, ", "in a hospital "
    "like ours, ",
    "hello, ", "since yesterday I wonder, ", "for the weekly newsletter, ",
)  # fmt: skip
_CLAUSES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("description", re.compile(r"^Adversaries (?:may|can|might) (?:also )?(\w+ [^.;:(]{30,150})"), "how do adversaries {}?"),
    ("description", re.compile(r"^The product ((?!does not\b)\w+ [^.;:(]{30,150})"), "which weakness is it when a product {}?"),
    ("description", re.compile(r"^An? (?:adversary|attacker) (\w+ [^.;:(]{30,150})"), "which attack is it when somebody {}?"),
    ("procedure", re.compile(r"^[A-Z][\w ]{2,30} (?:has|have|can|will) (\w+ [^.;:(]{30,150})"), "what is known to have {}?"),
    ("mitigation", re.compile(r"^((?:Use|Limit|Ensure|Consider|Restrict|Configure|Disable|Monitor) [^.;:(]{30,150})"),
     "should one {}, and against what?"),
    ("detection", re.compile(r"^(?:Detects|Monitors?|Correlates?) ([^.;:(]{30,150})"), "what is detected by watching {}?"),
)  # fmt: skip


def generate_questions(base: KnowledgeBase, count: int, seed: int) -> list[AskedQuestion]:
    """Return `count` questions: three in five about relations and facts, the others in free text; the same for the same
    seed."""
    rng = random.Random(seed)
    by_kind: dict[ObjectKind, list[KnowledgeObject]] = {}
    for each in base:
        by_kind.setdefault(each.kind, []).append(each)
    makers = [*_relation_makers(base, by_kind, rng), *_fact_makers(base, by_kind, rng)]
    free = count * 2 // 5
    found: dict[str, AskedQuestion] = {}
    turn = 0
    while len(found) < count - free:
        made = next(makers[turn % len(makers)])
        found.setdefault(made.text, made)
        turn += 1
    for made in _free_text(base, rng):
        if len(found) == count:
            break
        found.setdefault(made.text, made)
    return list(found.values())


def _called(base: KnowledgeBase, each: KnowledgeObject, rng: random.Random) -> tuple[str, bool]:
    """Return what the question calls the object: its identifier, or its name where no other object has it."""
    names = base.named(each.name)
    by_name = each.kind in _BY_NAME and len(names) == 1 and rng.random() < 0.5 and len(each.name.split()) > 1
    return (each.name, True) if by_name else (each.id, False)


def _relation_makers(
    base: KnowledgeBase, by_kind: dict[ObjectKind, list[KnowledgeObject]], rng: random.Random
) -> list[Iterator[AskedQuestion]]:
    def make(
        kind: ObjectKind, aspect: str, relation: str, wanted: ObjectKind | None, wordings: Sequence[str]
    ) -> Iterator[AskedQuestion]:
        while True:
            each = rng.choice(by_kind[kind])
            others = [one.other for one in base.neighbours(each.id, relation)]
            kept = frozenset(one for one in others if wanted is None or ((held := base.get(one)) and held.kind == wanted))
            if kept:
                called, by_name = _called(base, each, rng)
                yield AskedQuestion(rng.choice(wordings).format(called), aspect, each.id, kept, by_name)

    def components() -> Iterator[AskedQuestion]:
        while True:
            each = rng.choice(by_kind["technique"])
            kept = frozenset(
                read.other
                for strategy in base.neighbours(each.id, "detected-by")
                for analytic in base.neighbours(strategy.other, "has-analytic")
                for read in base.neighbours(analytic.other, "reads")
            )
            if kept:
                called, by_name = _called(base, each, rng)
                yield AskedQuestion(rng.choice(_DATA_COMPONENTS).format(called), "data components", each.id, kept, by_name)

    def differences() -> Iterator[AskedQuestion]:
        while True:
            parent = rng.choice(by_kind["weakness"])
            children = [one.other for one in base.neighbours(parent.id, "parent-of")]
            if len(children) > 1:
                first, second = rng.sample(children, 2)
                text = f"What is the difference between {first} and {second}?"
                yield AskedQuestion(text, "difference", first, frozenset((first, second)))

    related = [make(*each) for each in _STRUCTURED if by_kind.get(each[0])]
    return [*related, components(), differences()] if by_kind.get("technique") else [*related, differences()]


def _fact_makers(
    base: KnowledgeBase, by_kind: dict[ObjectKind, list[KnowledgeObject]], rng: random.Random
) -> list[Iterator[AskedQuestion]]:
    def make(kind: ObjectKind, aspect: str, wordings: Sequence[str]) -> Iterator[AskedQuestion]:
        kinds = {"mitigations": "mitigation", "consequences": "consequence"}
        while True:
            each = rng.choice(by_kind[kind])
            has = aspect not in kinds or any(one.kind == kinds[aspect] for one in base.passages_of(each.id))
            if each.text and has and (aspect != "platforms" or each.platforms):
                called, by_name = _called(base, each, rng)
                yield AskedQuestion(rng.choice(wordings).format(called), aspect, each.id, by_name=by_name)

    return [make(*each) for each in _WORDS_ONLY if by_kind.get(each[0])]


def _free_text(base: KnowledgeBase, rng: random.Random) -> Iterator[AskedQuestion]:
    """Yield questions made from the clauses of passages: the words of a clause, some left out, inside another sentence."""
    ids = [each for each in base.ids if not each.startswith("CVE-")]
    while True:
        passages = base.passages_of(rng.choice(ids))
        for passage in rng.sample(passages, min(4, len(passages))):
            if made := _ask_clause(passage, rng):
                yield AskedQuestion(made, "text", passage.object_id)
                break


def _ask_clause(passage: Passage, rng: random.Random) -> str:
    sentence = next(iter(split_sentences(passage.text.split("\n")[0])), "")
    for kind, pattern, wording in _CLAUSES:
        if passage.kind == kind and (match := pattern.match(sentence)):
            if kind == "procedure" and rng.random() < 0.5:  # short ones, as people type them
                name = re.split(r" (?:has|have|can|will) ", sentence)[0]
                return f"how does {name} {' '.join(match[1].split()[:4])}?"
            words = match[1].split()[:14]
            kept = [word for i, word in enumerate(words) if i == 0 or rng.random() > 0.2]
            clause = " ".join(kept).rstrip(",")
            return rng.choice(_NOISE) + wording.format(clause[0].lower() + clause[1:])
    return ""


OFF_TOPIC: tuple[str, ...] = tuple(
    line
    for line in """\
What is the capital of France?
How do I bake a chocolate cake?
Who won the football world cup in 2018?
What is the boiling point of nitrogen?
When does the next train to Vienna leave?
How long should I boil an egg?
What is the best time to plant tomatoes?
Who painted the Mona Lisa?
How many moons does Jupiter have?
What is the meaning of the word petrichor?
Which river is the longest in Asia?
How tall is Mount Kilimanjaro?
Who wrote The Brothers Karamazov?
What is the recipe for pancakes?
How do I remove red wine from a carpet?
What does a marathon runner eat before a race?
Which vitamins are in oranges?
How does photosynthesis work?
What is the plot of Hamlet?
Who invented the telephone?
How do volcanoes erupt?
What is the exchange rate between euro and dollar?
How do I tune a guitar?
What is the difference between a violin and a viola?
Which planet has the most rings?
How is cheese made?
What is the currency of Japan?
How do bees make honey?
When was the French Revolution?
What is the speed of light?
How can I learn Spanish quickly?
Which movie won the most Oscars?
Where do penguins live?
How do I change a bicycle tyre?
What is a good name for a cat?
How much rain falls in Seattle each year?
What is the tallest building in the world?
How do I write a cover letter for a gardener?
What are the rules of chess?
Who was the first woman in space?
How do I fold a paper crane?
What is the population of Brazil?
Which wine goes with salmon?
How do airplanes fly?
What is the square root of 1764?
How do I calm a crying baby?
When is the best season to visit Iceland?
What do koalas eat?
How far is the moon?
Which language is spoken in Andorra?
How do I knit a scarf?
What is the chemical formula of table salt?
Who composed the Ninth Symphony?
How do I train for a triathlon?
What is the price of gold today?
Which dinosaur was the largest?
How do I make sourdough starter?
What is the offside rule?
How do glaciers form?
What is the longest word in German?
What does a licence of CrowdStrike cost per year?
Which certification should I take to become a SOC analyst?
How many employees does Mandiant have?
Who is the chief executive of Palo Alto Networks?
What is the salary of a penetration tester in Berlin?
Which cyber insurance covers a bakery?
When is the next Black Hat conference?
Is Splunk cheaper than Elastic?
How do I renew my antivirus subscription?
Which book on cryptography should a beginner read?
What is the phone number of the national CERT?
How do I install Ubuntu on a Chromebook?
Which laptop has the longest battery life?
How do I sort a list in Python?
What is the newest version of React?
How do I centre a div in CSS?
Which database is best for a blog?
How do I merge two spreadsheets?
What is the weather in Oslo tomorrow?
How do I reset the settings of my coffee machine?
Which VPN is fastest for watching television abroad?
How do I print on both sides of the paper?
What is the fine for a late GDPR notification in Spain?
Which court decides on patent disputes in Germany?
How do I write a resignation letter to my security team?
What did the minister say about data retention last week?
How many football fans were in the stadium?
Which router has the best range for a garden?
How do I cancel my telephone contract?
What was the share price of Microsoft in March?
Which restaurants near the office serve vegan lunch?
How do I convince my boss to let me work from home?
What is the best keyboard for programmers?
How do I clean the fan of a server rack?
Which country hosts the most data centres?
How do I translate a manual into Portuguese?
What is the average age of a firewall administrator?
Which university has a good course on ethics?
How do I book a meeting room?
What colour should the icons of a dashboard have?
When did the incident at our Hamburg office begin?
Who approved the change request of last Tuesday?
Which of our servers were patched this month?
What is the password policy of our company?
How many alerts did the night shift close?
Who is on call this weekend?
Which vendor sold us the mail gateway?
What did the auditors write about our backups?
How many laptops were stolen from the warehouse?
Which customers were told about the outage?
Is the moon landing real?
What is love?
Tell me a joke about elephants
Sing me a song
Write a poem about autumn
Translate good morning into Finnish
What should I wear to a wedding?
How do magnets work?
Why is the sky blue?
Can dogs eat grapes?
""".splitlines()
)
"""What nobody expects such a knowledge base to answer: general knowledge, the trade around security, a company's own
matters."""
