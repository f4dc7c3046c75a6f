from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from ctiforge.core.errors import InputError, MissingExtraError
from ctiforge.corpus.rows import data_files, read_file_rows

ROWS: list[dict[str, Any]] = [{"prompt": 'one, "two"', "n": "1"}, {"prompt": "three\tfour é", "n": "2"}]
LINES = "\n".join(map(json.dumps, ROWS))


def cells(path: Path) -> list[dict[str, Any]]:
    rows = list(read_file_rows(path))
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert not any(row.fault for row in rows)
    return [dict(row.cells) for row in rows]


@pytest.mark.parametrize(("name", "data"), [
    ("a.jsonl", LINES.encode()), ("a.json", json.dumps(ROWS).encode()),
    ("a.json", json.dumps({"data": ROWS}, indent=1).encode()),
    ("a.csv", b'prompt,n\n"one, ""two""",1\nthree\tfour \xc3\xa9,2\n'), ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)),
    ("a.jsonl.xz", lzma.compress(LINES.encode())), ("no-suffix", LINES.encode()), ("a.json", LINES.encode()),
    ("utf16.jsonl", LINES.encode("utf-16")),
])  # fmt: skip
def test_the_same_rows_come_from_every_format(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert cells(tmp_path / name) == ROWS


def test_parquet_is_read(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").Table.from_pylist(ROWS)
    parquet.write_table(table, tmp_path / "a.parquet")
    assert cells(tmp_path / "a.parquet") == ROWS
    damaged = (tmp_path / "a.parquet").read_bytes()[:-20]
    (tmp_path / "a.parquet").write_bytes(damaged)
    with pytest.raises(InputError, match="damaged Parquet"):
        list(read_file_rows(tmp_path / "a.parquet"))


def test_parquet_without_its_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1....PAR1")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="pyarrow"):
        list(read_file_rows(tmp_path / "a.parquet"))


@pytest.mark.parametrize(("data", "number", "line", "said"), [
    (b'{"a": 1}\n\n{"a": \n{"a": 3}', 2, 3, "not JSON"), (b'{"a": 1}\n{"a": "\xe9"}\n', 2, 2, "not UTF-8"),
    (b'{"a": 1}\n[1]\n', 2, 2, "not an object"),
])  # fmt: skip
def test_a_bad_row_has_its_fault(tmp_path: Path, data: bytes, number: int, line: int, said: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(data)
    bad = [row for row in read_file_rows(tmp_path / "a.jsonl") if row.fault]
    assert [(row.number, row.line) for row in bad] == [(number, line)]
    assert said in bad[0].fault
    error = bad[0].error(bad[0].fault)
    assert f"a.jsonl: row {number} (line {line}): " in error.message
    assert error.fix


def test_a_short_table_row_has_its_fault(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"prompt,description\nx,y\nonly\nv,caf\xe9\n")
    rows = list(read_file_rows(tmp_path / "a.csv"))
    assert [bool(row.fault) for row in rows] == [False, True, True]
    assert "Windows-1252" in rows[2].fault


@pytest.mark.parametrize("data", [b"", b"just words\n", b"\x00\x01\x02"])
def test_what_is_no_data_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(InputError):
        list(read_file_rows(tmp_path / "a.bin"))


def test_damage_and_ambiguity_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINES.encode() * 50)[:-9])
    with pytest.raises(InputError, match="ends too early"):
        list(read_file_rows(tmp_path / "a.jsonl.gz"))
    (tmp_path / "a.json").write_text(json.dumps({"train": ROWS, "test": ROWS}, indent=1))
    with pytest.raises(InputError, match="train, test"):
        list(read_file_rows(tmp_path / "a.json"))


def test_a_folder_gives_its_data_files(tmp_path: Path) -> None:
    for name in ("b.jsonl.xz", "a.parquet", "README.md", ".hidden.json", "sub/c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.name for path in data_files(tmp_path)] == ["a.parquet", "b.jsonl.xz", "c.csv"]
    with pytest.raises(InputError, match="no such file"):
        data_files(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no data files"):
        data_files(tmp_path / "empty")
