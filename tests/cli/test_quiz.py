"""`ctiforge quiz`: sessions over pipes, JSON Lines, cards, standings."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from ctiforge.cli.commands import app
from ctiforge.core.errors import SettingError

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CTIFORGE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def lines_of(text: str) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_answers_are_read_from_a_pipe_and_kept(invented_kb: Path, own_home: Path) -> None:
    done = RUNNER.invoke(app, ["quiz", "--kb", str(invented_kb), "-n", "3", "--seed", "1"], input="A\nnonsense\n?\nq\n")
    assert done.exit_code == 0, done.output
    assert "1 of 3" in done.output
    assert "'nonsense' is no answer" in done.output
    assert "of 2 right" in done.output
    assert (own_home / "quiz.sqlite").is_file()
    standing = RUNNER.invoke(app, ["quiz", "--standing", "--json"])
    assert sum(each["asked"] for each in orjson.loads(standing.stdout)) == 2


def test_json_lines_hold_back_the_answer_until_it_is_given(invented_kb: Path) -> None:
    arguments = ["quiz", "--kb", str(invented_kb), "-n", "2", "--seed", "1", "--json", "--no-progress"]
    question, answer, *rest = lines_of(RUNNER.invoke(app, arguments, input="A\nA\n").stdout)
    assert question["event"] == "question"
    assert not {"answer", "why", "passages"} & question.keys()
    assert answer["event"] == "answer"
    assert answer["passages"]
    assert answer["due"] is None
    assert rest[-1]["event"] == "end"
    assert rest[-1]["asked"] == 2


def test_the_end_of_the_input_ends_the_session(invented_kb: Path) -> None:
    done = RUNNER.invoke(app, ["quiz", "--kb", str(invented_kb), "--seed", "1", "--no-progress"], input="")
    assert done.exit_code == 0
    assert "nothing was answered" in done.output


def test_cards_are_written_and_nothing_is_asked(invented_kb: Path, tmp_path: Path) -> None:
    file = tmp_path / "cards.csv"
    done = RUNNER.invoke(
        app, ["quiz", "--kb", str(invented_kb), "-n", "12", "--seed", "1", "--topic", "cwe", "--export", str(file)]
    )
    assert done.exit_code == 0, done.output
    rows = file.read_text().splitlines()
    assert len(rows) == 13
    assert all(",cwe," in row for row in rows[1:])
    shown = RUNNER.invoke(
        app, ["quiz", "--kb", str(invented_kb), "-n", "1", "--seed", "1", "--export", "-", "--format", "anki"]
    )
    assert shown.stdout.startswith("#separator:tab")


def test_settings_that_give_no_question_are_said(invented_kb: Path) -> None:
    refused = RUNNER.invoke(app, ["quiz", "--kb", str(invented_kb), "--topic", "capec"])
    assert isinstance(refused.exception, SettingError)
    assert "no such question" in str(refused.exception)


def test_standing_needs_progress() -> None:
    refused = RUNNER.invoke(app, ["quiz", "--standing", "--no-progress"])
    assert isinstance(refused.exception, SettingError)
    assert "nothing was answered yet" in RUNNER.invoke(app, ["quiz", "--standing"]).output
