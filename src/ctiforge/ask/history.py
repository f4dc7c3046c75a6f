"""Conversations kept in SQLite: one file, one row a conversation and one a turn; answers as the JSON that `ask --json`
prints."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ctiforge.core.errors import InputError, SettingError

__all__ = ["ChatHistory", "Conversation", "Turn", "now"]

_VERSION: Final = 1
_TABLES: Final = """
CREATE TABLE conversations (id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL, title TEXT NOT NULL);
CREATE TABLE turns (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, at TEXT NOT NULL, asked TEXT NOT NULL, understood TEXT NOT NULL, objects TEXT NOT NULL,
    answer TEXT NOT NULL, PRIMARY KEY (conversation, number)
);
"""
_TITLE: Final = 80


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation; `started` and `last` are ISO 8601 in UTC, `title` is the first question, cut."""

    id: int
    started: str
    last: str
    title: str
    turns: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer.

    Attributes:
        asked, understood: the question as typed, and with what it referred to put in.
        objects: identifiers that it was about.
        answer: JSON.
    """

    at: str
    asked: str
    understood: str
    objects: tuple[str, ...]
    answer: str


class ChatHistory:
    """The file of conversations; made on the first turn, readable by its owner alone.

    Args:
        path: of the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def add(self, conversation: int | None, turn: Turn) -> int:
        """Keep a turn and return the identifier of its conversation.

        Args:
            conversation: None begins one.

        Raises:
            InputError: the file cannot be written, is damaged, or is of another version.
            SettingError: there is no such conversation.
        """
        with self._open() as store:
            if conversation is None:
                made = store.execute("INSERT INTO conversations (started, title) VALUES (?, ?)", (turn.at, turn.asked[:_TITLE]))
                conversation = int(made.lastrowid or 0)
            else:
                self._known(store, conversation)
            store.execute(
                "INSERT INTO turns SELECT ?, 1 + coalesce(max(number), 0), ?, ?, ?, ?, ? FROM turns WHERE conversation = ?",
                (conversation, turn.at, turn.asked, turn.understood, " ".join(turn.objects), turn.answer, conversation),
            )
        return conversation

    def conversations(self) -> list[Conversation]:
        """Return all conversations, the latest first."""
        if not self.path.exists():
            return []
        with self._open() as store:
            rows = store.execute(
                "SELECT id, started, coalesce(max(at), started), title, count(number) FROM conversations LEFT JOIN turns "
                "ON conversation = id GROUP BY id ORDER BY 3 DESC, id DESC"
            )
            return [Conversation(*row) for row in rows]

    def turns(self, conversation: int) -> list[Turn]:
        """Return the turns of a conversation, the first first.

        Raises:
            SettingError: there is no such conversation.
        """
        with self._open() as store:
            self._known(store, conversation)
            rows = store.execute(
                "SELECT at, asked, understood, objects, answer FROM turns WHERE conversation = ? ORDER BY number",
                (conversation,),
            )
            return [
                Turn(at, asked, understood, tuple(objects.split()), answer) for at, asked, understood, objects, answer in rows
            ]

    def delete(self, conversation: int) -> None:
        """Remove a conversation for good.

        Raises:
            SettingError: there is no such conversation.
        """
        with self._open() as store:
            self._known(store, conversation)
            store.execute("DELETE FROM conversations WHERE id = ?", (conversation,))

    def _known(self, store: sqlite3.Connection, conversation: int) -> None:
        if store.execute("SELECT 1 FROM conversations WHERE id = ?", (conversation,)).fetchone() is None:
            raise SettingError(f"there is no conversation {conversation}", fix="ctiforge chat list shows those there are")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection; what is done with it is kept together or not at all."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            with closing(sqlite3.connect(self.path)) as store:
                store.execute("PRAGMA foreign_keys = ON")
                store.execute("PRAGMA secure_delete = ON")  # what a person deletes is gone from the file as well
                self._prepare(store)
                with store:
                    yield store
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"{self.path}: the history cannot be used: {error}",
                fix="mend or remove the file, or name another with --history",
            ) from None

    def _prepare(self, store: sqlite3.Connection) -> None:
        version = store.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not store.execute("SELECT 1 FROM sqlite_master").fetchone():
            store.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise InputError(
                f"{self.path}: a history of version {version}, and this program reads {_VERSION}; it was left as it is",
                fix="name another file with --history",
            )


def now() -> str:
    """Return the present time, ISO 8601 in UTC to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
