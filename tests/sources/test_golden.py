"""Every format against a stored result. Rewrite the results with CTIFORGE_REWRITE_GOLDEN=1 and read the difference."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from ctiforge.core.advisory import Advisory, Reject
from ctiforge.sources.read import FORMATS, ReadOptions, read_advisories
from ctiforge.sources.rejects import reject_row

GOLDEN = Path(__file__).parent / "golden"
INPUTS = sorted(GOLDEN.glob("*.in.*"))


def as_plain(result: Advisory | Reject) -> dict[str, Any]:
    """The fields that are set, without defaults, so that the stored file stays readable."""
    if isinstance(result, Reject):
        return {"reject": reject_row(result)}
    plain = dataclasses.asdict(result)
    return {
        key: value for key, value in plain.items() if value not in ("", (), None) and (key, value) != ("state", "PUBLISHED")
    }


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_input_gives_the_stored_result(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    found = orjson.loads(orjson.dumps([as_plain(result) for result in read_advisories([path.name])]))
    stored = path.with_name(path.name.replace(".in.", ".out.") + ".json")
    if os.environ.get("CTIFORGE_REWRITE_GOLDEN"):
        stored.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    assert found == orjson.loads(stored.read_bytes())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_naming_the_format_gives_the_same_as_detecting_it(path: Path) -> None:
    name = path.name.split(".")[0].rstrip("0123456789") if path.name.startswith("csaf") else path.name.split(".")[0]
    detected = list(read_advisories([str(path)]))
    named = list(read_advisories([str(path)], ReadOptions(format=name)))
    if name in ("jsonl", "osv"):  # the reason for rejecting foreign objects differs
        named = [result for result in named if isinstance(result, Advisory)]
        detected = [result for result in detected if isinstance(result, Advisory)]
    assert named == detected


def test_every_format_has_a_golden_file() -> None:
    assert {path.name.split(".")[0].replace("csaf20", "csaf").replace("csaf21", "csaf") for path in INPUTS} == set(FORMATS)
