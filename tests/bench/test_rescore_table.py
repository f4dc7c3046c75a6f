from __future__ import annotations

import asyncio
import io
import runpy
from pathlib import Path

from rich.console import Console

from ctiforge.bench.protocol import customize, find_protocol
from ctiforge.bench.rescore import run_rescore
from ctiforge.bench.rescore_table import render_rescore
from ctiforge.bench.runner import run_benchmark

TOY = runpy.run_path(str(Path(__file__).with_name("toy.py")))


def test_a_run_folder_scored_again_shows_trials_rules_and_mean(tmp_path: Path) -> None:
    task = TOY["rcm"]()
    protocol = customize(find_protocol("foundation-sec-ift"), {"trials": 2})
    report = asyncio.run(run_benchmark(TOY["ToyModel"](), [task], protocol, tmp_path))
    stream = io.StringIO()
    Console(file=stream, width=100).print(render_rescore(run_rescore(tmp_path, task, "first-cwe")))
    shown = stream.getvalue()
    (part,) = report.record["tasks"]
    for trial in part["trials"]:
        assert f"{trial['accuracy']:.4f}" in shown  # each completion names one CWE, so every rule reads the same
    assert f"mean {part['accuracy']['mean']:.4f} ± {part['accuracy']['std']:.4f}" in shown
    assert "first-cwe *" in shown
    assert "unique-cwe" in shown
    assert "cut off" not in shown


def test_a_trial_with_missing_items_is_shown_as_invalid(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("id,completion\ntoy-rcm/0000,CWE-79\n", encoding="utf-8")
    stream = io.StringIO()
    Console(file=stream, width=100).print(render_rescore(run_rescore(tmp_path / "mine.csv", TOY["rcm"]())))
    assert "invalid" in stream.getvalue()
    assert "mean" not in stream.getvalue()
