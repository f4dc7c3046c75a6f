"""The tutor: sessions, progress and cards."""

from __future__ import annotations

import csv
import io
import sqlite3
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from ctiforge.ask import KnowledgeBase
from ctiforge.ask.questions import Question
from ctiforge.ask.quiz import Progress, draw_session, render_cards
from ctiforge.ask.quiz.progress import BOX_DAYS
from ctiforge.core.errors import InputError, SettingError

TODAY = date(2099, 1, 1)


@pytest.fixture(scope="module")
def drawn(base: KnowledgeBase) -> list[Question]:
    return draw_session(base, 8, 4)


def test_a_session_asks_about_different_objects(base: KnowledgeBase, drawn: list[Question]) -> None:
    assert len({each.subject for each in drawn}) == len(drawn) == 8
    assert draw_session(base, 8, 4) == drawn


def test_right_answers_come_later_each_time_and_wrong_ones_at_once(tmp_path: Path, drawn: list[Question]) -> None:
    with Progress(tmp_path / "own" / "quiz.sqlite") as progress:
        days = [progress.note(drawn[0], right=True, day=TODAY) for _ in range(len(BOX_DAYS) + 1)]
        assert days == [TODAY + timedelta(days=each) for each in (*BOX_DAYS[1:], BOX_DAYS[-1], BOX_DAYS[-1])]
        assert progress.note(drawn[0], right=False, day=TODAY) == TODAY
        assert progress.due(TODAY, [drawn[0].topic]) == [drawn[0]]


def test_what_is_due_comes_first_and_what_was_asked_is_not_new(base: KnowledgeBase, tmp_path: Path) -> None:
    with Progress(tmp_path / "quiz.sqlite") as progress:
        first = draw_session(base, 5, 4, progress=progress, day=TODAY)
        for place, each in enumerate(first):
            progress.note(each, right=place > 0, day=TODAY)
        second = draw_session(base, 5, 4, progress=progress, day=TODAY)
        assert second[0] == first[0]
        assert not {each.id for each in second[1:]} & {each.id for each in first}
        tomorrow = draw_session(base, 5, 4, progress=progress, day=TODAY + timedelta(days=1))
        assert {each.id for each in tomorrow} == {each.id for each in first}


def test_standings_count_by_topic(tmp_path: Path, drawn: list[Question]) -> None:
    question = replace(drawn[0], topic="cwe")
    with Progress(tmp_path / "quiz.sqlite") as progress:
        assert progress.standings() == []
        for right in (True, False, True, True, True):
            progress.note(question, right=right, day=TODAY)
        (standing,) = progress.standings()
    assert (standing.topic, standing.questions, standing.asked, standing.right, standing.known) == ("cwe", 1, 5, 4, 1)


def test_progress_that_cannot_be_kept_says_so_and_stays_as_it_is(tmp_path: Path, drawn: list[Question]) -> None:
    file = tmp_path / "quiz.sqlite"
    file.write_text("a letter to nobody, long enough to be no database" * 20)
    with pytest.raises(InputError, match=r"quiz\.sqlite") as refused:
        Progress(file)
    assert "--progress" in str(refused.value.fix)
    assert file.read_text().startswith("a letter")
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(InputError, match="version 99"):
        Progress(newer)


def test_anki_cards_have_one_line_each_and_no_markup_of_others(base: KnowledgeBase, drawn: list[Question]) -> None:
    hostile = replace(drawn[0], stem='<b>bold</b>\t"tab"\nline', options=("<i>", "b", "c", "d"), answer=0)
    text = render_cards(base, [hostile, *drawn[1:]], "anki")
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert head[:2] == ["#separator:tab", "#html:true"]
    rows = [line.split("\t") for line in text.splitlines()[len(head) :]]
    assert len(rows) == len(drawn)
    assert {len(row) for row in rows} == {4}
    assert "<b>bold" not in rows[0][1]
    assert "<i>" not in rows[0][1]
    assert drawn[1].subject in rows[1][2]


def test_csv_cards_are_read_back_and_are_no_formulas(base: KnowledgeBase, drawn: list[Question]) -> None:
    rows = list(csv.DictReader(io.StringIO(render_cards(base, [replace(drawn[0], stem="=1+1"), drawn[1]], "csv"))))
    assert rows[0]["question"] == "'=1+1"
    assert rows[1][rows[1]["answer"]] == drawn[1].right


def test_an_unknown_format_names_those_there_are(base: KnowledgeBase) -> None:
    with pytest.raises(SettingError, match="no card format 'ankii'"):
        render_cards(base, [], "ankii")
