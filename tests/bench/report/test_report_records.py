from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.bench.report import (
    check_record,
    load_record,
    render_html,
    render_json,
    render_markdown,
    render_terminal,
    write_html,
)
from ctiforge.core.errors import InputError


def test_a_newer_format_asks_for_a_newer_program(invented: SimpleNamespace) -> None:
    record = invented.record("X") | {"format": "ctiforge-benchmark/2"}
    with pytest.raises(InputError, match="newer than this program reads") as caught:
        check_record(record, "runs/x/record.json")
    assert "runs/x/record.json" in caught.value.message
    assert "upgrade" in str(caught.value.fix)


@pytest.mark.parametrize(
    "name", ["ctiforge-benchmark", "ctiforge-benchmark/0", "ctiforge-benchmark/1.5", "lm-eval/1", "", None, 1, "x" * 500]
)
def test_another_format_is_refused(name: Any, invented: SimpleNamespace) -> None:
    with pytest.raises(InputError) as caught:
        check_record(invented.record("X") | {"format": name})
    assert caught.value.fix
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("value", [None, [], "record", 3])
def test_what_is_no_record_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="not a benchmark record"):
        check_record(value)


def test_every_missing_part_is_named_at_once(invented: SimpleNamespace) -> None:
    record = invented.record("X", invented.cwe_task())
    del record["environment"]
    del record["tasks"][0]["rule"]
    record["tasks"][0]["trials"] = "three"
    record["tasks"].append("text")
    with pytest.raises(InputError) as caught:
        check_record(record)
    for fault in (
        "environment is missing",
        "tasks[0].rule is missing",
        "tasks[0].trials is wrong",
        "tasks[1] is not an object",
    ):
        assert fault in caught.value.message


def test_damaged_trials_and_rules_are_named(invented: SimpleNamespace) -> None:
    record = invented.record("X", invented.cwe_task())
    del record["tasks"][0]["trials"][1]["valid"]
    record["tasks"][0]["trials"][2] = 3
    record["tasks"][0]["sensitivity"][0] = {}
    with pytest.raises(InputError) as caught:
        check_record(record)
    for fault in ("trials[1].valid is missing", "trials[2] is not an object", "sensitivity[0].rule is missing"):
        assert f"tasks[0].{fault}" in caught.value.message


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(part=st.sampled_from(["model", "protocol", "tasks", "complete", "environment", "format"]), value=JSON_VALUES)
def test_whatever_a_part_holds_the_record_is_taken_or_refused(part: str, value: Any, invented: SimpleNamespace) -> None:
    record = invented.record("X", invented.vector_task()) | {part: value}
    with contextlib.suppress(InputError):
        render_markdown([record])


@pytest.mark.parametrize("render", [render_terminal, render_markdown, render_json, render_html])
def test_every_renderer_checks(render: Any, invented: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="record 2"):
        render([invented.record("X", invented.cwe_task()), {"format": "ctiforge-benchmark/9"}])
    with pytest.raises(InputError, match="no record"):
        render([])


def test_a_bad_record_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_html([{"format": "other"}], tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_read_from_its_file_or_its_folder(tmp_path: Path, invented: SimpleNamespace) -> None:
    record = invented.usual()[0]
    (tmp_path / "record.json").write_text(json.dumps(record))
    assert load_record(tmp_path) == load_record(tmp_path / "record.json") == record


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"record\.json: cannot be read"):
        load_record(tmp_path)
    (tmp_path / "record.json").write_text('{"format": ')
    with pytest.raises(InputError, match="not JSON"):
        load_record(tmp_path)
    (tmp_path / "record.json").write_text('{"format": "ctiforge-benchmark/7"}')
    with pytest.raises(InputError, match=r"record\.json: of format"):
        load_record(tmp_path)


def test_json_holds_the_records_as_they_are(invented: SimpleNamespace) -> None:
    records = invented.usual()
    report = json.loads(render_json(records))
    assert report == {"format": "ctiforge-benchmark-report/1", "records": records}
