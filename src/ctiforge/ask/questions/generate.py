"""Questions from a knowledge base: the same for the same build, settings and seed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.objects import KnowledgeObject
from ctiforge.ask.questions.catalogue import ASKED_KINDS, Catalogue
from ctiforge.ask.questions.fact_kinds import draft_facts
from ctiforge.ask.questions.question import ALL_OF_THEM, LEVELS, TOPICS, Draft, Question, topic_of
from ctiforge.ask.questions.relation_kinds import draft_relations
from ctiforge.ask.questions.text_kinds import draft_texts
from ctiforge.ask.questions.wording import mask_names, reworded, short_name
from ctiforge.core.errors import SettingError, did_you_mean
from ctiforge.core.files import sha256

__all__ = ["generate_questions"]

_OPTIONS: Final = 4
_LONGEST_OPTION: Final = 260
_TOO_ALIKE: Final = 0.6
_SHARE_WRONG_ALL: Final = 0.03
_SHARE_EASY: Final = 0.15
_SHARE_EASY_REWORDED: Final = 0.3
_SHARE_UNNAMED: Final = 0.35
_QUOTING: Final = ("halves", "term", "by")
"""Kinds whose stems quote enough to be answered where nothing is named."""
_WORD: Final = re.compile(r"[a-z0-9]+")


def generate_questions(
    base: KnowledgeBase,
    seed: int,
    *,
    topics: Collection[str] = TOPICS,
    level: int | None = None,
    rewording: float = 0.0,
    thesaurus: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[Question]:
    """Yield questions, objects in an order that the seed draws, several of each object.

    Args:
        topics: see `TOPICS`.
        level: of these only, see `LEVELS`; None takes all, with near wrong options.
        rewording: for training: how strongly stems and options are reworded at most, 0 to 1, see `reworded`. Some stems then
            do not name what they are about, and more wrong options come from afar.
        thesaurus: words with others to be reworded by, see `build_thesaurus`.

    Raises:
        SettingError: an unknown topic or level.
    """
    for topic in topics:
        if topic not in TOPICS:
            raise SettingError(f"no topic {topic!r}", fix=did_you_mean(topic, TOPICS) or f"topics: {', '.join(TOPICS)}")
    if level is not None and level not in LEVELS:
        raise SettingError(f"no level {level}", fix="levels: 1, 2, 3")
    catalogue = Catalogue(base)
    reword = _Rewording(rewording, thesaurus or {})
    subjects = [each for kind in ASKED_KINDS for each in catalogue.by_kind.get(kind, ())]
    subjects = [each for each in subjects if topic_of(each.kind, each.domains) in topics]
    Random(f"{seed}/order").shuffle(subjects)
    for subject in subjects:
        rng = Random(f"{seed}/{subject.id}")
        for drafts in (draft_relations, draft_facts, draft_texts):
            for draft in drafts(catalogue, subject, rng):
                question = _finish(subject, draft, level, reword, rng)
                if question is not None:
                    yield question


@dataclass(frozen=True, slots=True)
class _Rewording:
    strength: float
    thesaurus: Mapping[str, Sequence[str]]


def _finish(subject: KnowledgeObject, draft: Draft, level: int | None, reword: _Rewording, rng: Random) -> Question | None:
    easy = level == 1 or (level is None and rng.random() < (_SHARE_EASY_REWORDED if reword.strength else _SHARE_EASY))
    own = max(draft.level, 1 if easy else 2)
    if (level is not None and own != level) or len(draft.right) > _LONGEST_OPTION:
        return None
    wrong = _draw(draft, easy, rng)
    if len(wrong) < _OPTIONS - 1:
        return None
    options = [draft.right, *wrong]
    if draft.right != ALL_OF_THEM and rng.random() < _SHARE_WRONG_ALL:
        options[-1] = ALL_OF_THEM
    stem = draft.stem
    if reword.strength:
        strength = reword.strength * rng.random()
        options = [reworded(each, rng, strength, reword.thesaurus) for each in options]
        stem = reworded(_unnamed(subject, draft, rng), rng, strength, reword.thesaurus)
    right = options[0]
    rng.shuffle(options)
    options.sort(key=lambda each: each == ALL_OF_THEM)
    digest = sha256(f"{draft.kind}\x1f{draft.stem}\x1f{draft.right}".encode())[:12]
    return Question(
        f"{subject.id}/{draft.kind}/{digest}", draft.kind, topic_of(subject.kind, subject.domains), own, stem, tuple(options),
        options.index(right), subject.id, draft.passages, draft.why,
    )  # fmt: skip


def _unnamed(subject: KnowledgeObject, draft: Draft, rng: Random) -> str:
    """Return the stem of a quoting kind, of some without what it is about: others ask like that."""
    if draft.kind.split("-")[0] not in _QUOTING or rng.random() >= _SHARE_UNNAMED:
        return draft.stem
    return mask_names(draft.stem.replace(f" ({subject.id})", ""), [subject.name, short_name(subject.name), subject.id], "it")


def _draw(draft: Draft, easy: bool, rng: Random) -> Sequence[str]:
    """Draw three wrong options that read unlike the right one and each other: nearest first, or from the last group if easy."""
    found: list[str] = []
    taken = [frozenset(_WORD.findall(draft.right.casefold()))]
    for group in draft.wrong[-1:] if easy else draft.wrong:
        candidates = list(dict.fromkeys(group))
        for candidate in rng.sample(candidates, min(len(candidates), 40)):
            words = frozenset(_WORD.findall(candidate.casefold()))
            if not words or len(candidate) > _LONGEST_OPTION or any(_alike(words, each) for each in taken):
                continue
            found.append(candidate)
            taken.append(words)
            if len(found) == _OPTIONS - 1:
                return found
    return found


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return one == other or len(one & other) / len(one | other) >= _TOO_ALIKE
