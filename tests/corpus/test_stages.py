from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ctiforge.core.errors import InputError
from ctiforge.corpus.lines import Rejection
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.stages import StageEvent, StageStore, StageWriter

Make = Callable[..., CorpusRecord]


@pytest.fixture
def work(make_record: Make) -> Callable[[StageWriter], None]:
    def write(writer: StageWriter) -> None:
        writer.keep(make_record("a", steps=("read",), metadata={"n": 1}))
        writer.reject(Rejection("stage", "bad", "why", "b"))
        writer.facts["seen"] = 2
        writer.progress(1, 2)

    return write


def test_a_stage_is_done_once(tmp_path: Path, work: Callable[[StageWriter], None], make_record: Make) -> None:
    events: list[StageEvent] = []
    store = StageStore(tmp_path, events.append)
    first = store.run("stage", work, settings={"x": 1}, inputs=["d"], code=("corpus/stages.py",))
    again = store.run(
        "stage", lambda writer: pytest.fail("done twice"), settings={"x": 1}, inputs=["d"], code=("corpus/stages.py",)
    )
    assert [event.state for event in events] == ["started", "progress", "done", "skipped"]
    assert (first.skipped, again.skipped) == (False, True)
    for result in (first, again):
        assert list(result.records()) == [make_record("a", steps=("read",), metadata={"n": 1})]
        assert (result.kept, dict(result.reasons), result.facts["seen"]) == (1, {"bad": 1}, 2)
    assert first.digest == again.digest


@pytest.mark.parametrize("change", [{"settings": {"x": 2}}, {"inputs": ["e"]}, {"code": ("corpus/lines.py",)}])
def test_another_setting_input_or_code_is_another_stage(
    change: dict[str, object], tmp_path: Path, work: Callable[[StageWriter], None]
) -> None:
    given = {"settings": {"x": 1}, "inputs": ["d"], "code": ("corpus/stages.py",)}
    store = StageStore(tmp_path)
    store.run("stage", work, **given)  # type: ignore[arg-type]
    other = store.run("stage", work, **(given | change))  # type: ignore[arg-type]
    assert not other.skipped


@pytest.mark.parametrize("damage", ["cut", "gone", "no stage.json", "bad stage.json"])
def test_a_damaged_stage_is_done_again(damage: str, tmp_path: Path, work: Callable[[StageWriter], None]) -> None:
    store = StageStore(tmp_path)
    first = store.run("stage", work, settings={}, inputs=[], code=())
    records = first.folder / "records.jsonl.zst"
    if damage == "cut":
        records.write_bytes(records.read_bytes()[:-3])
    elif damage == "gone":
        records.unlink()
    elif damage == "no stage.json":
        (first.folder / "stage.json").unlink()
    else:
        (first.folder / "stage.json").write_text("[]")
    again = store.run("stage", work, settings={}, inputs=[], code=())
    assert not again.skipped
    assert len(list(again.records())) == 1


def test_a_stage_that_fails_leaves_nothing(tmp_path: Path, work: Callable[[StageWriter], None]) -> None:
    def fail(writer: StageWriter) -> None:
        work(writer)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StageStore(tmp_path).run("stage", fail, settings={}, inputs=[], code=())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path, work: Callable[[StageWriter], None]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write the stages"):
        StageStore(tmp_path / "file" / "stages").run("stage", work, settings={}, inputs=[], code=())
