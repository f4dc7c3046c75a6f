from __future__ import annotations

import json
import random
import re
import runpy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ctiforge.cli.commands import app
from ctiforge.core.errors import ExitCode, InputError
from ctiforge.corpus.audit import run_audit
from ctiforge.corpus.audit_findings import AuditReport
from ctiforge.corpus.audit_html import mark_differences, render_html
from ctiforge.corpus.audit_text import render_audit, report_json, verdict
from ctiforge.corpus.contamination import load_benchmarks, normalize

INVENTED: dict[str, Any] = runpy.run_path(str(Path(__file__).parent / "contamination" / "invented_benchmark.py"))
ASK = "You see a CVE below. Say which weakness it has and why, the ID last. CVE Description: "


def write_corpus(path: Path, texts: Iterable[str]) -> Path:
    path.write_text("\n".join(json.dumps({"prompt": ASK + text, "completion": "It is.\n\nCWE-20"}) for text in texts))
    return path


def nearly(text: str) -> str:
    return " ".join(word for place, word in enumerate(text.split()) if place != 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def benchmark(folder: Path) -> Path:
    (folder / "bench").mkdir()
    INVENTED["write_benchmark"](folder / "bench")
    return folder / "bench"


@pytest.fixture(scope="module")
def leaky(folder: Path, benchmark: Path) -> Path:
    """Items 0-4 as they are (one twice), 5 and 6 with a word left out, among a hundred others."""
    own = [item.text for item in load_benchmarks([benchmark / "own-rcm.tsv"]).items]
    texts = [*own[:5], own[0].upper(), *map(nearly, own[5:7]), *INVENTED["descriptions"](100, 8)]
    return write_corpus(folder / "leaky.jsonl", texts)


@pytest.fixture(scope="module")
def report(leaky: Path, benchmark: Path) -> AuditReport:
    return run_audit(leaky, load_benchmarks([benchmark]), workers=1)


def test_items_count_once_and_records_each(report: AuditReport) -> None:
    exact, near = report.counts["exact_text"]["own-rcm.tsv"], report.counts["near_duplicate"]["own-rcm.tsv"]
    assert (report.records, exact.items, exact.records) == (108, 5, 6)
    assert (near.items, near.records) == (2, 2)
    assert report.found == {"own-mcq.tsv": 0, "own-rcm.tsv": 7}
    assert report.counts["exact_id"]["own-rcm.tsv"].items == 0


def test_the_shared_instruction_is_named_and_not_compared(report: AuditReport) -> None:
    assert report.instructions == [(ASK.strip(), 1.0)]
    assert report.pairs[0].record_text == report.pairs[0].item_text


def test_the_sweep_is_that_of_brute_force(report: AuditReport, leaky: Path) -> None:
    items = [set(normalize(item.text).split()) for item in report.benchmarks.items if item.file == "own-rcm.tsv"]
    texts = [set(normalize(json.loads(line)["prompt"].removeprefix(ASK)).split()) for line in leaky.read_text().splitlines()]
    for step, by_file in report.sweep.items():
        near = [[len(item & text) / len(item | text) >= step for text in texts] for item in items]
        counted = by_file["own-rcm.tsv"]
        assert counted.items == sum(map(any, near))
        assert counted.records == sum(map(any, zip(*near, strict=True)))


def test_the_verdict_can_be_quoted(report: AuditReport) -> None:
    said = verdict(report)
    assert said.startswith("CONTAMINATED. 108 records (SHA-256 ")
    assert "5 exact_text, 2 near_duplicate" in said
    assert "own-rcm.tsv: 7 of 60 items are in it" in said
    assert "0 of them as published" in said
    assert re.search(r"own-rcm\.tsv +60 +- +5 / 6 +2 / 2", render_audit(report))


def test_a_clean_corpus_is_called_clean(folder: Path, benchmark: Path) -> None:
    words = random.Random(1)
    texts = [" ".join(words.choice("abcdefghij") * words.randint(3, 9) for _ in range(20)) for _ in range(30)]
    clean = run_audit(write_corpus(folder / "clean.jsonl", texts), load_benchmarks([benchmark]), workers=1)
    assert verdict(clean).startswith("CLEAN. 30 records")
    assert clean.pairs == []


def test_json_holds_every_count_and_pair(report: AuditReport) -> None:
    document = json.loads(json.dumps(report_json(report)))
    assert document["counts"]["exact_text"]["own-rcm.tsv"] == {"items": 5, "records": 6}
    assert document["items_found"] == {"own-mcq.tsv": 0, "own-rcm.tsv": 7}
    assert [pair["level"] for pair in document["pairs"]][:7] == ["exact_text"] * 5 + ["near_duplicate"] * 2
    assert "semantic" not in document["counts"]


def test_html_needs_nothing_else_and_shows_pairs(report: AuditReport) -> None:
    page = render_html(report)
    assert not re.search(r"<script|https?://(?!cve\.example)|src=|@import", page)
    assert page.count("<details open>") == 2
    assert "<mark>" in page


def test_differences_are_marked_and_texts_escaped() -> None:
    left, right = mark_differences("A <b>flaw</b> in Acme, old", "a <b>flaw</b> in Other, old text")
    assert left == "A &lt;b&gt;flaw&lt;/b&gt; in <mark>Acme,</mark> old"
    assert right == "a &lt;b&gt;flaw&lt;/b&gt; in <mark>Other,</mark> old <mark>text</mark>"


def test_several_processes_find_the_same(folder: Path, benchmark: Path, leaky: Path) -> None:
    rows = leaky.read_text().splitlines() + [
        json.dumps({"prompt": ASK + text, "completion": "x"}) for text in INVENTED["descriptions"](1000, 9)
    ]
    path = folder / "many.jsonl"
    path.write_text("\n".join(rows))
    benchmarks = load_benchmarks([benchmark])
    assert report_json(run_audit(path, benchmarks, workers=2)) == report_json(run_audit(path, benchmarks, workers=1))


def test_rows_that_were_not_checked_are_in_the_verdict(folder: Path, benchmark: Path, leaky: Path) -> None:
    path = folder / "holes.jsonl"
    path.write_text(leaky.read_text() + '\n{"prompt": ""}\n{"prom')
    with pytest.raises(InputError, match=r"row 109 \(line 109\)"):
        run_audit(path, load_benchmarks([benchmark]), workers=1)
    found = run_audit(path, load_benchmarks([benchmark]), skip_unreadable=True, workers=1)
    assert (found.records, len(found.unreadable)) == (108, 2)
    assert "2 rows could not be read and were not checked" in verdict(found)
    path.write_text('{"prompt": ""}')
    with pytest.raises(InputError, match="no record that can be checked"):
        run_audit(path, load_benchmarks([benchmark]), skip_unreadable=True)


def audit(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["corpus", "audit", *map(str, arguments), "--workers", "1"])


def test_the_command_reports_and_forbids(folder: Path, benchmark: Path, leaky: Path) -> None:
    plain = audit(leaky, "--against", benchmark, "--json", folder / "r.json", "--html", folder / "r.html")
    assert plain.exit_code == ExitCode.OK, plain.output
    assert "CONTAMINATED" in plain.stdout
    assert json.loads((folder / "r.json").read_text())["format"] == "ctiforge-corpus-audit/1"
    assert (folder / "r.html").read_text().startswith("<!DOCTYPE html>")
    forbidden = audit(leaky, "--against", benchmark, "--forbid", "exact_id,near_duplicate", "--json", "-")
    assert forbidden.exit_code == ExitCode.CONTAMINATED == 6
    assert json.loads(forbidden.stdout)["counts"]["near_duplicate"]["own-rcm.tsv"]["items"] == 2
    assert "near_duplicate (7 items)" in forbidden.stderr
    assert audit(leaky, "--against", benchmark, "--forbid", "exact_id", "--forbid", "options").exit_code == ExitCode.OK
    wrong = audit(leaky, "--against", benchmark, "--forbid", "exactid")
    assert "no contamination level 'exactid'" in str(wrong.exception)


@pytest.mark.slow
def test_the_published_training_file_holds_a_benchmark(shared_data: Path) -> None:
    benchmarks = load_benchmarks([shared_data / "ctibench"])
    found = run_audit(shared_data / "published" / "rcm_2021_train.jsonl.xz", benchmarks)
    assert found.records == 6776
    assert found.found["cti-rcm-2021.tsv"] == 1000
    assert found.counts["exact_text"]["cti-rcm.tsv"].items == 1
    assert found.counts["near_duplicate"]["cti-rcm.tsv"].items > 0
    assert {pair.file for pair in found.pairs if pair.level == "near_duplicate"} == {"cti-rcm.tsv", "cti-vsp.tsv"}
    assert all(not pair.record_text.startswith("Analyze the following") for pair in found.pairs)
    assert [share for _, share in found.instructions] == [1.0]
    assert found.counts["near_duplicate"]["cti-mcq.tsv"].items == 0
