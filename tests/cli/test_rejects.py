from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctiforge.cli.rejects import RejectsFile
from ctiforge.core.advisory import Reject, SourceRef
from ctiforge.core.errors import InputError
from ctiforge.sources.rejects import reject_row


def reject(line: int, excerpt: str = "{") -> Reject:
    return Reject(
        SourceRef("feed.jsonl", line, "json"), "malformed_json", "does not close", id="CVE-2099-0001", excerpt=excerpt
    )


def rows(path: Path) -> list[dict[str, object]]:
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def test_a_clean_run_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rejects.jsonl"
    with RejectsFile(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_every_reject_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rejects.jsonl"
    rejects = [reject(1), reject(2, 'line\nbreak "quoted" \u2028 \u00fc')]
    with RejectsFile(path) as file:
        for each in rejects:
            file.write(each)
    assert path.read_bytes().count(b"\n") == 2
    assert rows(path) == [reject_row(each) for each in rejects]


def test_lines_are_complete_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with RejectsFile(path) as file:
        for line in range(1, 101):
            file.write(reject(line, "x" * 150))
            if line % 10 == 0:  # what a crash here would leave behind
                assert [row["line"] for row in rows(path)] == list(range(1, line + 1))


def test_lines_stay_when_the_run_is_interrupted(tmp_path: Path) -> None:
    def interrupted_run(file: RejectsFile) -> None:
        with file:
            file.write(reject(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_run(RejectsFile(tmp_path / "rejects.jsonl"))
    assert len(rows(tmp_path / "rejects.jsonl")) == 1


def test_an_earlier_file_is_replaced_at_the_first_reject_only(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    path.write_text("earlier\n", encoding="utf-8")
    with RejectsFile(path) as file:
        assert path.read_text("utf-8") == "earlier\n"
        file.write(reject(1))
        file.write(reject(2))
    assert [row["line"] for row in rows(path)] == [1, 2]


def write_one(path: Path) -> None:
    with RejectsFile(path) as file:
        file.write(reject(1))


def test_a_path_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path in (tmp_path, tmp_path / "file" / "rejects.jsonl"):
        with pytest.raises(InputError, match="cannot write the rejects file") as caught:
            write_one(path)
        assert str(path) in str(caught.value)
        assert "--rejects" in str(caught.value.fix)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_stops_the_run() -> None:
    with pytest.raises(InputError, match="No space left"):
        write_one(Path("/dev/full"))
