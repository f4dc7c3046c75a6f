from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from ctiforge.bench.completion import Completion
from ctiforge.bench.run_folder import RunFolder, key_of
from ctiforge.core.errors import InputError

IDENTITY = {"model": {"name": "toy"}, "protocol": {"digest": "p"}, "tasks": {"toy": {"sha256": "d", "n": 3}}}
FAILED = {"kind": "timeout", "message": "no answer within 1 s", "status": None}


def completion(number: int, text: str = "CWE-79", error: dict[str, object] | None = None) -> Completion:
    return Completion("toy", f"toy/{number:04}", 0, text, "error" if error else "stop", seed=number, error=error)


def test_what_was_appended_is_there_at_the_next_start(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "a" / "run", IDENTITY) as folder:
        folder.append(completion(0))
        folder.append(completion(1, error=FAILED))
    with RunFolder(tmp_path / "a" / "run", IDENTITY) as folder:
        assert folder.done == {key_of(completion(0)): completion(0)}
        assert folder.failed == {key_of(completion(1)): completion(1, error=FAILED)}


def test_a_later_answer_replaces_a_failure(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.append(completion(0, error=FAILED))
        folder.append(completion(0))
        assert (len(folder.done), len(folder.failed)) == (1, 0)
    with RunFolder(tmp_path, IDENTITY) as folder:
        assert (len(folder.done), len(folder.failed)) == (1, 0)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_cut_off_and_the_rest_stays(tmp_path: Path, cut: int) -> None:
    with RunFolder(tmp_path, IDENTITY) as folder:
        for number in range(3):
            folder.append(completion(number))
    path = tmp_path / "completions.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    with RunFolder(tmp_path, IDENTITY) as folder:
        assert [each.sample_id for each in folder.done.values()] == ["toy/0000", "toy/0001"]
        folder.append(completion(2))
    assert [orjson.loads(line)["sample_id"] for line in path.read_bytes().splitlines()] == ["toy/0000", "toy/0001", "toy/0002"]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.append(completion(0))
    path = tmp_path / "completions.jsonl"
    path.write_bytes(b'{"task": 1}\n' + path.read_bytes())
    with pytest.raises(InputError, match="line 1 is not a completion"):
        RunFolder(tmp_path, IDENTITY)


def test_another_run_is_not_overwritten(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.append(completion(0))
    other = IDENTITY | {"model": {"name": "other"}}
    with pytest.raises(InputError, match=r'another run: model\.name was "toy", now "other"'):
        RunFolder(tmp_path, other)
    assert len((tmp_path / "completions.jsonl").read_bytes().splitlines()) == 1


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match="not the manifest of a benchmark run"):
        RunFolder(tmp_path, IDENTITY)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "completions.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match=r"no manifest\.json"):
        RunFolder(tmp_path, IDENTITY)


def test_a_path_that_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the run"):
        RunFolder(tmp_path / "file" / "run", IDENTITY)


def test_a_full_disk_is_told_and_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.append(completion(0))
        write = os.write
        monkeypatch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:10]))
        with pytest.raises(InputError, match="No space left") as caught:
            folder.append(completion(1))
        monkeypatch.undo()
        assert "goes on" in str(caught.value.fix)
    with RunFolder(tmp_path, IDENTITY) as folder:
        assert list(folder.done) == [key_of(completion(0))]
    assert (tmp_path / "completions.jsonl").read_bytes().endswith(b"\n")


def test_the_manifest_tells_every_start_and_end(tmp_path: Path) -> None:
    for asked in (3, 0):
        with RunFolder(tmp_path, IDENTITY) as folder:
            folder.note_end({"seconds": 1.5, "asked": asked, "kept": 3 - asked})
    manifest = orjson.loads((tmp_path / "manifest.json").read_bytes())
    assert manifest["run"] == IDENTITY
    assert len(manifest["started"]) == 2
    assert [end["asked"] for end in manifest["ended"]] == [3, 0]


def test_a_field_of_a_later_version_is_passed_over(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.append(completion(0))
    path = tmp_path / "completions.jsonl"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"mood": "good"}) + b"\n")
    with RunFolder(tmp_path, IDENTITY) as folder:
        assert list(folder.done.values()) == [completion(0)]
