from __future__ import annotations

import io
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from ctiforge.bench.report import render_html, render_markdown, render_terminal
from ctiforge.bench.report.document import build_report
from ctiforge.bench.report.table import Table

Renderer = Callable[[list[dict[str, Any]]], str]


def terminal(records: list[dict[str, Any]]) -> str:
    console = Console(file=io.StringIO(), width=160, color_system=None, legacy_windows=False, _environ={})
    console.print(render_terminal(records))
    return console.file.getvalue()  # type: ignore[attr-defined]


RENDERERS = [terminal, render_markdown, render_html]


def tables(records: list[dict[str, Any]], task: str) -> dict[str, Table]:
    return {table.key: table for section in build_report(records).sections if section.title == task for table in section.tables}


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


@pytest.mark.parametrize("render", RENDERERS)
def test_a_record_without_a_valid_trial_shows_no_score(render: Renderer, invented: SimpleNamespace) -> None:
    text = render([invented.no_valid_trial()])
    assert "no valid trial" in text
    assert "invalid" in text
    assert "0 of 2" in text
    # What dividing the counts, or believing the trial's own field, would give.
    assert not re.search(r"0\.98[0-9]|0\.99|98\.|1\.000", text)


@pytest.mark.parametrize("render", RENDERERS)
def test_an_invalid_trial_among_valid_ones_is_marked_and_has_no_accuracy(render: Renderer, invented: SimpleNamespace) -> None:
    record = invented.record("Numbat-2B", invented.choice_task())
    record["tasks"][0]["trials"][1]["accuracy"] = 0.4321
    text = render([record])
    assert "2 of 3" in text
    assert "trial 1 invalid (40 failed requests)" in text
    assert "0.4321" not in text
    assert "0.6100 ± 0.0141" in text


@pytest.mark.parametrize("render", RENDERERS)
def test_one_trial_has_no_deviation(render: Renderer, invented: SimpleNamespace) -> None:
    text = render([invented.record("One", invented.vector_task())])
    assert "0.1800 ± –" in text
    assert "± 0.0000" not in text


@pytest.mark.parametrize("render", RENDERERS)
def test_nothing_answered_is_a_score_of_zero_and_no_items_is_none(render: Renderer, invented: SimpleNamespace) -> None:
    text = render([invented.nothing_answered()])
    assert "0.0000 ± –" in text
    assert "no valid trial" in text
    assert not re.search(r"\bnan\b", text.lower())


def test_a_changed_setting_is_flagged(invented: SimpleNamespace) -> None:
    report = build_report(invented.usual())
    assert any("Wombat-270M" in warning and "changed" in warning for warning in report.warnings)
    protocols = {row[1].text: row[-1] for row in report.summary.rows}
    assert protocols["Wombat-270M"].text == "greedy 1 (custom)"
    assert protocols["Wombat-270M"].tone == "warn"
    assert "custom" not in protocols["Numbat-2B"].text


def test_an_incomplete_run_is_said_even_if_no_trial_shows_it(invented: SimpleNamespace) -> None:
    record = invented.record("Half", invented.vector_task(), complete=False)
    assert build_report([record]).warnings == ("Half: the run is not complete.",)


def test_items_that_were_not_asked_are_said(invented: SimpleNamespace) -> None:
    record = invented.record("Half", invented.vector_task(), complete=False)
    record["tasks"][0]["trials"][0] |= {"valid": False, "missing": 7}
    record["tasks"][0]["accuracy"] = None
    (warning,) = build_report([record]).warnings
    assert "7 items not asked" in warning


def test_models_of_one_task_are_ordered_by_accuracy_and_those_without_come_last(invented: SimpleNamespace) -> None:
    report = build_report([invented.no_valid_trial(), *reversed(invented.usual())])
    rcm = [row[1].text for row in report.summary.rows if row[0].text == "cti-rcm"]
    assert rcm == ["Numbat-2B", "Wombat-270M", "Quokka-1B"]


def test_models_of_one_name_are_told_apart(invented: SimpleNamespace) -> None:
    first, second = invented.usual()
    second["model"]["name"] = "Numbat-2B"
    third = invented.changed(second)
    labels = {row[1].text for row in build_report([first, second, third]).summary.rows}
    assert labels == {
        "Numbat-2B (foundation-sec-ift 1)",
        "Numbat-2B (greedy 1 (custom)) #1",
        "Numbat-2B (greedy 1 (custom)) #2",
    }


def test_every_table_of_the_brief_is_there(invented: SimpleNamespace) -> None:
    found = tables(invented.usual(), "cti-rcm")
    assert set(found) == {"outcomes", "sensitivity", "top_k", "metrics", "usage", "per_label", "contamination"}
    assert set(tables(invented.usual(), "cti-mcq")) == {"outcomes", "sensitivity", "metrics", "per_letter"}
    assert [row[0] for row in texts(found["outcomes"])] == ["Numbat-2B"] * 3 + ["Wombat-270M"]
    assert texts(found["outcomes"])[1][1:] == ["1", "1001", "148", "50", "1", "1", "0", "0.7400", "0.990"]
    assert texts(found["sensitivity"])[0] == ["Numbat-2B", "last-cwe (used)", "0.7500", "0.7614", "591", "600"]
    assert texts(found["top_k"])[1] == ["Numbat-2B", "3", "0.8600"]
    assert ["Numbat-2B", "Discouraged", "42", "31", "0.052"] in texts(found["usage"])
    assert texts(found["contamination"])[0] == ["Numbat-2B", "flagged", "20", "0.9000", "0.750–1.000"]


def test_letters_are_shares_of_golds_and_answers(invented: SimpleNamespace) -> None:
    letters = tables(invented.usual(), "cti-mcq")["per_letter"]
    assert letters.columns[0].name == "Letter"  # one model: no column for it
    assert texts(letters)[2] == ["C", "0.370", "0.472", "0.730"]


def test_a_task_measured_on_two_files_warns(invented: SimpleNamespace) -> None:
    records = invented.usual()
    records[1]["tasks"][0]["sha256"] = "9" * 64
    notes = build_report(records).sections[0].notes
    assert any("not measured on the same file" in note for note in notes)
    assert not any("same file" in note for note in build_report(invented.usual()).sections[0].notes)


def test_left_out_items_are_counted(invented: SimpleNamespace) -> None:
    notes = " ".join(build_report(invented.usual()).sections[0].notes)
    assert "10 left out (duplicate)" in notes
    assert "3 items without a gold answer" in notes


def test_markdown_cells_stay_cells(invented: SimpleNamespace) -> None:
    text = render_markdown([invented.hostile()])
    assert "<script" not in text
    assert "@team" not in text
    assert "http://" not in text
    assert "\u202e" not in text
    for block in re.findall(r"(?m)(?:^\|.*\n)+", text):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1


def test_terminal_gets_no_control_characters(invented: SimpleNamespace) -> None:
    record = invented.hostile()
    record["model"]["name"] = "evil\x1b[31m\x07\u202egnp"
    text = terminal([record])
    assert not set(text) & set("\x1b\x07\u202e")
