from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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


def ctiforge(*arguments: str, cwd: Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ctiforge", *arguments]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, timeout=60, check=False)


def lines(output: bytes) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in output.splitlines()]


def feed_line(number: int, description: str = SQL) -> bytes:
    return orjson.dumps({"id": f"CVE-2099-{number}", "description": description}) + b"\n"


def test_a_text_gives_json_lines_in_a_pipe(tmp_path: Path) -> None:
    done = ctiforge("classify", SQL, cwd=tmp_path)
    assert done.returncode == ExitCode.OK
    (record,) = lines(done.stdout)
    assert record["suggestions"][0]["cwe_id"] == "CWE-89"  # type: ignore[index]
    assert {"id", "abstained", "reason", "suggestions", "model", "model_digest", "cwe_version", "policy"} <= record.keys()
    assert b"\x1b" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_standard_input_texts_and_files_together_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(feed_line(10001))
    done = ctiforge("classify", "a.jsonl", "-", SQL, cwd=tmp_path, stdin=feed_line(10002))
    assert [record["id"] for record in lines(done.stdout)] == ["CVE-2099-10001", "CVE-2099-10002", "text:1"]


def test_columns_are_mapped(tmp_path: Path) -> None:
    (tmp_path / "items.tsv").write_text(f"URL\tWhat it says\nhttps://x.example/CVE-2099-10001\t{SQL}\n")
    done = ctiforge("classify", "items.tsv", "--map", "id=URL,description=What it says", cwd=tmp_path)
    assert [record["id"] for record in lines(done.stdout)] == ["CVE-2099-10001"]


def test_rejects_are_kept_with_file_line_and_reason(tmp_path: Path) -> None:
    (tmp_path / "feed.jsonl").write_bytes(feed_line(10001) + b"{broken\n" + feed_line(10002))
    done = ctiforge("classify", "feed.jsonl", "--rejects", "bad/rejects.jsonl", cwd=tmp_path)
    assert done.returncode == ExitCode.OK
    assert len(lines(done.stdout)) == 2
    assert b"3 records: 2 answered, 0 abstained, 1 rejected (malformed_json 1)" in done.stderr
    (reject,) = lines((tmp_path / "bad" / "rejects.jsonl").read_bytes())
    assert (reject["reason"], reject["line"]) == ("malformed_json", 2)
    assert str(reject["path"]).endswith("feed.jsonl")


@pytest.mark.parametrize(
    ("content", "arguments", "code"),
    [
        (feed_line(10001), [], ExitCode.OK),
        (feed_line(10001), ["--strict"], ExitCode.OK),
        (feed_line(10001) + b"{broken\n", [], ExitCode.OK),
        (feed_line(10001) + b"{broken\n", ["--strict"], ExitCode.SOME_REJECTED),
        (b"{broken\n", [], ExitCode.NOTHING_READABLE),
        (b"", [], ExitCode.NOTHING_READABLE),
        (feed_line(10001), ["--top-k", "0"], ExitCode.USAGE),
        (feed_line(10001), ["--format", "cve6"], ExitCode.USAGE),
        (feed_line(10001), ["--output", "jsnl"], ExitCode.USAGE),
        (feed_line(10001), ["--policy", "mitr"], ExitCode.USAGE),
        (feed_line(10001), ["--model", "nowhere"], ExitCode.ERROR),
    ],
)
def test_exit_codes(tmp_path: Path, content: bytes, arguments: list[str], code: ExitCode) -> None:
    (tmp_path / "feed.jsonl").write_bytes(content)
    done = ctiforge("classify", "feed.jsonl", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr


def test_a_mistyped_path_is_an_error_not_a_text(tmp_path: Path) -> None:
    done = ctiforge("classify", "feeed.jsonl", cwd=tmp_path)
    assert done.returncode == ExitCode.ERROR
    assert b"feeed.jsonl: no such file or folder" in done.stderr
    assert done.stdout == b""


def test_every_output_is_written_to_a_file_too(tmp_path: Path, repository: Path) -> None:
    for output in ("table", "jsonl", "json", "csv", "markdown", "cve-adp", "nvd", "csaf"):
        target = tmp_path / f"out.{output}"
        arguments = ["classify", str(repository / "examples"), "-o", output, "--to", str(target), "-q"]
        result = CliRunner().invoke(app, [*arguments, "--rejects", str(tmp_path / "rejects.jsonl")])
        assert result.exit_code == 0, result.output
        assert "CVE-2099-10008" in target.read_text(encoding="utf-8")


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "feed.jsonl").write_bytes(b"".join(feed_line(10000 + i) for i in range(900)))
    command = [sys.executable, "-m", "ctiforge", "classify", "feed.jsonl"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b'{"id":"CVE-2099-10000"')
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == ExitCode.OK
    assert b"Traceback" not in errors
    assert b"BrokenPipe" not in errors


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
@pytest.mark.parametrize("records", [900, 40_000], ids=["one process", "several processes"])
def test_interrupting_leaves_complete_lines(tmp_path: Path, records: int) -> None:
    with (tmp_path / "feed.jsonl").open("wb") as stream:
        stream.writelines(feed_line(10000 + i, f"{SQL} {i} " * 30) for i in range(records))
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "ctiforge", "classify", "feed.jsonl", "-o", "jsonl", "--to", "out.jsonl", "--workers", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (out.exists() and out.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, errors
    assert b"interrupted after" in errors
    assert b"Traceback" not in errors
    assert out.read_bytes().endswith(b"\n")
    written = lines(out.read_bytes())
    assert 0 < len(written) < records
    assert [record["id"] for record in written] == [f"CVE-2099-{10000 + i}" for i in range(len(written))]


def test_a_csaf_document_names_its_publisher_and_its_readers(tmp_path: Path) -> None:
    (tmp_path / "feed.jsonl").write_bytes(feed_line(10000))
    options = ["--publisher", "Example PSIRT", "--publisher-url", "https://psirt.example", "--tlp", "green"]
    result = CliRunner().invoke(app, ["classify", str(tmp_path / "feed.jsonl"), "--output", "csaf", "--quiet", *options])
    assert result.exit_code == 0, result.output
    document = orjson.loads(result.stdout)["document"]
    assert document["publisher"]["name"] == "Example PSIRT"
    assert document["publisher"]["namespace"] == "https://psirt.example"
    assert document["distribution"]["tlp"]["label"] == "GREEN"


def test_an_unknown_tlp_label_gets_a_suggestion() -> None:
    result = CliRunner().invoke(app, ["classify", "text", "--output", "csaf", "--tlp", "ambre"])
    assert isinstance(result.exception, SettingError)
    assert "AMBER" in str(result.exception.fix)
