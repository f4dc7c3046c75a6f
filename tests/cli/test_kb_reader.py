"""`ctiforge kb choose`, `kb train-reader`, and the reader as a model of the benchmark."""

from __future__ import annotations

from pathlib import Path

import orjson
from typer.testing import CliRunner

from ctiforge.cli.commands import app
from ctiforge.core.errors import SettingError

RUNNER = CliRunner()


def test_options_are_weighed_on_the_command_line(invented_kb: Path) -> None:
    arguments = ["kb", "choose", "On which platform is T9001 seen?", "Toaster", "Kettle", "--kb", str(invented_kb)]
    done = RUNNER.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "Toaster" in done.output
    told = orjson.loads(RUNNER.invoke(app, [*arguments, "--threshold", "1", "--json"]).stdout)
    assert told["chosen"] is None
    assert [option["text"] for option in told["options"]] == ["Toaster", "Kettle"]


def test_a_reader_is_trained_and_used(invented_kb: Path, tmp_path: Path) -> None:
    items = tmp_path / "own.jsonl"
    items.write_bytes(
        orjson.dumps({"question": "Which weakness lets a guest take the lid off the jar of the butler?", "answer": "A"})
    )
    arguments = [
        "kb",
        "train-reader",
        "--kb",
        str(invented_kb),
        "--out",
        str(tmp_path / "reader"),
        "--count",
        "60",
        "--per-kind",
        "3",
    ]
    done = RUNNER.invoke(app, [*arguments, "--against", str(items), "--json"])
    assert done.exit_code == 0, done.output
    manifest = orjson.loads(done.stdout)
    assert list(manifest["questions"]["kept_by"]["files"]) == ["own.jsonl"]
    reader = str(tmp_path / "reader" / "reader.npz")
    asked = RUNNER.invoke(
        app, ["kb", "choose", "Where is T9001 seen?", "Toaster", "Kettle", "--kb", str(invented_kb), "--reader", reader]
    )
    assert asked.exit_code == 0, asked.output


def write_items(folder: Path) -> Path:
    """Write one item in the form of CTI-MCQ."""
    question, options = "On which platform is T9001 seen?", ("Toaster", "Kettle", "Sink", "Stove")
    shown = " ".join(f"{letter}) {option}" for letter, option in zip("ABCD", options, strict=True))
    header = ("URL", "Question", *(f"Option {letter}" for letter in "ABCD"), "Prompt", "GT")
    row = ("https://attack.mitre.org/techniques/T9001/", question, *options, f"Question: {question} Options: {shown}", "A")
    (folder / "cti-mcq.tsv").write_text("\n".join("\t".join(each) for each in (header, row)) + "\n")
    return folder


def test_a_run_is_marked_open_book_and_says_what_the_index_had(invented_kb: Path, tmp_path: Path) -> None:
    arguments = ["bench", "run", "--model", "ask", "--kb", str(invented_kb), "--task", "cti-mcq", "--protocol", "greedy"]
    arguments += ["--data", str(write_items(tmp_path)), "--permute", "cyclic", "--out", str(tmp_path / "run"), "--json"]
    done = RUNNER.invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "the page that 1 of 1 items were made from is in the index" in done.stderr
    record = orjson.loads((tmp_path / "run" / "record.json").read_bytes())
    assert record["model"]["settings"]["open_book"] is True
    (task,) = record["tasks"]
    assert task["contamination"][0]["n"] == 1
    assert task["metrics"]["permutation"]["consistent"] == 1.0
    page = RUNNER.invoke(app, ["bench", "leaderboard", str(tmp_path / "run")])
    assert "### Measured here, open book" in page.stdout


def test_an_option_that_the_reader_does_not_have_is_told(invented_kb: Path, tmp_path: Path) -> None:
    arguments = ["bench", "run", "--model", f"ask:{invented_kb}", "--task", "cti-mcq", "--option", "embedding=false"]
    refused = RUNNER.invoke(app, [*arguments, "--data", str(write_items(tmp_path)), "--out", str(tmp_path / "run")])
    assert isinstance(refused.exception, SettingError)
    assert "embeddings" in str(refused.exception.fix)
