"""Conversations on disk: kept, listed, gone on with, deleted; what is damaged or newer is refused and left."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ctiforge.ask.history import ChatHistory, Turn
from ctiforge.core.errors import InputError, SettingError


def turn(number: int, text: str = "what is it") -> Turn:
    return Turn(f"2099-01-01T00:00:{number:02d}+00:00", text, text, ("T9001",), '{"sentences": []}')


@pytest.fixture
def history(tmp_path: Path) -> ChatHistory:
    return ChatHistory(tmp_path / "deep" / "chat.sqlite3")


def test_what_is_said_comes_back_in_order(history: ChatHistory) -> None:
    assert history.conversations() == []
    assert not history.path.exists()  # looking makes nothing
    first = history.add(None, turn(1, "one"))
    second = history.add(None, turn(2, "two"))
    assert history.add(first, turn(3, "three")) == first
    assert [each.asked for each in history.turns(first)] == ["one", "three"]
    assert history.turns(second) == [turn(2, "two")]
    listed = history.conversations()
    assert [(each.id, each.title, each.turns) for each in listed] == [(first, "one", 2), (second, "two", 1)]
    assert listed[0].last == turn(3).at


def test_a_deleted_conversation_is_gone_from_the_file(history: ChatHistory) -> None:
    kept = history.add(None, turn(1, "what stays"))
    gone = history.add(None, turn(2, "confidential-word"))
    history.delete(gone)
    assert [each.id for each in history.conversations()] == [kept]
    assert b"confidential-word" not in history.path.read_bytes()
    with pytest.raises(SettingError, match=f"no conversation {gone}"):
        history.turns(gone)
    assert history.add(None, turn(3)) > gone  # a number is never given twice


def test_only_the_owner_reads_it(history: ChatHistory) -> None:
    history.add(None, turn(1))
    assert history.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("number", [0, 7, -1])
def test_an_unknown_conversation_is_refused(history: ChatHistory, number: int) -> None:
    history.add(None, turn(1))
    for call in (history.turns, history.delete, lambda each: history.add(each, turn(2))):
        with pytest.raises(SettingError, match="chat list"):
            call(number)
    assert len(history.turns(1)) == 1


def test_a_damaged_file_is_refused(history: ChatHistory) -> None:
    history.path.parent.mkdir()
    history.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match="cannot be used"):
        history.conversations()
    assert history.path.read_bytes() == b"no database at all" * 100


def test_a_newer_or_foreign_file_is_left(history: ChatHistory) -> None:
    history.path.parent.mkdir()
    with closing(sqlite3.connect(history.path)) as store:
        store.execute("CREATE TABLE mine (x)")
        store.execute("PRAGMA user_version = 99")
        store.commit()
    before = history.path.read_bytes()
    with pytest.raises(InputError, match="version 99"):
        history.add(None, turn(1))
    assert history.path.read_bytes() == before
