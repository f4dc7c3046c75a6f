"""One test for each kind of bad input that docs/formats.md makes a promise about."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from ctiforge.core.advisory import Advisory, Reject, SourceRef
from ctiforge.sources.encodings import NUL_NOTE, REPAIR_NOTE
from ctiforge.sources.json_split import split_json
from ctiforge.sources.lines import split_lines
from ctiforge.sources.read import FieldMap, RawRecord, ReadOptions, parse_record, read_advisories, read_raw_records


def record(
    number: int, description: str = "A stack overflow in Ferrule lets a local user run code.", **more: Any
) -> dict[str, Any]:
    return {"cve_id": f"CVE-2099-{number}", "description": description, **more}


def jsonl(*records: dict[str, Any]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in records)


def read(path: Path | str, **options: Any) -> list[Advisory | Reject]:
    return list(read_advisories([str(path)], ReadOptions(**options)))


def ids(results: list[Advisory | Reject]) -> list[str]:
    """IDs of advisories and reason codes of rejects, in order."""
    return [one.id if isinstance(one, Advisory) else one.reason for one in results]


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    return tmp_path / "feed"


def cve5(**containers: Any) -> dict[str, Any]:
    return {"dataType": "CVE_RECORD", "cveMetadata": {"cveId": "CVE-2099-1000", "state": "PUBLISHED"}, "containers": containers}


# Texts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("descriptions", "languages"),
    [([], ()), ([{"lang": "en", "value": "  "}], ()), ([{"lang": "fr", "value": "Un débordement."}], ("fr",))],
)
def test_no_english_text_is_an_advisory_with_its_languages(feed: Path, descriptions: Any, languages: tuple[str, ...]) -> None:
    feed.write_bytes(orjson.dumps(cve5(cna={"descriptions": descriptions})))
    (advisory,) = read(feed)
    assert isinstance(advisory, Advisory)
    assert (advisory.description, advisory.languages) == ("", languages)


def test_an_empty_description_in_a_table_is_an_advisory(feed: Path) -> None:
    feed.write_text("cve_id,description,title\nCVE-2099-1000,,Something\n")
    (advisory,) = read(feed)
    assert isinstance(advisory, Advisory)
    assert advisory.description == ""


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("layout", ["jsonl", "table", "text"])
def test_other_unicode_encodings_are_decoded(feed: Path, codec: str, layout: str) -> None:
    if layout == "text" and codec in ("utf-16-le", "utf-16-be"):
        text = "naïve “quotes” – and a 漢字"  # recognised by the NUL in each of the first two pairs
    else:
        text = "Überlauf “quotes” – and a 漢字"
    rows = {
        "jsonl": f'{{"cve_id": "CVE-2099-1000", "description": "{text}"}}\n',
        "table": f"cve_id,description\nCVE-2099-1000,{text}\n",
        "text": text,
    }
    feed.write_bytes(rows[layout].encode(codec))
    (advisory,) = read(feed)
    assert isinstance(advisory, Advisory)
    assert advisory.description == text


def test_utf16_that_breaks_off_keeps_what_came_before(feed: Path) -> None:
    feed.write_bytes(("first line\nsecond line\n").encode("utf-16") + b"\x00\xd8\x20")
    results = read(feed)
    assert [one.description for one in results if isinstance(one, Advisory)] == ["first line", "second line"]
    assert ids(results)[-1] == "bad_encoding"


@pytest.mark.parametrize("layout", ["jsonl", "table", "text"])
def test_windows_bytes_inside_utf8_are_repaired_and_noted(feed: Path, layout: str) -> None:
    raw = "Größe ".encode() + b"isn\x92t checked \x81"
    whole = {
        "jsonl": b'{"cve_id": "CVE-2099-1000", "description": "' + raw + b'"}\n' + jsonl(record(1001)),
        "table": b"cve_id,description\nCVE-2099-1000," + raw + b"\nCVE-2099-1001,clean\n",
        "text": raw + b"\nclean\n",
    }
    feed.write_bytes(whole[layout])
    first, second = read(feed)
    assert isinstance(first, Advisory)
    assert isinstance(second, Advisory)
    assert first.description == "Größe isn’t checked \x81"
    assert (first.notes, second.notes) == ((REPAIR_NOTE,), ())


def test_nul_bytes_cost_one_json_record(feed: Path) -> None:
    feed.write_bytes(jsonl(record(1000)) + b'{"cve_id": "CVE-2099-1001", "description": "a\0b"}\n' + jsonl(record(1002)))
    results = read(feed)
    assert ids(results) == ["CVE-2099-1000", "malformed_json", "CVE-2099-1002"]
    assert isinstance(results[1], Reject)
    assert "NUL" in results[1].detail
    assert "\0" not in results[1].excerpt
    assert results[1].source.line == 2


@pytest.mark.parametrize("content", [b"cve_id,description\nCVE-2099-1000,a\0b\n", b"a\0b\n"])
def test_nul_bytes_in_tables_and_text_are_left_out_and_noted(feed: Path, content: bytes) -> None:
    feed.write_bytes(content + b"x" * 100 + b",y\n")
    first = read(feed)[0]
    assert isinstance(first, Advisory)
    assert (first.description, first.notes) == ("ab", (NUL_NOTE,))


# Size and depth --------------------------------------------------------------------------------------------------------


def test_a_line_of_50_mb_is_read(feed: Path) -> None:
    with feed.open("wb") as file:
        file.write(jsonl(record(1000)))
        file.write(b'{"cve_id": "CVE-2099-1001", "description": "' + b"long " * 10_000_000 + b'"}\n')
        file.write(jsonl(record(1002)))
    assert ids(read(feed)) == ["CVE-2099-1000", "CVE-2099-1001", "CVE-2099-1002"]


@pytest.mark.parametrize("layout", ["jsonl", "array", "pretty", "text", "table", "document"])
def test_a_record_over_the_limit_is_rejected_and_the_next_one_read(feed: Path, layout: str) -> None:
    records = [record(1000), record(1001, "x" * 3_000_000), record(1002)]
    body = {
        "jsonl": jsonl(*records),
        "array": orjson.dumps(records),
        "pretty": b"\n".join(orjson.dumps(one, option=orjson.OPT_INDENT_2) for one in records),
        "text": b"CVE-2099-1000 short\n" + b"y" * 3_000_000 + b"\nCVE-2099-1002 short\n",
        "table": b"cve_id,description\nCVE-2099-1000,short\nCVE-2099-1001," + b"z" * 3_000_000 + b"\nCVE-2099-1002,short\n",
        "document": orjson.dumps({"advisories": records}),
    }
    feed.write_bytes(body[layout])
    results = read(feed, max_record_bytes=1_000_000)
    assert ids(results) == ["CVE-2099-1000", "too_large", "CVE-2099-1002"]
    assert isinstance(results[1], Reject)
    assert 0 < len(results[1].excerpt) <= 200


@pytest.mark.parametrize("opening", [b"", b'{"a": "', b'[{"a": "', b'["', b'{"advisories": [{"a": "'])
def test_what_is_over_the_limit_is_not_held_in_memory(opening: bytes) -> None:
    def blocks() -> Iterator[bytes]:
        yield opening
        for _ in range(800):
            yield b"x" * 2**18

    def count() -> int:
        cut = split_json(blocks(), 2**20) if opening else split_lines(blocks(), 2**20)
        return sum(1 for _ in cut)

    tracemalloc.start()
    try:
        pieces = count()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pieces >= 1
    assert peak < 16 * 2**20  # 200 MiB went through


@pytest.mark.parametrize("depth", [201, 5_000, 300_000])
def test_deep_nesting_is_rejected_without_recursion(feed: Path, depth: int) -> None:
    deep = b'{"cve_id": "CVE-2099-1001", "description": "d", "x": ' + b'{"a": [' * depth + b"]}" * depth + b"}\n"
    feed.write_bytes(jsonl(record(1000)) + deep + jsonl(record(1002)))
    assert ids(read(feed)) == ["CVE-2099-1000", "too_deep", "CVE-2099-1002"]


def test_depth_is_counted_outside_strings(feed: Path) -> None:
    feed.write_bytes(jsonl(record(1000, "[" * 500 + '"\\' + "{" * 500)))
    assert ids(read(feed)) == ["CVE-2099-1000"]


def test_the_depth_limit_is_exact() -> None:
    def parse(depth: int) -> list[str]:
        data = b'{"description": "d", "x": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
        return ids(parse_record(RawRecord(SourceRef("x", 1, "json"), data), ReadOptions(max_depth=10)))

    assert parse(10) == ["x:1"]
    assert parse(11) == ["too_deep"]


# Compression -----------------------------------------------------------------------------------------------------------

MANY = jsonl(*(record(10_000 + number, os.urandom(20).hex()) for number in range(2_000)))


def packed(kind: str, data: bytes) -> bytes:
    if kind == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("feed.jsonl", data)
        return buffer.getvalue()
    pack = {
        "gz": gzip.compress,
        "xz": lambda data: lzma.compress(data, preset=0),
        "bz2": bz2.compress,
        "zst": zstandard.ZstdCompressor().compress,
    }
    return pack[kind](data)


KINDS = ("gz", "xz", "bz2", "zst", "zip")


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_gives_what_is_left_and_a_reject(feed: Path, kind: str) -> None:
    data = b"".join(jsonl(record(10_000 + number, os.urandom(400).hex())) for number in range(2_500))
    whole = packed(kind, data)
    feed.write_bytes(whole[: len(whole) * 2 // 3])
    found = ids(read(feed))
    assert found[-1] == "corrupt_file"
    assert 500 < sum(one.startswith("CVE-") for one in found) < 2_500
    assert found[0] == "CVE-2099-10000"


@pytest.mark.parametrize("kind", KINDS)
def test_damage_in_the_middle_never_loses_the_file(feed: Path, kind: str) -> None:
    whole = bytearray(packed(kind, MANY))
    middle = len(whole) // 2
    whole[middle : middle + 40] = bytes(40)
    feed.write_bytes(whole)
    found = ids(read(feed))
    assert set(found) & {"corrupt_file", "archive_limit"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_stops_at_the_ratio(feed: Path, kind: str) -> None:
    feed.write_bytes(packed(kind, b"A" * 90_000_000))
    found = ids(read(feed))
    assert found[-1] == "archive_limit"


@pytest.mark.parametrize("kind", KINDS)
def test_expansion_has_a_limit_in_bytes(feed: Path, kind: str) -> None:
    feed.write_bytes(packed(kind, MANY))
    results = read(feed, max_expanded_bytes=100_000)
    assert ids(results)[-1] == "archive_limit"
    assert isinstance(results[-1], Reject)
    assert "100,000 bytes" in results[-1].detail


def test_layers_of_compression_have_a_limit(feed: Path) -> None:
    data = MANY
    for _ in range(6):
        data = gzip.compress(data)
    feed.write_bytes(data)
    assert ids(read(feed)) == ["archive_limit"]


def test_an_encrypted_zip_member_is_rejected_and_the_others_read(feed: Path) -> None:
    with zipfile.ZipFile(feed, "w") as archive:
        archive.writestr("a.jsonl", jsonl(record(1000)))
        archive.writestr("b.jsonl", jsonl(record(1001)))
    whole = bytearray(feed.read_bytes())
    place = whole.index(b"PK\x01\x02")  # the encryption bit of the first entry of the directory
    whole[place + 8] |= 1
    feed.write_bytes(whole)
    results = read(feed)
    assert ids(results) == ["unreadable_file", "CVE-2099-1001"]
    assert results[0].source.member == "a.jsonl"


# Files -----------------------------------------------------------------------------------------------------------------


def test_symlink_loops_end(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one.jsonl").write_bytes(jsonl(record(1000)))
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "z").symlink_to("z")
    assert sorted(ids(read(tmp_path / "a"))) == ["CVE-2099-1000", "symlink_loop", "symlink_loop"]


def test_what_cannot_be_opened_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret.json").write_bytes(b"{}")
    (tmp_path / "secret.json").chmod(0)
    found = ids(read(tmp_path)) + ids(read(tmp_path / "never")) + ids(read("nul\0byte"))
    expected = ["unreadable_file"] * 5
    if os.geteuid() == 0:  # permissions do not bind root, who reads an empty object
        expected[2] = "unknown_format"
    assert found == expected


def test_duplicates_are_rejected_or_kept(feed: Path) -> None:
    feed.write_bytes(jsonl(record(1000), record(1001), record(1000)))
    assert ids(read(feed)) == ["CVE-2099-1000", "CVE-2099-1001", "duplicate_id"]
    kept = list(read_advisories([str(feed)], duplicates="keep"))
    assert ids(kept) == ["CVE-2099-1000", "CVE-2099-1001", "CVE-2099-1000"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n\n", "white space"),
        (b"\x7fELF" + bytes(range(256)) * 20, "binary"),
        (b"%PDF-1.7\n stuff", "PDF"),
        (b"feed.json".ljust(257, b"\0") + b"ustar".ljust(300, b"\0"), "tar"),
    ],
)
def test_what_is_no_feed_is_rejected_once(feed: Path, content: bytes, words: str) -> None:
    feed.write_bytes(content)
    (reject,) = read(feed)
    assert isinstance(reject, Reject)
    assert reject.reason == "unknown_format"
    assert words in reject.detail


def test_prose_in_a_directory_is_not_taken_for_advisories(tmp_path: Path) -> None:
    (tmp_path / "about.txt").write_text("This folder holds our feeds.\nAsk the security team.\n")
    (tmp_path / "list.txt").write_text("CVE-2099-1000 overflow in Ferrule\nCVE-2099-1001 leak in Cobbler\n")
    (tmp_path / "README.md").write_text("# Feeds\n")
    (tmp_path / ".hidden").write_text("CVE-2099-1002 hidden\n")
    assert ids(read(tmp_path)) == ["unknown_format", "CVE-2099-1000", "CVE-2099-1001"]
    assert ids(read(tmp_path / "about.txt")) == [f"{tmp_path}/about.txt:1", f"{tmp_path}/about.txt:2"]


# Damaged JSON ----------------------------------------------------------------------------------------------------------

GOOD = [orjson.dumps(record(1000 + number)) for number in range(6)]


@pytest.mark.parametrize("wrap", [b"[%s]", b'{"advisories": [%s], "more": {"x": []}}'])
@pytest.mark.parametrize("separator", [b",", b",\n"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda one: one[:-1], id="no closing brace"),
        pytest.param(lambda one: one + b"}", id="one brace too many"),
        pytest.param(lambda one: one.replace(b'"A ', b"A ", 1), id="no opening quote"),
        pytest.param(lambda one: one[:40], id="cut off inside a text"),
        pytest.param(lambda one: one.replace(b":", b"=", 1), id="wrong character"),
        pytest.param(lambda one: one[:-1] + b', "x": [1, {"y": 2}', id="open array"),
        pytest.param(lambda one: one[:-1] + b"]", id="wrong bracket"),
        pytest.param(lambda one: b"17", id="a number"),
        pytest.param(lambda one: b'"text"', id="a text"),
    ],
)
def test_a_malformed_element_does_not_cost_the_others(feed: Path, wrap: bytes, separator: bytes, damage: Any) -> None:
    elements = [*GOOD[:3], damage(GOOD[3]), *GOOD[4:]]
    if elements[3].endswith(b'{"y": 2}') and wrap.startswith(b"{"):
        pytest.skip("the end of the array closes the open one, and what results is valid JSON")
    feed.write_bytes(wrap % separator.join(elements))
    found = ids(read(feed))
    assert [one for one in found if one.startswith("CVE-") and one != "CVE-2099-1003"] == [
        f"CVE-2099-{number}" for number in (1000, 1001, 1002, 1004, 1005)
    ]
    assert "malformed_json" in found


@pytest.mark.parametrize("cut", [-1, -10, -60])
def test_a_truncated_array_is_read_up_to_the_cut(feed: Path, cut: int) -> None:
    feed.write_bytes((b"[" + b",\n".join(GOOD) + b"]")[:cut])
    found = ids(read(feed))
    assert found[:5] == [f"CVE-2099-{number}" for number in range(1000, 1005)]
    assert found[-1] == "malformed_json"
    assert len(found) == (7 if cut == -1 else 6)


def test_a_malformed_line_costs_that_line(feed: Path) -> None:
    feed.write_bytes(b"\n".join([GOOD[0], GOOD[1][:-1], b"# a comment", b"", GOOD[2], b"[1]", GOOD[3]]))
    results = read(feed)
    assert ids(results) == ["CVE-2099-1000", *["malformed_json"] * 2, "CVE-2099-1002", "malformed_json", "CVE-2099-1003"]
    assert [one.source.line for one in results] == [1, 2, 3, 5, 6, 7]


def test_a_damaged_csaf_document_still_gives_its_sound_entries(feed: Path) -> None:
    sound = {"cve": "CVE-2099-1000", "notes": [{"category": "description", "text": "Sound."}], "product_status": {}}
    whole = orjson.dumps({"document": {"tracking": {"id": "X"}}, "vulnerabilities": [sound, {"cve": "BROKEN"}, sound]})
    feed.write_bytes(whole.replace(b'"BROKEN"', b"BROKEN"))
    results = list(read_advisories([str(feed)], duplicates="keep"))
    assert ids(results) == ["malformed_json", "CVE-2099-1000", "malformed_json", "CVE-2099-1000"]
    assert isinstance(results[1], Advisory)
    assert "damaged" in results[1].notes[0]


def test_wrong_types_are_not_errors(feed: Path) -> None:
    for value in (None, 7, "x", [], [None], [[]], {}, {"a": 1}, True):
        shapes = [
            cve5(
                cna={"descriptions": value, "problemTypes": value, "metrics": value, "title": value, "source": value}, adp=value
            ),
            cve5(cna=value),
            {"cve": {"id": "CVE-2099-1000", "descriptions": value, "metrics": value, "weaknesses": value, "vulnStatus": value}},
            {"cve": {"CVE_data_meta": {"ID": "CVE-2099-1000"}, "description": value, "problemtype": value}, "impact": value},
            {
                "id": "X-1",
                "modified": value,
                "aliases": value,
                "severity": value,
                "affected": value,
                "database_specific": value,
            },
            {"ghsa_id": "GHSA-aaaa-bbbb-cccc", "cwes": value, "cvss": value, "cvss_severities": value, "identifiers": value},
            {
                "document": {"tracking": value, "notes": value, "lang": value},
                "vulnerabilities": [{"notes": value, "cwe": value}],
            },
            {"cveID": "CVE-2099-1000", "dateAdded": value, "cwes": value},
            {"id": value, "description": value, "cwe": value, "title": value},
        ]
        for shape in shapes:
            feed.write_bytes(orjson.dumps(shape))
            assert len(read(feed)) == 1


# Tables ----------------------------------------------------------------------------------------------------------------


def test_a_quote_that_never_closes_costs_one_row(feed: Path) -> None:
    feed.write_text(
        'cve_id,description\nCVE-2099-1000,fine\n"CVE-2099-1001,x,"open\nCVE-2099-1002,fine\nCVE-2099-1003,"fine, too"\n'
    )
    results = read(feed)
    assert ids(results) == ["CVE-2099-1000", "malformed_row", "CVE-2099-1002", "CVE-2099-1003"]
    assert results[1].source.line == 3


def test_missing_columns_reject_the_table_with_a_suggestion(feed: Path) -> None:
    feed.write_text("URL\tDescription\nx\ty\n")
    (reject,) = read(feed, field_map=FieldMap.parse("id=URL,description=Descripton"))
    assert isinstance(reject, Reject)
    assert reject.reason == "missing_field"
    assert "did you mean 'Description'?" in reject.detail


def test_every_reject_says_where_and_shows_the_start(feed: Path) -> None:
    feed.write_bytes(b'\n{"a": 1}\n{"cve_id": \n' + GOOD[0] + b"\n" + GOOD[1] + b"\n")
    rejects = [one for one in read_raw_and_parse(feed) if isinstance(one, Reject)]
    assert [(one.source.line, one.reason, one.excerpt) for one in rejects] == [
        (2, "unknown_format", '{"a": 1}'),
        (3, "malformed_json", '{"cve_id":'),
    ]
    assert all(one.source.path == str(feed) and one.detail for one in rejects)


def read_raw_and_parse(path: Path) -> Iterator[Advisory | Reject]:
    for raw in read_raw_records([str(path)]):
        yield from [raw] if isinstance(raw, Reject) else parse_record(raw)
