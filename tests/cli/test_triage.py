"""``ctiforge triage``: what a person sees, what a program reads, what the exit code says."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import Result
from typer.testing import CliRunner

pytest.importorskip("sqlalchemy")

from ctiforge.cli.commands import app
from ctiforge.core.errors import CtiforgeError

HERE = Path(__file__).resolve().parent
tiny_model = runpy.run_path(str(HERE.parent / "classify" / "conftest.py"))["tiny_model"]
INVENTED = SimpleNamespace(**runpy.run_path(str(HERE.parent / "triage" / "invented_feeds.py")))
A = "CVE-2099-10001"


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["triage", *arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def failed(*arguments: str) -> CtiforgeError:
    error = CliRunner().invoke(app, ["triage", *arguments]).exception
    assert isinstance(error, CtiforgeError), error
    return error


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    records = [
        INVENTED.cve(10001, cna=("CWE-79",), adp=("CWE-89",), ssvc=("active", "yes", "total"), kev="2099-02-20", score=9.8),
        INVENTED.cve(10002, INVENTED.OVERFLOW),
        INVENTED.cve(10003, INVENTED.VAGUE),
    ]
    return Path(INVENTED.write_feed(tmp_path / "feed.jsonl", records))


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CTIFORGE_TRIAGE_DB", str(tmp_path / "t.db"))
    monkeypatch.setenv("CTIFORGE_REVIEWER", "Ada")


@pytest.fixture
def filled(feed: Path, tiny_model: Path) -> None:
    run("import", str(feed), "--model", str(tiny_model))


def test_a_morning(feed: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = run("import", str(feed), "--model", str(tiny_model)).output
    assert "3 records: 3 new, 0 changed (0 decisions opened again), 0 unchanged, 0 outdated, 0 rejected" in out
    out = run("queue").output
    assert out.index(A) < out.index("CVE-2099-10002")
    assert "CNA CWE-79; ADP CWE-89" in out
    assert "low information" in out
    assert "act: exploitation active" in run("queue", "--explain", A).output
    assert "SQL injection in the login" in run("show", A).output
    assert f"{A}: accepted CWE-89 (was: open), version 2" in run("review", "accept", A, "--version", "1").output
    assert "corrected CWE-416, CWE-125" in run("review", "correct", "CVE-2099-10002", "CWE-416", "125").output
    assert "rejected" in run("review", "reject", "CVE-2099-10003", "-m", "too vague").output
    assert "Ada" in run("history", A).output
    assert "50.0%" in run("stats").output
    assert run("queue").output.strip() == "nothing fits"
    run("export", "csv", "--to", "out.csv")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4
    assert "open" in run("review", "undo", A).output
    assert run("verify").output.startswith("whole: 7 links, 4 reviews\nhead: 7:")


@pytest.mark.usefixtures("filled")
def test_machines_get_json() -> None:
    page = json.loads(run("queue", "--json").output)
    assert (page["total"], page["items"][0]["assigned"]) == (3, {"adp": ["CWE-89"], "cna": ["CWE-79"]})
    assert json.loads(run("show", A, "--json").output)["suggestion"]["prediction"]["suggestions"][0]["cwe_id"] == "CWE-89"
    assert json.loads(run("queue", "--explain", A, "--json").output)[0]["name"] == "kev"
    assert json.loads(run("review", "accept", A, "--json").output)["version"] == 2
    assert json.loads(run("history", "--json").output)[-1]["action"] == "accept"
    assert json.loads(run("verify", "--json").output)["broken"] is None
    assert json.loads(run("stats", "--json").output)["states"]["accepted"] == 1


@pytest.mark.usefixtures("filled")
def test_a_conflict_has_an_exit_code_of_its_own() -> None:
    run("review", "accept", A, "--version", "1")
    assert failed("review", "accept", A, "--version", "1", "--as", "Ben").exit_code == 8
    assert "look at it again: ctiforge triage show " + A in str(failed("review", "accept", A, "--version", "1", "--as", "Ben"))
    assert "say who decides: --as NAME" in str(failed("review", "accept", "CVE-2099-10002", "--as", ""))
    assert "say why: --reason TEXT" in str(failed("review", "reject", A))


@pytest.mark.usefixtures("filled")
def test_bulk_acceptance_asks_first(tmp_path: Path) -> None:
    run("cp", "default", "mine.yaml")
    rules = (tmp_path / "mine.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(rules.replace("bulk_min_probability: 0.9", "bulk_min_probability: 0.5"))
    assert "3 items ranked" in run("rank", "--settings", "mine.yaml").output
    assert "1 items would be accepted" in run("bulk-accept", "--min-probability", "0.5", "-m", "sure").output
    assert "bulk-undo 1" in run("bulk-accept", "--min-probability", "0.5", "-m", "sure", "--yes").output
    assert "1 items are again" in run("bulk-undo", "1").output


def test_a_feed_that_cannot_be_read_has_an_exit_code(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"cveMetadata": {"cveId": "x"}}\n')
    run("import", str(tmp_path / "bad.jsonl"), "--model", str(tiny_model), code=4)
    assert "missing_field" in (tmp_path / "ctiforge-rejects.jsonl").read_text()


def test_drift_has_an_exit_code(tmp_path: Path, tiny_model: Path) -> None:
    texts = {1: INVENTED.SQL, 2: INVENTED.SQL, 3: INVENTED.OVERFLOW}
    records = [
        INVENTED.cve(10000 + 100 * month + n, text, published=f"2099-0{month}-10")
        for month, text in texts.items()
        for n in range(60)
    ]
    run("import", str(INVENTED.write_feed(tmp_path / "months.jsonl", records)), "--model", str(tiny_model))
    out = run("drift", "--no-texts", "--plot", "drift.svg", code=7).output
    assert "reference 2099-01, 60 items" in out
    assert "!" in next(line for line in out.splitlines() if line.startswith("2099-03"))
    assert (tmp_path / "drift.svg").read_text().startswith("<?xml")
    assert (
        json.loads(run("drift", "--no-texts", "--json", "--reference", "2099-01..2099-02", code=7).output)["reference_items"]
        == 120
    )
    assert "0 decisions written" in run("export", "stix").output
