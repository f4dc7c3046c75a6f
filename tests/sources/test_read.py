"""Finding, unpacking and cutting: what reaches the parsers, from where, and in what order."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from ctiforge.core.advisory import Advisory, Reject
from ctiforge.sources.read import FieldMap, RawRecord, ReadOptions, input_size, parse_record, read_advisories, read_raw_records

RECORDS = [{"cve_id": f"CVE-2099-{number}", "description": f"Flaw {number} in Ferrule."} for number in range(1000, 1200)]
LINES = b"".join(orjson.dumps(one) + b"\n" for one in RECORDS)
IDS = [one["cve_id"] for one in RECORDS]


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


PACKERS = {
    "plain": lambda data: data,
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstandard.ZstdCompressor().compress,
    "zip": lambda data: zipped(feed=data),
    "zip in zip": lambda data: zipped(inner=zipped(feed=data)),
    "gz in zip": lambda data: zipped(feed=gzip.compress(data)),
    "two gz streams": lambda data: gzip.compress(data[:500]) + gzip.compress(data[500:]) + bytes(100),
    "two zst frames": lambda data: (
        zstandard.ZstdCompressor().compress(data[:500]) + zstandard.ZstdCompressor().compress(data[500:])
    ),
    "two xz streams": lambda data: lzma.compress(data[:500]) + bytes(8) + lzma.compress(data[500:]),
}


def ids(paths: list[str], **options: Any) -> list[str]:
    return [one.id if isinstance(one, Advisory) else one.reason for one in read_advisories(paths, ReadOptions(**options))]


@pytest.mark.parametrize("packer", PACKERS)
def test_compression_is_told_from_content(tmp_path: Path, packer: str) -> None:
    path = tmp_path / "feed.misleading.csv"
    path.write_bytes(PACKERS[packer](LINES))
    assert ids([str(path)]) == IDS


@pytest.mark.parametrize("packer", PACKERS)
def test_standard_input_is_read_like_a_file(monkeypatch: pytest.MonkeyPatch, packer: str) -> None:
    class Stdin:
        buffer = io.BytesIO(PACKERS[packer](LINES))

    monkeypatch.setattr(sys, "stdin", Stdin)
    results = list(read_advisories(["-"]))
    assert [one.id for one in results] == IDS
    assert results[0].source.path == "-"
    assert input_size(["-"]) is None


@pytest.mark.parametrize("packer", PACKERS)
def test_bytes_read_add_up_to_the_size_on_disk(tmp_path: Path, packer: str) -> None:
    path = tmp_path / "feed"
    path.write_bytes(PACKERS[packer](LINES))
    seen: list[int] = []
    assert sum(1 for _ in read_raw_records([str(path)], on_bytes=seen.append)) == len(RECORDS)
    assert sum(seen) == path.stat().st_size == input_size([str(path)])
    assert min(seen) >= 0


def test_a_file_given_up_early_still_counts_in_full(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    path.write_bytes(b"%PDF-1.7\n" + b"x" * 1_000_000)
    seen: list[int] = []
    list(read_raw_records([str(path)], on_bytes=seen.append))
    assert sum(seen) == input_size([str(path)])


LAYOUTS = {
    "lines": LINES,
    "crlf lines": LINES.replace(b"\n", b"\r\n"),
    "cr lines": LINES.replace(b"\n", b"\r"),
    "no line feed at the end": LINES.rstrip(),
    "array": orjson.dumps(RECORDS),
    "pretty array": orjson.dumps(RECORDS, option=orjson.OPT_INDENT_2),
    "one after the other": LINES.replace(b"\n", b""),
    "pretty, one after the other": b"\n".join(orjson.dumps(one, option=orjson.OPT_INDENT_2) for one in RECORDS),
    "document": orjson.dumps({"total": 200, "advisories": RECORDS, "next": None}),
    "pretty document": orjson.dumps({"total": 200, "items": RECORDS}, option=orjson.OPT_INDENT_2),
    "lines of documents": b"\n".join(orjson.dumps({"advisories": RECORDS[at : at + 50]}) for at in range(0, 200, 50)),
    "lines of arrays": b"\n".join(orjson.dumps(RECORDS[at : at + 50]) for at in range(0, 200, 50)),
    "csv": b"cve_id,description\n" + b"".join(f"{one['cve_id']},{one['description']}\n".encode() for one in RECORDS),
    "semicolons": b"Beschreibung;CVE;Summary\n"
    + b"".join(f"x;{one['cve_id']};{one['description']}\n".encode() for one in RECORDS),
    "pipes": b"cve_id|description\n" + b"".join(f"{one['cve_id']}|{one['description']}\n".encode() for one in RECORDS),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_advisories(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "feed"
    path.write_bytes(LAYOUTS[layout])
    results = list(read_advisories([str(path)]))
    assert [(one.id, one.description) for one in results if isinstance(one, Advisory)] == [
        (one["cve_id"], one["description"]) for one in RECORDS
    ]
    assert len(results) == len(RECORDS)


def test_lines_point_at_the_start_of_each_record(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    path.write_bytes(LAYOUTS["pretty array"])
    assert [one.source.line for one in read_advisories([str(path)])] == [2 + 4 * number for number in range(200)]


def test_a_tree_is_walked_in_sorted_order(tmp_path: Path) -> None:
    for number, name in ((1003, "b/x/3.json"), (1001, "a/1.json"), (1004, "c.json"), (1002, "b/2.json")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(orjson.dumps(RECORDS[number - 1000], option=orjson.OPT_INDENT_2))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config.json").write_bytes(orjson.dumps(RECORDS[9]))
    assert ids([str(tmp_path)]) == IDS[1:5]


def test_members_of_a_zip_are_named(tmp_path: Path) -> None:
    path = tmp_path / "feeds.zip"
    members = {
        "a__1.json": orjson.dumps(RECORDS[0]),
        "__MACOSX__a__1.json": b"junk",
        "b.zip": zipped(c=orjson.dumps(RECORDS[1])),
    }
    path.write_bytes(zipped(**{name.replace("__MACOSX", "@"): data for name, data in members.items()}))
    results = list(read_advisories([str(path)]))
    found = [(one.id, one.source.member) for one in results if isinstance(one, Advisory)]
    assert found == [(IDS[0], "a/1.json"), (IDS[1], "b.zip!c")]
    assert str(results[0].source).endswith("feeds.zip!a/1.json:1")


def test_a_name_that_is_not_utf8_can_be_printed(tmp_path: Path) -> None:
    path = str(tmp_path).encode() + b"/caf\xe9.jsonl"
    try:
        with open(path, "wb") as file:
            file.write(LINES)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    results = list(read_advisories([str(tmp_path)]))
    assert [one.id for one in results] == IDS
    assert results[0].source.path.endswith("caf\ufffd.jsonl")


def test_raw_records_survive_pickling(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes(LAYOUTS["csv"])
    options = ReadOptions(field_map=FieldMap.parse("id=cve_id,description=description"))
    for raw in [*read_raw_records([str(path)], options)][:3]:
        assert isinstance(raw, RawRecord)
        again, options_again = pickle.loads(pickle.dumps((raw, options)))
        assert again == raw
        assert parse_record(again, options_again) == parse_record(raw, options)


def test_a_map_reads_nested_fields_and_leaves_known_formats_alone(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    mine = {
        "item": {"ref": "see CVE-2099-1500 there", "notes": [{"lang": "fr", "value": "non"}, {"lang": "en", "value": "yes"}]}
    }
    known = {"ghsa_id": "GHSA-aaaa-bbbb-cccc", "summary": "Known"}
    path.write_bytes(orjson.dumps(mine) + b"\n" + orjson.dumps(known))
    options = ReadOptions(field_map=FieldMap.parse("id=item.ref,description=item.notes"))
    first, second = read_advisories([str(path)], options)
    assert isinstance(first, Advisory)
    assert (first.id, first.description, first.source.format) == ("CVE-2099-1500", "yes", "jsonl")
    assert (second.id, second.source.format) == ("GHSA-aaaa-bbbb-cccc", "ghsa")


def test_a_format_overrides_detection(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    path.write_bytes(b"cve_id,description\nCVE-2099-1000,x\n")
    assert ids([str(path)], format="text") == [f"{path}:1", f"{path}:2"]
    path.write_bytes(orjson.dumps(RECORDS[0]))
    assert ids([str(path)], format="cve5") == ["missing_field"]


def test_a_document_without_results_has_nothing_to_lose(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    path.write_bytes(b'{"totalResults": 0, "format": "NVD_CVE", "vulnerabilities": []}')
    assert ids([str(path)]) == []


def test_a_document_larger_than_a_record_may_be_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    path.write_bytes(orjson.dumps({"padding": [["x" * 100] * 20], "CVE_Items": []})[:-2] + orjson.dumps(RECORDS)[1:] + b"}")
    assert ids([str(path)], max_record_bytes=4_000) == IDS


def test_reading_is_lazy(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    path.write_bytes(LINES)
    first = next(iter(read_advisories([str(path), str(tmp_path / "missing")])))
    assert not isinstance(first, Reject)
