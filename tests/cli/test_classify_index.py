"""`ctiforge classify index` beside `ctiforge classify TEXT`: two words are a command, one is not lost."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from ctiforge.classify.classifier import bundled_model_path
from ctiforge.cli.commands import app
from ctiforge.core.errors import ExitCode, SettingError

pytestmark = pytest.mark.skipif(
    not (bundled_model_path("fast") / "manifest.json").exists(), reason="the bundled model is not in this checkout"
)

SQL = "SQL injection in the login form of Example CMS 1.0 allows remote attackers to read the database"
RECORDS = [
    {"id": "CVE-2099-10001", "description": SQL, "cwe": "CWE-89", "published": "2099-01-01"},
    {"id": "CVE-2099-10002", "description": f"{SQL} and change it", "cwe": "CWE-89", "published": "2099-03-01"},
    {"id": "CVE-2099-10003", "description": "A heap overflow in the TIFF reader", "cwe": "CWE-122", "published": "2099-02-01"},
]


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "feed.jsonl"
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in RECORDS) + b"{broken\n")
    return path


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.stdout


def similar(output: str) -> list[list[str]]:
    return [[each["id"] for each in orjson.loads(line)["similar"]] for line in output.splitlines()]


def test_an_index_is_built_and_shown(feed: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["classify", "index", str(feed), "--out", "index"])
    assert result.exit_code == 0, result.output
    assert "index: 3 CVEs" in result.stderr
    assert "left out: malformed_json 1" in result.stderr
    assert (tmp_path / "ctiforge-rejects.jsonl").exists()
    output = run("classify", str(feed), SQL, "--similar", "index", "-q")
    # None finds itself, nor another record with its text; the text on the command line is that of the first.
    first, second, third, text = similar(output)
    assert first == text == ["CVE-2099-10002", "CVE-2099-10003"]
    assert second == ["CVE-2099-10001", "CVE-2099-10003"]
    assert sorted(third) == ["CVE-2099-10001", "CVE-2099-10002"]
    output = run("classify", str(feed), "--similar", "index", "--similar-before", "2099-02-01", "-q")
    assert {each for found in similar(output) for each in found} == {"CVE-2099-10001"}
    assert "similar CVE-2099-10002" in run("classify", SQL, "--similar", "index", "-o", "table", "-q")


def test_a_file_called_index_is_still_classified(feed: Path, tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(feed.read_bytes())
    assert len(run("classify", "./index", "-q").splitlines()) == 3
    assert "CVE-2099-10001" in run("classify", "--output", "jsonl", "index", "-q")


def test_a_text_that_begins_with_the_word_is_a_text() -> None:
    assert orjson.loads(run("classify", "index out of bounds write in the parser", "-q"))["id"] == "text:1"


def test_a_day_without_an_index_and_a_wrong_day(feed: Path) -> None:
    result = CliRunner().invoke(app, ["classify", SQL, "--similar-before", "2099-01-01"])
    assert isinstance(result.exception, SettingError)
    run("classify", SQL, "--similar", "index", "--similar-before", "yesterday", code=ExitCode.USAGE)


def test_a_missing_index_names_the_command(feed: Path) -> None:
    result = CliRunner().invoke(app, ["classify", SQL, "--similar", "nowhere"])
    assert "ctiforge classify index" in str(result.exception)
