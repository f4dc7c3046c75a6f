"""`ctiforge bench` against a server that behaves badly, and killed at random: run for real, as a child process."""

from __future__ import annotations

import csv
import json
import random
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ctiforge.bench.protocol import find_protocol
from ctiforge.cli.commands import app
from ctiforge.core.errors import ExitCode

STUB = runpy.run_path(str(Path(__file__).parents[1] / "models" / "stub_server.py"))
TASK = """\
name: toy
description: Invented questions.
licence: CC0-1.0
file: toy.csv
format: csv
answer_kind: choice
prompt: "{question} A) {a} B) {b} C) {c} D) {d} Say one letter."
question: "{question}"
choices: [a, b, c, d]
target: gold
id: id
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """The YAML file of an invented task of 30 items."""
    with (tmp_path / "toy.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "question", "a", "b", "c", "d", "gold"])
        for i in range(30):
            writer.writerow(
                [f"q{i}", f"Which part of Frobnicator fails in case {i}?", "pump", "valve", "cable", "lamp", "ABCD"[i % 4]]
            )
    (tmp_path / "toy.yaml").write_text(TASK, encoding="utf-8")
    return tmp_path / "toy.yaml"


@pytest.fixture
def stub() -> Iterator[Any]:
    with STUB["run_in_thread"](STUB["StubServer"](keep=100_000)) as server:
        yield server


def command(stub: Any, toy: Path, out: Path, *more: str) -> list[str]:
    settings = ["--model", stub.url, "--task", str(toy), "--data", str(toy.parent), "--out", str(out)]
    return [sys.executable, "-m", "ctiforge", "bench", "run", *settings, *more]


def bench(stub: Any, toy: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(stub, toy, out, *more), capture_output=True, text=True, timeout=120, check=False)


def keys(out: Path) -> set[tuple[str, int]]:
    path = out / "completions.jsonl"
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
    return {(each["sample_id"], each["trial"]) for each in map(json.loads, whole.splitlines())}


@pytest.mark.enable_socket
def test_a_run_and_its_report(stub: Any, toy: Path, tmp_path: Path) -> None:
    ended = bench(stub, toy, tmp_path / "run", "--json")
    assert ended.returncode == 0, ended.stderr
    record = json.loads(ended.stdout)
    assert record["complete"]
    assert record["model"] == {
        "name": "stub-model",
        "backend": "openai",
        "endpoint": stub.url,
        "digest": None,
        "chat_template_sha256": None,
        "settings": record["model"]["settings"],
    }
    assert stub.count == 150
    assert "150 asked" in ended.stderr
    shown = CliRunner().invoke(app, ["bench", "report", str(tmp_path / "run")])
    assert shown.exit_code == 0
    assert "toy" in shown.stdout
    assert "custom" not in shown.stdout


@pytest.mark.enable_socket
@pytest.mark.slow
def test_killed_at_ten_random_points_it_ends_with_the_same_record_and_asks_nothing_twice(
    stub: Any, toy: Path, tmp_path: Path
) -> None:
    assert bench(stub, toy, tmp_path / "undisturbed").returncode == 0
    stub.requests.clear()
    stub.delay_s = 0.03
    protocol = find_protocol("foundation-sec-ift")
    key_of = {protocol.request_seed(f"toy/q{i}", trial): (f"toy/q{i}", trial) for i in range(30) for trial in range(5)}
    out, rng, kills = tmp_path / "killed", random.Random(11), 0
    more = ("--concurrency", "2")
    # The undisturbed run above had another concurrency, so the record's protocol differs; repeat it with the same one.
    assert bench(stub, toy, tmp_path / "undisturbed-2", *more).returncode == 0
    stub.requests.clear()
    while kills < 10:
        kept = keys(out)
        seen = len(stub.requests)
        child = subprocess.Popen(command(stub, toy, out, *more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(stub.requests) == seen and child.poll() is None:
            time.sleep(0.005)  # it has begun to ask
        time.sleep(rng.uniform(0.0, 0.2))
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "the run ended before it was killed: make it longer"
        kills += 1
        asked = [key_of[each["body"]["seed"]] for each in list(stub.requests)[seen:] if "seed" in (each.get("body") or {})]
        assert len(asked) == len(set(asked))
        assert not kept & set(asked), "what was kept is never asked again"
    assert 0 < len(keys(out)) < 150
    kept = keys(out)
    ended = bench(stub, toy, out, *more)
    assert ended.returncode == 0, ended.stderr
    assert f"{150 - len(kept)} asked, {len(kept)} kept from before" in ended.stderr
    for name in ("record.json", "scores.jsonl"):
        assert (out / name).read_bytes() == (tmp_path / "undisturbed-2" / name).read_bytes()


FAULTS = {
    "500": "http_status",
    "429:retry-after=0": "http_status",
    "html": "malformed",
    "half": "malformed",
    "no-choices": "malformed",
    "empty": "empty",
    "hang": "timeout",
    "reset": "connection",
    "400": "refused",
}


@pytest.mark.enable_socket
@pytest.mark.slow
@pytest.mark.parametrize(("fault", "kind"), FAULTS.items())
def test_a_fault_that_stays_is_a_counted_outcome(stub: Any, toy: Path, tmp_path: Path, fault: str, kind: str) -> None:
    stub.plan = lambda number, body: fault if "case 7?" in json.dumps(body) else "ok"
    ended = bench(stub, toy, tmp_path / "run", "--protocol", "greedy", "--timeout", "0.3", "--attempts", "3", "--json")
    assert ended.returncode == ExitCode.INCOMPLETE, ended.stderr
    assert f"1 requests failed (1 {kind})" in ended.stderr
    assert "repeat the command" in ended.stderr
    (task,) = json.loads(ended.stdout)["tasks"]
    assert task["trials"][0]["counts"]["failed"] == 1
    assert not task["trials"][0]["valid"]
    assert task["accuracy"] is None

    stub.plan = ()
    before = stub.count
    again = bench(stub, toy, tmp_path / "run", "--protocol", "greedy", "--timeout", "5", "--attempts", "3", "--json")
    assert again.returncode == 0, again.stderr
    assert stub.count == before + 1
    assert json.loads(again.stdout)["complete"]


@pytest.mark.enable_socket
@pytest.mark.slow
def test_faults_that_pass_are_retried_and_leave_no_trace_in_the_score(stub: Any, toy: Path, tmp_path: Path) -> None:
    assert bench(stub, toy, tmp_path / "calm", "--protocol", "greedy").returncode == 0
    stub.count = 0
    stub.plan = ["500", "429:retry-after=0", "html", "half", "empty", "reset", "ok", "no-choices"]
    assert bench(stub, toy, tmp_path / "rough", "--protocol", "greedy").returncode == 0
    assert (tmp_path / "rough" / "record.json").read_bytes() == (tmp_path / "calm" / "record.json").read_bytes()
    attempts = [json.loads(line)["attempts"] for line in (tmp_path / "rough" / "completions.jsonl").read_bytes().splitlines()]
    assert sum(attempts) == 30 + 7


@pytest.mark.parametrize("option", ["dtype", "=1", "no name=1"])
def test_an_option_without_a_value_is_a_usage_error(option: str, toy: Path, tmp_path: Path) -> None:
    settings = ["--task", str(toy), "--data", str(toy.parent), "--out", str(tmp_path / "run"), "--option", option]
    shown = CliRunner().invoke(app, ["bench", "run", "--model", "baseline:constant=A", *settings])
    assert shown.exception is not None
    assert getattr(shown.exception, "exit_code", None) == ExitCode.USAGE


def test_an_option_that_the_backend_does_not_have_is_a_usage_error(toy: Path, tmp_path: Path) -> None:
    settings = ["--task", str(toy), "--data", str(toy.parent), "--out", str(tmp_path / "run"), "--option", "dtype=bf16"]
    shown = CliRunner().invoke(app, ["bench", "run", "--model", "baseline:constant=A", *settings])
    assert "dtype" in str(shown.exception)
    assert getattr(shown.exception, "exit_code", None) == ExitCode.USAGE


@pytest.mark.enable_socket
def test_nobody_at_the_address_is_an_error_with_a_fix(toy: Path, tmp_path: Path, stub: Any) -> None:
    class Gone:
        url = "http://127.0.0.1:9/v1"

    ended = bench(Gone, toy, tmp_path / "run")
    assert ended.returncode == ExitCode.ERROR
    assert "127.0.0.1:9" in ended.stderr
    assert "fix:" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture
def runs(toy: Path, tmp_path: Path) -> list[str]:
    """Two run folders: always A, and a choice by chance."""
    folders = []
    for name, model in {"a": "baseline:constant=A", "chance": "baseline:uniform"}.items():
        out = str(tmp_path / name)
        settings = ["--task", str(toy), "--data", str(toy.parent), "--protocol", "greedy", "--out", out]
        shown = CliRunner().invoke(app, ["bench", "run", "--model", model, *settings])
        assert shown.exit_code == 0, shown.output
        folders.append(out)
    return folders


def invoke(*arguments: str) -> str:
    shown = CliRunner().invoke(app, ["bench", *arguments])
    assert shown.exit_code == 0, shown.output
    return shown.stdout


def test_reports_of_two_runs_in_every_form(runs: list[str], tmp_path: Path) -> None:
    records = json.loads(invoke("report", *runs, "--json"))
    assert [record["model"]["backend"] for record in records] == ["baseline", "baseline"]
    assert records[0]["tasks"][0]["accuracy"]["mean"] == pytest.approx(8 / 30)
    assert "0.2667" in invoke("report", *runs)
    assert invoke("report", *runs, "--markdown").startswith("#")
    assert invoke("report", *runs, "--html", str(tmp_path / "report.html")) == ""
    assert "<svg" in (tmp_path / "report.html").read_text("utf-8")


def test_comparison_leaderboard_and_model_index(runs: list[str], tmp_path: Path) -> None:
    (row,) = json.loads(invoke("compare", *runs, "--json"))["tasks"]
    assert row["n"] == 30
    assert "Holm" in invoke("compare", *runs)
    page = invoke("leaderboard", *runs)
    assert "always-A" in page
    assert "not measured here" in page
    assert invoke("leaderboard", *runs, "--out", str(tmp_path / "page.md")) == ""
    assert (tmp_path / "page.md").read_text("utf-8") == page
    assert "model-index:" in invoke("model-index", runs[0], "--name", "always-a")


def test_rescoring_a_run(runs: list[str], toy: Path) -> None:
    arguments = ["rescore", runs[0], "--task", str(toy), "--data", str(toy.parent)]
    result = json.loads(invoke(*arguments, "--json"))
    assert result["accuracy_mean"] == pytest.approx(8 / 30)
    assert {row["rule"] for row in result["sensitivity"]} >= {"cascade", "last-letter"}
    assert "cascade" in invoke(*arguments)


def test_what_there_is_to_choose_from() -> None:
    listed = json.loads(invoke("ls", "--json"))
    assert {"cti-rcm", "cti-mcq", "athena-mcq"} <= set(listed["tasks"])
    assert len(listed["protocols"]["foundation-sec-ift"]["digest"]) == 64
    assert "foundation-sec-ift" in invoke("ls")
    assert "embedded" in invoke("models")
    assert "gguf:FILE" in invoke("models")


def test_one_run_has_nothing_to_be_compared_with(runs: list[str]) -> None:
    shown = CliRunner().invoke(app, ["bench", "compare", runs[0]])
    assert getattr(shown.exception, "exit_code", None) == ExitCode.USAGE


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot read"), ("not json", "flagged"), ("[]", "flagged"), ('{"flagged": 7}', "flagged")]
)
def test_a_contamination_report_that_is_none(content: str | None, message: str, toy: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    settings = ["--task", str(toy), "--data", str(toy.parent), "--out", str(tmp_path / "run"), "--contamination", str(path)]
    shown = CliRunner().invoke(app, ["bench", "run", "--model", "baseline:constant=A", *settings])
    assert message in str(shown.exception)
    assert str(path) in str(shown.exception)


def test_an_audit_report_says_which_items_are_flagged(toy: Path, tmp_path: Path) -> None:
    def run(name: str, *more: str) -> dict[str, Any]:
        where = ["--task", str(toy), "--data", str(toy.parent), "--out", str(tmp_path / name)]
        shown = CliRunner().invoke(app, ["bench", "run", "--model", "baseline:constant=A", *where, "--json", *more])
        assert shown.exit_code == 0, shown.output
        found: dict[str, Any] = json.loads(shown.stdout)["tasks"][0]
        return found

    run("plain")
    pairs = [
        {"item_id": sample, "level": "exact_text"} for sample in sorted({each for each, _ in keys(tmp_path / "plain")})[:2]
    ]
    (tmp_path / "audit.json").write_text(json.dumps({"format": "ctiforge-corpus-audit/1", "pairs": pairs}), encoding="utf-8")
    task = run("flagged", "--contamination", str(tmp_path / "audit.json"))
    assert {each["slice"]: each["n"] for each in task["contamination"]}["flagged"] == 2


def test_an_audit_and_a_run_number_items_alike(shared_data: Path) -> None:
    from ctiforge.bench.tasks.cti_rcm import TASK
    from ctiforge.corpus.contamination.benchmarks import load_benchmarks

    file = shared_data / "ctibench" / "cti-rcm.tsv"
    samples = {sample.id: sample.question for sample in TASK.load(file)}
    for item in load_benchmarks([file]).items[:50]:
        assert item.text[:60] in samples[item.item_id]
