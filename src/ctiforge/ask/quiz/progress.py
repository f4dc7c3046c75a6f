"""Progress of a learner, in one SQLite file: a question that was answered right comes again later each time.

Boxes after S. Leitner (So lernt man lernen, 1972): a right answer moves a question to the next box, a wrong one to the first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final

import orjson

from ctiforge.ask.questions import Question
from ctiforge.ask.questions.question import restored_question
from ctiforge.core.errors import InputError

__all__ = ["BOX_DAYS", "Progress", "Standing"]

BOX_DAYS: Final = (0, 1, 3, 7, 16, 35, 90)
"""Days until a question of each box is asked again."""
_VERSION: Final = 1
_TABLES: Final = """
CREATE TABLE questions (
    id TEXT PRIMARY KEY, topic TEXT NOT NULL, level INTEGER NOT NULL, content TEXT NOT NULL,
    box INTEGER NOT NULL, due TEXT NOT NULL, asked INTEGER NOT NULL, answered_right INTEGER NOT NULL
);
CREATE TABLE answers (question TEXT NOT NULL, day TEXT NOT NULL, answered_right INTEGER NOT NULL);
"""
_KEEP: Final = """
INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?, 1, ?) ON CONFLICT (id) DO UPDATE SET content = excluded.content,
box = excluded.box, due = excluded.due, asked = asked + 1, answered_right = answered_right + excluded.answered_right
"""
_STANDINGS: Final = """
SELECT topic, COUNT(*), SUM(asked), SUM(answered_right), SUM(box >= ?) FROM questions GROUP BY topic ORDER BY topic
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a topic is known: questions met, answers given, right ones, and questions in the upper half of the boxes."""

    topic: str
    questions: int
    asked: int
    right: int
    known: int


class Progress:
    """A context manager over the file; every answer is written at once, so that a session may end at any moment.

    Raises:
        InputError: the file cannot be opened, is no such file, or is of a newer version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=10)
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                self._database.close()
                raise InputError(f"{self.path}: of version {version}, newer than this program reads", fix="upgrade ctiforge")
            if version == 0:
                with self._database:
                    self._database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"{self.path}: the progress of the quiz cannot be read or written: {error}",
                fix="name another file: --progress FILE",
            ) from None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._database.close()

    def due(self, day: date, topics: Collection[str], level: int | None = None) -> list[Question]:
        """Return the questions that are due on `day`, the longest overdue first."""
        with self._told():
            rows = self._database.execute(
                "SELECT topic, level, content FROM questions WHERE due <= ? ORDER BY due, box, id", (day.isoformat(),)
            ).fetchall()
        return [
            restored_question(orjson.loads(content)) for topic, own, content in rows if topic in topics and level in (None, own)
        ]

    def known_ids(self) -> frozenset[str]:
        """Return the identifiers of all questions that were ever answered."""
        with self._told():
            return frozenset(row[0] for row in self._database.execute("SELECT id FROM questions"))

    def note(self, question: Question, *, right: bool, day: date) -> date:
        """Keep an answer and return the day on which the question comes again."""
        with self._told(), self._database:
            held = self._database.execute("SELECT box FROM questions WHERE id = ?", (question.id,)).fetchone()
            box = min((held[0] if held else 0) + 1, len(BOX_DAYS) - 1) if right else 0
            due = day + timedelta(days=BOX_DAYS[box])
            content = orjson.dumps(asdict(question)).decode()
            row = (question.id, question.topic, question.level, content, box, due.isoformat(), int(right))
            self._database.execute(_KEEP, row)
            self._database.execute("INSERT INTO answers VALUES (?, ?, ?)", (question.id, day.isoformat(), int(right)))
        return due

    def standings(self) -> list[Standing]:
        """Return how each topic that was asked about is known."""
        with self._told():
            rows = self._database.execute(_STANDINGS, (len(BOX_DAYS) // 2,)).fetchall()
        return [Standing(*row) for row in rows]
