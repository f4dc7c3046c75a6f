"""From a question to an answer: decline, or the graph, or passages, or 'the knowledge base does not say'."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import Any, Final

from ctiforge.ask.answers import NO_SCOPE, Answer, Scope
from ctiforge.ask.aspects import ASPECTS, Aspect, find_aspect, kinds_with
from ctiforge.ask.extractive import Evidence, find_evidence, pick_sentences
from ctiforge.ask.graph_answers import Found, answer_aspect, list_names, title
from ctiforge.ask.implied import implied_scope, likely_subject
from ctiforge.ask.knowledge_base import MAX_QUERY_CHARACTERS, KnowledgeBase
from ctiforge.ask.mentions import KIND_WORDS, MARK, Mention, NameFinder, Read
from ctiforge.ask.object_answers import compare, define, relate
from ctiforge.ask.objects import KnowledgeObject, ObjectKind
from ctiforge.ask.passages import visible_text
from ctiforge.ask.refusals import is_declined
from ctiforge.ask.subjects import choose_subject
from ctiforge.ask.support import content_terms
from ctiforge.ask.written import write_from
from ctiforge.core.errors import SettingError
from ctiforge.models.generation import TextModel

__all__ = ["LEAST_SCORE", "Answerer", "answer_question", "check_question"]

LEAST_SCORE: Final = 0.5
"""Below this score of the passages the knowledge base does not say; see `ctiforge.ask.extractive.answer_score`."""

_COMPARE = re.compile(r"\b(?:differ\w*|compar\w+|versus|vs|distinguish\w*|distinction)\b", re.IGNORECASE)
_RELATE = re.compile(
    r"^\W*(?:and |so |but )?(?:does|do|did|is|are|was|were|can|could|has|have|how)\b|\b(?:relat\w+|connect\w+|link\w*)\b",
    re.IGNORECASE,
)
_DEFINE = re.compile(
    r"\b(?:what(?:'s| is| are| was| were| does| do)|who(?:'s| is| are)|defin\w+|descri\w+|explain\w*|tell me|meaning|"
    r"means?|about|used for|"
    r"overview|summar\w+|info(?:rmation)?|how does|works?|show|attacks?|techniques?|weakness(?:es)?|vulnerabilit(?:y|"
    r"ies)|groups?|"
    r"software|malware|tools?|tactics?|exactly|mitigations?|patterns?)\b",
    re.IGNORECASE,
)
_HOW = re.compile(r"^\W*(?:and |so |but )?how (?:do|does|did|can|could|might)\b", re.IGNORECASE)
_WHO_AND_WHAT: Final = frozenset(("groups", "software", "campaigns", "procedures", "users", "techniques"))
"""Aspects that are lists; a question that begins with 'how does' wants to be told, not a list."""
_WHICH_IS = re.compile(
    rf"\b({'|'.join(KIND_WORDS)})(?:(?: (?:id|number|entry|name))? (?:for|is|covers?|describes?|about|called|named)| "
    rf"(?:id|number|name) of) "
    rf"(?:an? |the )?{MARK}",
    re.IGNORECASE,
)
"""'Which CWE covers use after free' asks for the object itself, of the kind that is said."""
_SUBJECTS: Final = 3
_SHOWN: Final = 120
_INSTEAD: Final = (
    "This asks for something that attacks, and is declined. What can be asked: what an attack is, who uses it, which "
    "weakness it "
    "exploits, how it is detected, what mitigates it."
)


def check_question(question: str) -> str:
    """Return the question on one line, without invisible characters.

    Raises:
        SettingError: it is empty, has no word, or is too long.
    """
    plain = " ".join(visible_text(question).replace(MARK, "").split())
    if not plain:
        raise SettingError("the question is empty", fix="ask something, e.g. 'which mitigation fits T1548.002'")
    if len(plain) > MAX_QUERY_CHARACTERS:
        raise SettingError(
            f"the question has {len(plain):,} characters, more than the {MAX_QUERY_CHARACTERS:,} that are read",
            fix="ask in fewer words; a long text to search for belongs into a document (kb build --docs)",
        )
    if not any(character.isalnum() for character in plain):
        raise SettingError(f"the question {plain[:40]!r} has no word in it", fix="ask in words")
    return plain


def answer_question(base: KnowledgeBase, question: str, scope: Scope = NO_SCOPE, model: TextModel | None = None) -> Answer:
    """Answer one question; for several, an `Answerer` keeps its table of names.

    Args:
        model: writes the answer where it comes from passages; without it they are quoted.

    Raises:
        SettingError: the question is empty or too long; the scope has a value that no object has.
        ModelError: the model cannot be reached or loaded, or gave nothing.
    """
    answerer = Answerer(base)
    return answerer.answer(question, scope) if model is None else asyncio.run(answerer.write(question, model, scope))


@dataclass(frozen=True, slots=True)
class _Subject:
    each: KnowledgeObject
    notes: tuple[str, ...] = ()


class Answerer:
    """Answers questions from one knowledge base; safe to share between threads."""

    def __init__(self, base: KnowledgeBase) -> None:
        self.base = base
        self.names = NameFinder(base)

    def answer(self, question: str, scope: Scope = NO_SCOPE) -> Answer:
        """Return the answer from the graph or in the sources' own words.

        Raises:
            SettingError: the question is empty or too long; the scope has a value that no object has.
        """
        answer, evidence = self._find(question, scope)
        return answer if evidence is None else self._quoted(answer, evidence)

    async def write(self, question: str, model: TextModel, scope: Scope = NO_SCOPE) -> Answer:
        """Return the answer from the graph, or one that `model` writes from the passages found.

        Raises:
            SettingError: as `answer`.
            ModelError: the model cannot be reached or loaded, or gave nothing.
        """
        answer, evidence = self._find(question, scope)
        if evidence is None:
            return answer
        if not self._says(evidence):
            return self._quoted(answer, evidence)
        name = (await model.info()).name
        passages = [hit.passage for hit in evidence.hits]
        written = await write_from(model, answer.question, passages, self.base.term_weights)
        notes = answer.notes
        if written.dropped:
            notes += (
                f"dropped of what the model wrote, since no cited passage supports it: {len(written.dropped)} sentence(s)",
            )
        answer = replace(answer, model=name, dropped=written.dropped, notes=notes, score=round(evidence.score, 3))
        if written.not_stated:
            return replace(answer, notes=(*notes, "the model found no answer in the passages"))
        if not written.sentences:
            quoted = self._quoted(answer, evidence)
            return replace(quoted, notes=(*quoted.notes, "nothing of the model's answer was left; quoted are the passages"))
        return replace(answer, status="answered", method="model", aspect="text", sentences=written.sentences)

    def _find(self, question: str, scope: Scope) -> tuple[Answer, Evidence | None]:
        """Return an answer; or one that waits to be filled from passages, with these."""
        plain = check_question(question)
        scope.check(self.base)
        blank = Answer(
            question=plain,
            status="not-stated",
            date=scope.date or "",
            sources=self.base.versions,
            build=self.base.manifest.build,
        )
        read = self.names.read(plain)
        if is_declined(plain):
            return replace(blank, status="declined", notes=(_INSTEAD,), suggestions=self._instead(read)), None
        settled = self._structured(blank, read, scope)
        if settled is not None:
            return settled, None
        named = [mention for mention in read.mentions if mention.ids]
        about = [mention.ids[0] for mention in named if len(mention.ids) == 1 and not mention.by_id]
        evidence = find_evidence(self.base, plain, scope, about=about)
        return replace(blank, objects=tuple(dict.fromkeys(each for mention in named for each in mention.ids[:1]))), evidence

    # From the graph.

    def _structured(self, blank: Answer, read: Read, scope: Scope) -> Answer | None:
        unknown = [mention.text for mention in read.mentions if mention.by_id and not mention.ids]
        if unknown:
            return None if self._is_told_of(unknown) else self._unknown(blank, unknown)
        rest = read.rest.replace(MARK, " ")
        named = [mention for mention in read.mentions if mention.ids]
        if (wanted := self._wanted_itself(read, named)) is not None:
            return self._of_named(blank, [wanted], " ", scope)
        if tactics := self._as_filters(named, rest):  # 'techniques of FIN7 for initial access'
            named = [mention for mention in named if mention not in tactics]
            rest = " ".join([rest, *(mention.text for mention in tactics)])
        if not named:
            return self._about_likely(blank, rest, scope)
        return self._of_named(blank, named, rest, scope)

    def _wanted_itself(self, read: Read, named: Sequence[Mention]) -> Mention | None:
        """Return the mention of an object that the question wants by its kind ('CWE for path traversal'), or None."""
        match = _WHICH_IS.search(read.rest)
        if match is None or len(named) != 1 or named[0].by_id:
            return None
        kinds = KIND_WORDS[match[1].lower()]
        return replace(named[0], kinds=kinds) if any(self.base[each].kind in kinds for each in named[0].ids) else None

    def _as_filters(self, named: Sequence[Mention], rest: str) -> list[Mention]:
        """Return the mentions of tactics beside that of another object whose techniques are asked for."""
        tactics = [mention for mention in named if all(self.base[each].kind == "tactic" for each in mention.ids)]
        compared = _COMPARE.search(rest) or _RELATE.search(rest)
        return tactics if len(tactics) < len(named) and not compared and not any(each.by_id for each in tactics) else []

    def _of_named(self, blank: Answer, named: Sequence[Mention], rest: str, scope: Scope) -> Answer | None:
        """Answer about the objects that are named."""
        compared = len(named) > 1 and _COMPARE.search(rest) is not None
        kinds: Sequence[ObjectKind] = () if compared else kinds_with(rest)
        subjects = []
        for mention in named[:_SUBJECTS]:
            choice = choose_subject(self.base, mention, kinds or tuple(ASPECTS), scope, blank.question)
            if choice.chosen is None:
                return self._ambiguous(blank, mention, choice.others)
            subjects.append(_Subject(choice.chosen, (_also(mention, choice.others),) if choice.others else ()))
        subjects = list({subject.each.id: subject for subject in subjects}.values())
        for subject in subjects:
            if not scope.holds(subject.each):
                return self._not_yet(blank, subject.each)
        notes = tuple(note for subject in subjects for note in subject.notes)
        ids = tuple(subject.each.id for subject in subjects)
        blank = replace(blank, objects=ids, notes=notes)
        if len(subjects) > 1 and (compared or _RELATE.search(rest)):
            found = (compare if compared else relate)(self.base, subjects[0].each, subjects[1].each)
            if not found.sentences and _HOW.search(rest):
                return None
            return self._from_found(blank, "difference" if compared else "relation", found, f"how {ids[0]} and {ids[1]} relate")
        return self._of_subjects(blank, subjects, rest, scope)

    def _of_subjects(self, blank: Answer, subjects: Sequence[_Subject], rest: str, scope: Scope) -> Answer | None:
        asked = re.sub(r"\bused for\b", " ", rest)
        answers = []
        for subject in subjects:
            aspect = find_aspect(subject.each.kind, asked)
            if aspect is not None and not (aspect.name in _WHO_AND_WHAT and _HOW.search(asked)):
                answers.append(self._of_aspect(blank, subject.each, aspect, rest, scope))
        if answers:
            return _joined(answers)
        if not content_terms(_DEFINE.sub(" ", rest)):
            found = [define(self.base, subject.each) for subject in subjects]
            return _joined([self._from_found(blank, "definition", each, "definition") for each in found])
        return None

    def _of_aspect(self, blank: Answer, each: KnowledgeObject, aspect: Aspect, rest: str, scope: Scope) -> Answer:
        narrowed, notes = implied_scope(self.base, aspect, rest, scope)
        found = answer_aspect(self.base, each, aspect, narrowed)
        if not found.sentences and notes:
            found, notes = answer_aspect(self.base, each, aspect, scope), ()
        blank = replace(blank, notes=(*blank.notes, *notes))
        return self._from_found(blank, aspect.name, found, f"{aspect.noun} of {title(each)}")

    def _about_likely(self, blank: Answer, rest: str, scope: Scope) -> Answer | None:
        """Answer for the object that the question describes without naming it, and say which one was taken."""
        likely = likely_subject(self.base, rest, scope)
        if likely is None:
            return None
        each, aspect = likely
        note = f"taken to be about {title(each)}, which fits the words best"
        answer = self._of_aspect(replace(blank, objects=(each.id,), notes=(note,)), each, aspect, rest, scope)
        return answer if answer.status == "answered" else None

    def _from_found(self, blank: Answer, aspect: str, found: Found, what: str) -> Answer:
        if not found.sentences:
            return replace(blank, aspect=aspect, notes=(*blank.notes, f"the knowledge base does not state {_article(what)}"))
        return replace(
            blank,
            status="answered",
            method="graph",
            aspect=aspect,
            sentences=found.sentences,
            listed=found.listed,
            notes=(*blank.notes, *found.notes),
        )

    def _is_told_of(self, ids: Sequence[str]) -> bool:
        """Say whether a passage names one of the identifiers, though no object has it."""
        weights = self.base.term_weights([MARK, *(each.casefold() for each in ids)])
        return any(weights[each.casefold()] < weights[MARK] for each in ids)

    def _unknown(self, blank: Answer, ids: Sequence[str]) -> Answer:
        notes = [f"the knowledge base does not hold {each}" for each in ids]
        sources = ", ".join(f"{each.name} {each.version}".strip() for each in self.base.versions)
        suggestion = f"it was built from {sources}; ctiforge kb build adds others"
        return replace(blank, notes=tuple(notes), suggestions=(suggestion,))

    def _ambiguous(self, blank: Answer, mention: Mention, others: Sequence[KnowledgeObject]) -> Answer:
        listed = tuple(each.id for each in others)
        note = f"{mention.text!r} names several objects: {list_names(self.base, listed)}"
        return replace(blank, status="ambiguous", listed=listed, notes=(note,), suggestions=("ask by identifier",))

    def _not_yet(self, blank: Answer, each: KnowledgeObject) -> Answer:
        note = f"on {blank.date} there was no {title(each)} yet: it is of {each.created or 'an unknown day'}"
        return replace(blank, objects=(each.id,), notes=(note,))

    def _instead(self, read: Read) -> tuple[str, ...]:
        """Return questions about what was named that can be answered."""
        ids = [mention.ids[0] for mention in read.mentions if mention.ids]
        found = []
        for each in map(self.base.get, ids[:1]):
            if each is not None:
                wanted = ("mitigations", "detection", "techniques", "weaknesses", "attack patterns")
                names = [aspect.name for aspect in ASPECTS[each.kind] if aspect.name.startswith(wanted)]
                found += [f"{name} of {each.id}" for name in dict.fromkeys(names)]
        return tuple(found[:3]) or ("how is T1059 detected", "mitigations of CWE-79")

    # From passages.

    def _says(self, evidence: Evidence) -> bool:
        return evidence.score >= LEAST_SCORE

    def _quoted(self, blank: Answer, evidence: Evidence) -> Answer:
        score = round(evidence.score, 3)
        sentences = pick_sentences(evidence) if self._says(evidence) else []
        if not sentences:
            words = shlex.quote(shorten(blank.question, _SHOWN, placeholder=""))
            search = f"ctiforge kb search {words} shows what comes nearest"
            note = "the knowledge base does not say"
            return replace(blank, notes=(*blank.notes, note), suggestions=(search,), score=score)
        return replace(blank, status="answered", method="passages", aspect="text", sentences=tuple(sentences), score=score)


def _also(mention: Mention, others: Sequence[KnowledgeObject]) -> str:
    return f"{mention.text!r} is also {'; '.join(title(each) for each in others[:4])}"


def _article(what: str) -> str:
    return what if what.startswith("how ") else f"any {what}"


def _joined(answers: Sequence[Answer]) -> Answer:
    """Return one answer of several about different objects; what is not stated becomes a note."""
    fields: dict[str, Any] = {
        name: tuple(dict.fromkeys(each for answer in answers for each in getattr(answer, name)))
        for name in ("sentences", "listed", "notes")
    }
    first = next((answer for answer in answers if answer.status == "answered"), answers[0])
    return replace(first, **fields)
