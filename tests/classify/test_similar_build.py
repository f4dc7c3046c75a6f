"""Building an index: what goes in, what is counted, what a killed build leaves behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
import pytest

from ctiforge.classify import similar_writer
from ctiforge.classify.classifier import load_model
from ctiforge.classify.similar_build import IndexReport, build_similar_index
from ctiforge.classify.similar_index import UNDATED, open_index, text_key
from ctiforge.classify.similar_sources import describe_sources
from ctiforge.classify.similar_writer import IndexEntry
from ctiforge.core.advisory import Advisory, Reject, SourceRef
from ctiforge.core.errors import InputError, ModelError
from ctiforge.sources.cwe import load_catalogue
from ctiforge.sources.read import RawRecord, read_raw_records

GOOD = {"id": "CVE-2099-1001", "description": "SQL inject in the login", "cwe": "CWE-89", "published": "2099-01-02"}


def lines(*records: object) -> bytes:
    return b"".join((record if isinstance(record, bytes) else orjson.dumps(record)) + b"\n" for record in records)


def build(model: Path, content: bytes, folder: Path, rejected: list[Reject] | None = None) -> IndexReport:
    folder.parent.mkdir(exist_ok=True)
    feed = folder.parent / "feed.jsonl"
    feed.write_bytes(content)
    return build_similar_index(
        read_raw_records([str(feed)]),
        folder,
        load_model(model),
        catalogue=load_catalogue(),
        sources=describe_sources([str(feed)]),
        on_reject=[].append if rejected is None else rejected.append,
    )


def test_every_record_is_an_entry_or_counted(tiny_model: Path, tmp_path: Path) -> None:
    rejected: list[Reject] = []
    content = lines(
        GOOD,
        GOOD | {"description": "another text of the same SQL inject"},
        {"id": "CVE-2099-1002", "description": "Script inject in the login"},
        {"id": "CVE-2099-1003", "cwe": "CWE-79", "title": ""},
        {"id": "CVE-2099-1004", "description": "words nobody knows", "cwe": "CWE-79"},
        b"{broken",
        {"id": "CVE-2099-1005", "description": "Buffer overflow", "cwe": "Out-of-bounds Write"},
        {"id": "CVE-2099-1006", "description": "SQL write", "cwe": "NVD-CWE-noinfo"},
    )
    report = build(tiny_model, content, tmp_path / "index", rejected)
    reasons = dict(report.left_out)
    missing = reasons.pop("no_description", 0) + reasons.pop("missing_field", 0)
    assert (missing, reasons) == (1, {"duplicate_id": 1, "no_cwe": 2, "no_known_word": 1, "malformed_json": 1})
    assert report.entries == 2
    index = open_index(report.folder)
    assert index.manifest["records"] == report.entries + report.left_out.total() == 8
    assert index.manifest["left_out"] == dict(report.left_out)
    assert "malformed_json" in [each.reason for each in rejected]
    first, second = (index.entry(row) for row in range(2))
    assert first["id"] == "CVE-2099-1001"
    assert first["excerpt"] == GOOD["description"]
    assert second["assigned"] == [["user", "CWE-787"]]  # a name without a number, resolved by the catalogue
    assert index.arrays["days"].tolist() == [date(2099, 1, 2).toordinal(), UNDATED]
    assert report.size == sum(path.stat().st_size for path in report.folder.glob("data-*/*"))


def test_the_manifest_names_model_and_sources(tiny_model: Path, tmp_path: Path) -> None:
    report = build(tiny_model, lines(GOOD), tmp_path / "index")
    manifest = open_index(report.folder).manifest
    assert manifest["model"] == {"name": "tiny", "digest": load_model(tiny_model).digest}
    digest = hashlib.sha256((tmp_path / "feed.jsonl").read_bytes()).hexdigest()
    (source,) = manifest["sources"]
    assert (source["sha256"], source["files"], source["bytes"]) == (digest, 1, len(lines(GOOD)))


def test_a_folders_digest_is_that_of_its_list(tmp_path: Path) -> None:
    for name in ("b.json", "a.json"):
        (tmp_path / "feeds").mkdir(exist_ok=True)
        (tmp_path / "feeds" / name).write_text(name)
    listing = "".join(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in ("a.json", "b.json"))
    folder, stdin = describe_sources([str(tmp_path / "feeds"), "-"])
    assert folder["sha256"] == hashlib.sha256(listing.encode()).hexdigest()
    assert (folder["files"], folder["bytes"]) == (2, 12)
    assert stdin["sha256"] is None


def test_postings_do_not_depend_on_how_much_is_turned_round_at_once(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "allow attack buffer in inject login memory overflow script sql the valid write".split()
    random = np.random.default_rng(1)
    texts = [" ".join(random.choice(words, size=7)) for _ in range(300)]
    content = lines(*({"id": f"CVE-2099-{2000 + i}", "description": text, "cwe": "CWE-89"} for i, text in enumerate(texts)))
    whole = open_index(build(tiny_model, content, tmp_path / "whole").folder)
    monkeypatch.setattr(similar_writer, "_VALUES_AT_ONCE", 11)
    parts = open_index(build(tiny_model, content, tmp_path / "parts").folder)
    assert whole.arrays.keys() == parts.arrays.keys()
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(array, parts.arrays[name], err_msg=name)
    bounds, rows = whole.arrays["posting_bounds"], whole.arrays["posting_rows"]
    assert all((np.diff(rows[start:end]) > 0).all() for start, end in pairwise(bounds))
    for row, text in enumerate(texts[:20]):
        assert row in whole.rows_of("text", [text_key(text.upper() + ".")])


def test_a_new_index_takes_the_old_ones_place(tiny_model: Path, tmp_path: Path) -> None:
    build(tiny_model, lines(GOOD), tmp_path / "index")
    (tmp_path / "index" / "data-killed").mkdir()
    build(tiny_model, lines(GOOD | {"id": "CVE-2099-4444"}), tmp_path / "index")
    assert open_index(tmp_path / "index").entry(0)["id"] == "CVE-2099-4444"
    assert len(list((tmp_path / "index").iterdir())) == 2


def test_a_build_that_fails_leaves_the_old_index(tiny_model: Path, tmp_path: Path) -> None:
    build(tiny_model, lines(GOOD), tmp_path / "index")

    def broken() -> Iterator[RawRecord | Reject]:
        yield from read_raw_records([str(tmp_path / "feed.jsonl")])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_similar_index(broken(), tmp_path / "index", load_model(tiny_model), catalogue=load_catalogue())
    assert open_index(tmp_path / "index").entry(0)["id"] == "CVE-2099-1001"
    assert len(list((tmp_path / "index").iterdir())) == 2


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_a_killed_build_leaves_the_old_index(tiny_model: Path, tmp_path: Path) -> None:
    build(tiny_model, lines(GOOD), tmp_path / "index")
    program = (
        "import os, signal, sys\n"
        "from ctiforge.classify import similar_build as module\n"
        "from ctiforge.classify.classifier import load_model\n"
        "from ctiforge.sources.cwe import load_catalogue\n"
        "from ctiforge.sources.read import read_raw_records\n"
        "module.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"  # the last moment before the new one counts
        "raws = read_raw_records([sys.argv[1]])\n"
        "module.build_similar_index(raws, sys.argv[2], load_model(sys.argv[3]), catalogue=load_catalogue())\n"
    )
    feed = tmp_path / "feed.jsonl"
    feed.write_bytes(lines(GOOD | {"id": "CVE-2099-4444"}))
    command = [sys.executable, "-c", program, str(feed), str(tmp_path / "index"), str(tiny_model)]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    assert len(list((tmp_path / "index").glob("data-*"))) == 2
    assert open_index(tmp_path / "index").entry(0)["id"] == "CVE-2099-1001"
    build(tiny_model, lines(GOOD), tmp_path / "index")
    assert len(list((tmp_path / "index").glob("data-*"))) == 1


def test_nothing_to_index_is_an_error_and_leaves_nothing(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not one of 1 records has a text and a CWE") as caught:
        build(tiny_model, lines({"id": "CVE-2099-1", "description": "SQL inject"}), tmp_path / "index")
    assert "no_cwe 1" in str(caught.value)
    assert not list((tmp_path / "index").iterdir())


def test_another_artefacts_folder_is_not_replaced(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "manifest.json").write_bytes((tiny_model / "manifest.json").read_bytes())
    with pytest.raises(ModelError, match="is not replaced"):
        build(tiny_model, lines(GOOD), folder)
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]


def test_a_folder_that_cannot_be_written(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write the index there"):
        build(tiny_model, lines(GOOD), tmp_path / "file")


def test_ids_and_texts_that_utf_8_cannot_carry_are_kept_without_that(tiny_model: Path, tmp_path: Path) -> None:
    text = "SQL inject \ud800 in the\n\tlogin" + " write" * 200
    with similar_writer.IndexWriter(tmp_path, load_model(tiny_model)) as writer:  # type: ignore[arg-type]
        left_out = writer.add([IndexEntry(Advisory("\ud800 x", SourceRef("feed.jsonl"), text), [("cna", "CWE-89")])])
    writer.finish()
    assert (writer.n, left_out) == (1, 0)
    entry = orjson.loads((tmp_path / "entries.jsonl").read_bytes())
    assert entry["id"] == "? x"
    assert entry["excerpt"].startswith("SQL inject ? in the login write")
    assert len(entry["excerpt"]) <= 200
    assert entry["excerpt"].endswith("…")
