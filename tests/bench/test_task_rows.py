"""Rows of task files: what was written is what is read, and what cannot be read is named."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctiforge.bench.task_rows import Row, RowFormat, read_jsonl, read_rows, read_table
from ctiforge.core.errors import InputError

# Any text but what ends a cell or a row; NUL is left out by the table reader.
PLAIN = st.text(st.characters(exclude_characters="\t\n\r\0", exclude_categories=["Cs"]), max_size=30)
UNQUOTED = PLAIN.filter(lambda text: not text.lstrip(" ").startswith('"'))
ANY = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=30)
few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(
    rows=st.lists(st.tuples(UNQUOTED.filter(str.strip), UNQUOTED, UNQUOTED), min_size=1, max_size=8),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_an_unquoted_table_is_read_cell_by_cell(rows: list[tuple[str, str, str]], end: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    lines = ["\t".join(("a", "b", "c")), *("\t".join(row) for row in rows)]
    path.write_bytes((end.join(lines) + end).encode())
    found = list(read_table(path))
    assert [(row.cells["a"], row.cells["b"], row.cells["c"]) for row in found] == rows
    assert [row.number for row in found] == list(range(len(rows)))


@few
@given(rows=st.lists(st.tuples(ANY, ANY), min_size=1, max_size=8), delimiter=st.sampled_from([",", "\t"]))
def test_a_quoted_table_is_read_cell_by_cell(rows: list[tuple[str, str]], delimiter: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("a", "b"), *rows])
    assert [(row.cells["a"], row.cells["b"]) for row in read_table(path, delimiter=delimiter)] == rows


JSON_VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), ANY, st.lists(ANY, max_size=3))


@few
@given(records=st.lists(st.dictionaries(ANY, JSON_VALUES, max_size=4), min_size=1, max_size=6), bom=st.booleans())
def test_json_lines_are_read_value_by_value(records: list[dict[str, object]], bom: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    text = "\n\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    path.write_text(text, "utf-8-sig" if bom else "utf-8")
    found = list(read_jsonl(path))
    assert [row.cells for row in found] == records
    assert [row.line for row in found] == [1 + 2 * number for number in range(len(records))]


@few
@given(data=st.binary(max_size=200), format_=st.sampled_from(["jsonl", "csv", "tsv"]))
def test_whatever_the_bytes_rows_or_an_input_error_come_out(data: bytes, format_: RowFormat, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    try:
        rows = list(read_rows(path, format_))
    except InputError as error:
        assert str(path) in error.message  # noqa: PT017
        assert error.fix  # noqa: PT017
    else:
        assert rows


def test_a_cell_that_starts_with_a_quote_is_text(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text('a\tb\n"Clear" does not clear.\tp "Clear" does not\n"open only\tx\n', "utf-8")
    assert [row.cells["a"] for row in read_table(path)] == ['"Clear" does not clear.', '"open only']


def test_separators_of_unicode_end_no_row(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes("a\tb\none\u2028line\x0b\ttwo\x85\n".encode())
    assert [dict(row.cells) for row in read_table(path)] == [{"a": "one\u2028line\x0b", "b": "two\x85"}]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a\tb\n1\t2\n3\t4\t5\n", r"row 1 \(line 3\): 3 cells, where the header has 2 columns"),
        (b"a\tb\n1\t2\nx\t\xff\n", "line 3 is not UTF-8"),
        (b"a\tb\n", "no rows"),
        (b"", "no rows"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=reason):
        list(read_table(path))


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        list(read_jsonl(tmp_path / "none.jsonl"))


def test_a_missing_column_gets_a_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("question,anser\nq,a\n", "utf-8")
    with pytest.raises(InputError, match="no column 'answer' among 'question', 'anser'") as caught:
        list(read_table(path, ("question", "answer"), delimiter=","))
    assert caught.value.fix == "did you mean 'anser'?"


def test_names_of_columns_may_be_spelt_in_several_ways() -> None:
    row = Row(Path("x"), 0, 1, {"Option A": "one", "gold": "", "GT": "B", "n": 7})
    assert row.text("option_a") == row.text("optionA") == "one"
    assert row.text("gold", "gt") == "B"  # a blank cell is none
    assert row.text("n") == "7"
    assert row.optional("nothing") == ""
    with pytest.raises(InputError, match="'nothing' is missing or empty"):
        row.text("nothing")
