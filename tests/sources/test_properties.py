"""Properties that hold for any input: nothing raises, nothing is lost, and the splitter agrees with a JSON parser."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from ctiforge.core.advisory import Advisory, Reject, SourceRef
from ctiforge.sources.formats import FORMATS
from ctiforge.sources.json_brackets import nesting_exceeds, value_end
from ctiforge.sources.json_split import split_json
from ctiforge.sources.lines import LongLine, split_lines
from ctiforge.sources.read import RawRecord, ReadOptions, parse_record, read_advisories
from ctiforge.sources.rejects import reject_row
from ctiforge.sources.tables import Table, TableRow, split_rows

TEXT = st.text(alphabet=st.one_of(st.sampled_from('"\\{}[],:\n\t aé漢0'), st.characters(codec="utf-8")), max_size=20)
LEAF = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), TEXT)
VALUE = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12)
# Keys that cannot be taken for an array of records.
OBJECT = st.dictionaries(TEXT.map(lambda key: "k" + key), VALUE, max_size=5)


def chunked(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    place = 0
    while place < len(data):
        for size in sizes:
            yield data[place : place + size]
            place += size


def read_bytes(data: bytes, options: ReadOptions) -> list[Advisory | Reject]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        path.write_bytes(data)
        return list(read_advisories([str(path)], options, duplicates="keep"))


@given(
    st.lists(OBJECT, max_size=8),
    st.sampled_from(["array", "lines", "joined", "document", "nested"]),
    st.sampled_from([None, 0, 2]),
    st.lists(st.integers(1, 200), min_size=1, max_size=5),
)
@settings(deadline=None, max_examples=150)
def test_splitting_agrees_with_parsing(
    records: list[dict[str, Any]], layout: str, indent: int | None, sizes: list[int]
) -> None:
    texts = [json.dumps(record, indent=indent) for record in records]
    document = {
        "array": json.dumps(records, indent=indent),
        "lines": "\n".join(texts),
        "joined": "".join(texts),
        "document": json.dumps({"total": len(records), "CVE_Items": records, "after": [{"x": 1}]}, indent=indent),
        "nested": json.dumps({"format": "x", "advisories": records}, indent=indent),
    }[layout]
    if layout in ("document", "nested") and not records:
        return  # an empty array leaves the document standing as one record
    pieces = list(split_json(chunked(document.encode(), sizes), 2**20))
    assert [piece.kind for piece in pieces] == ["record"] * len(records)
    assert [json.loads(piece.data) for piece in pieces] == records
    for piece in pieces:
        assert document.encode().split(b"\n")[piece.line - 1].find(piece.data.split(b"\n")[0]) >= 0


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 400))
@settings(deadline=None)
def test_the_splitter_loses_no_byte_that_matters(data: bytes, sizes: list[int], limit: int) -> None:
    """Whatever is not white space or a comma is inside some piece, unless it was over the limit or inside a document."""
    pieces = list(split_json(chunked(data, sizes), limit))
    if data.strip(b" \t\r\n,") and data.lstrip(b" \t\r\n,")[:1] not in (b"[", b"{", b"]", b"}"):
        assert pieces
    if not any(piece.kind == "too_large" for piece in pieces):
        kept = sum(len(piece.data.translate(None, b" \t\r\n,[]")) for piece in pieces)
        assert kept == len(data.translate(None, b" \t\r\n,[]"))


JSONISH = st.lists(
    st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b'"id"', b'{"id":1,"description":"x"}', b"\n"])
)


@given(JSONISH.map(b"".join), st.lists(st.integers(1, 30), min_size=1, max_size=3))
@settings(deadline=None, max_examples=300)
def test_pieces_are_parts_of_the_input_in_order(data: bytes, sizes: list[int]) -> None:
    place = 0
    for piece in split_json(chunked(data, sizes), 10_000):
        place = data.index(piece.data, place) + len(piece.data)
        assert 1 <= piece.line <= data.count(b"\n") + 1


@given(VALUE, st.integers(0, 12))
@settings(deadline=None)
def test_nesting_is_what_a_parser_sees(value: Any, limit: int) -> None:
    def depth(inner: Any) -> int:
        if isinstance(inner, dict):
            return 1 + max(map(depth, inner.values()), default=0)
        return 1 + max(map(depth, inner), default=0) if isinstance(inner, list) else 0

    assert nesting_exceeds(json.dumps(value).encode(), limit) == (depth(value) > limit)


@given(st.one_of(OBJECT, st.lists(VALUE, max_size=4)), st.binary(max_size=30))
def test_the_end_of_a_value_is_where_it_closes(value: Any, after: bytes) -> None:
    data = json.dumps(value).encode()
    assert value_end(data + after, 0) == len(data)
    assert value_end(data[:-1], 0) == -1


@given(st.binary(max_size=400), st.sampled_from([None, *FORMATS]))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_read_without_an_exception(data: bytes, name: str | None) -> None:
    results = read_bytes(data, ReadOptions(format=name, max_record_bytes=200, max_depth=5))
    for result in results:
        if isinstance(result, Reject):
            orjson.dumps(reject_row(result))
            assert result.detail
            assert len(result.excerpt) <= 200


ANY_LINE = st.one_of(
    st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b"")),
    OBJECT.map(orjson.dumps),
    st.sampled_from([b'{"cve_id": "CVE-2099-1000", "description": "a"', b"{", b"}", b"[]", b"null", b'"x"', b"[[1]]"]),
)


@given(st.lists(ANY_LINE, max_size=10))
@settings(deadline=None, max_examples=200)
def test_every_line_of_jsonl_comes_out_once_or_more(lines: list[bytes]) -> None:
    sound = orjson.dumps({"cve_id": "CVE-2099-1000", "description": "sound"})
    lines = [sound] * (len(lines) + 1) + lines
    results = read_bytes(b"\n".join(lines), ReadOptions())
    expected = {number for number, line in enumerate(lines, 1) if line and not line.isspace()}
    assert {result.source.line for result in results} == expected


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 60), st.lists(st.integers(1, 30), min_size=1, max_size=3))
def test_lines_are_those_of_the_whole(parts: list[bytes], limit: int, sizes: list[int]) -> None:
    data = b"\n".join(parts)
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    found = list(split_lines(chunked(data, sizes), limit))
    assert [one.length if isinstance(one, LongLine) else one for one in found] == [
        len(line) if len(line) > limit else line for line in expected
    ]


CELL = st.text(alphabet='ab ",;\té\n', max_size=12)


@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=8), st.sampled_from(",;\t"))
def test_quoted_tables_come_back_cell_for_cell(rows: list[tuple[str, str, str]], delimiter: str) -> None:
    def line(cells: tuple[str, ...]) -> str:
        return delimiter.join('"' + cell.replace('"', '""') + '"' for cell in cells)

    data = "\n".join([line(("id", "description", "title")), *map(line, rows)]).encode()
    found = list(split_rows(split_lines([data], 2**20), Table(delimiter, "csv"), 2**20))
    assert [tuple(row.cells.values()) for row in found if isinstance(row, TableRow)] == rows
    assert len(found) == len(rows) + 1


WORDS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40).filter(
    str.strip
)


@given(
    number=st.integers(1000, 10**9),
    texts=st.lists(st.tuples(st.sampled_from(["en", "en-GB", "EN", "de", "pt"]), WORDS), min_size=1, max_size=4),
    cwes=st.lists(st.integers(1, 1500), max_size=4),
    title=WORDS,
)
def test_cve_records_come_back_as_they_were_made(
    number: int, texts: list[tuple[str, str]], cwes: list[int], title: str
) -> None:
    record = {
        "dataType": "CVE_RECORD",
        "cveMetadata": {"cveId": f"CVE-2099-{number}", "state": "PUBLISHED"},
        "containers": {
            "cna": {
                "title": title,
                "descriptions": [{"lang": lang, "value": value} for lang, value in texts],
                "problemTypes": [{"descriptions": [{"lang": "en", "cweId": f"CWE-{cwe}", "description": "w"}]} for cwe in cwes],
            }
        },
    }
    (advisory,) = parse_record(RawRecord(SourceRef("x", 1, "json"), orjson.dumps(record)))
    assert isinstance(advisory, Advisory)
    english = [value.strip() for lang, value in texts if lang.lower().startswith("en")]
    assert advisory.id == f"CVE-2099-{number}"
    assert len(advisory.description) == max(map(len, english), default=0)
    assert advisory.description in (*english, "")
    assert [weakness.cwe_id for weakness in advisory.weaknesses] == [f"CWE-{cwe}" for cwe in cwes]
    assert advisory.languages == tuple(dict.fromkeys(lang for lang, _ in texts))
    assert advisory.title == title.strip()
