"""Which questions a session asks: those that are due, then new ones, no object twice."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from itertools import groupby
from random import Random

from ctiforge.ask.knowledge_base import KnowledgeBase
from ctiforge.ask.questions import TOPICS, Question, generate_questions
from ctiforge.ask.quiz.progress import Progress

__all__ = ["draw_session"]


def draw_session(
    base: KnowledgeBase,
    count: int,
    seed: int,
    *,
    progress: Progress | None = None,
    day: date | None = None,
    topics: Collection[str] = TOPICS,
    level: int | None = None,
) -> list[Question]:
    """Return up to `count` questions; fewer where the knowledge base has no more.

    Args:
        progress: of the learner; without it all questions are new. `day` is then today for it, and must be given.

    Raises:
        SettingError: an unknown topic or level.
    """
    made = generate_questions(base, seed, topics=topics, level=level)
    chosen: list[Question] = []
    known: frozenset[str] = frozenset()
    if progress is not None and day is not None:
        chosen = progress.due(day, topics, level)[:count]
        known = progress.known_ids()
    rng = Random(f"{seed}/session")
    asked = {each.subject for each in chosen}
    if len(chosen) < count:
        for subject, questions in groupby(made, key=lambda each: each.subject):
            fresh = [each for each in questions if each.id not in known]
            if fresh and subject not in asked:
                chosen.append(rng.choice(fresh))
                if len(chosen) == count:
                    break
    return chosen
