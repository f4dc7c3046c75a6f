from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.classify.outputs import OUTPUTS, OutputOptions
from ctiforge.classify.outputs.csv_rows import _safe
from ctiforge.classify.prediction import Prediction


def test_rows_read_back_with_the_header(options: OutputOptions, batch: tuple[Prediction, ...]) -> None:
    renderer = OUTPUTS["csv"].renderer(replace(options, top_k=2))
    rows = list(csv.DictReader(io.StringIO(renderer.begin() + "".join(map(renderer.render, batch)))))
    assert [row["id"] for row in rows] == [each.id for each in batch]
    first, second, third, *_ = rows
    assert (first["cwe_1"], first["probability_1"], first["abstained"], first["reason"]) == ("CWE-79", "0.9746", "false", "")
    assert first["assigned"] == "CNA: CWE-79; ADP: CWE-80"
    assert first["evidence"].startswith("cross-site scripting; ")
    assert second["discouraged"] == "CWE-119 (prefer CWE-787 or CWE-125)"
    assert (third["abstained"], third["reason"], third["cwe_2"]) == ("true", "low_information", "")
    assert "cwe_3" not in first


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "\u200b=1"])
def test_formulas_are_defused(cell: str) -> None:
    assert _safe(cell).startswith("'")


@given(st.text())
def test_no_cell_starts_a_formula_or_a_new_line(cell: str) -> None:
    safe = _safe(cell)
    assert not safe.startswith(("=", "+", "-", "@"))
    assert len(safe.splitlines()) <= 1
