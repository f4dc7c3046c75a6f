from __future__ import annotations

import asyncio
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from ctiforge.bench.completion import ScoredItem
from ctiforge.bench.protocol import customize, find_protocol
from ctiforge.bench.runner import RunReport, prepare_like, prepare_tasks, run_benchmark
from ctiforge.core.errors import InputError, ModelError
from ctiforge.models.generation import Generation, GenerationRequest, ModelInfo

TOY = runpy.run_path(str(Path(__file__).with_name("toy.py")))
IFT = customize(find_protocol("foundation-sec-ift"), {"concurrency": 4})


def run(model: Any, out: Path, protocol: Any = IFT, tasks: Any = None, **settings: Any) -> RunReport:
    loaded = prepare_tasks(tasks or [TOY["rcm"](), TOY["mcq"]()], protocol)
    return asyncio.run(run_benchmark(model, loaded, protocol, out, **settings))


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_every_item_of_every_trial_is_asked_once_with_a_seed_of_its_own(tmp_path: Path) -> None:
    model = TOY["ToyModel"]()
    report = run(model, tmp_path)
    assert report.asked == 5 * (20 + 12) == len(model.asked)
    assert set(model.asked.values()) == {1}
    assert len(lines(tmp_path / "completions.jsonl")) == len(lines(tmp_path / "scores.jsonl")) == report.asked
    assert (report.kept, report.failed, report.stopped) == (0, 0, False)


def test_the_record_counts_what_the_model_answered(tmp_path: Path) -> None:
    report = run(TOY["ToyModel"](), tmp_path)
    assert orjson.loads((tmp_path / "record.json").read_bytes()) == report.record
    assert report.record["complete"]
    assert report.record["model"]["name"] == "toy"
    assert report.record["protocol"]["name"] == "foundation-sec-ift"
    assert report.record["protocol"]["custom"]  # four at a time instead of 32
    rcm, mcq = report.record["tasks"]
    for part, n in ((rcm, 20), (mcq, 12)):
        assert part["n"] == n
        assert [trial["trial"] for trial in part["trials"]] == [0, 1, 2, 3, 4]
        for trial in part["trials"]:
            seeds = [IFT.request_seed(f"{part['task']}/{i:04}", trial["trial"]) for i in range(n)]
            right = sum(seed % 3 != 0 for seed in seeds)
            assert trial["counts"]["correct"] == right
            assert trial["accuracy"] == pytest.approx(right / n)
    assert rcm["trials"][0]["counts"]["wrong"] == 20 - rcm["trials"][0]["counts"]["correct"]
    assert mcq["trials"][0]["counts"]["unparsed"] == 12 - mcq["trials"][0]["counts"]["correct"]
    assert {row["rule"] for row in rcm["sensitivity"]} >= {"last-cwe", "first-cwe", "unique-cwe", "last-line"}


def test_no_more_than_the_protocol_allows_are_in_flight_and_not_fewer(tmp_path: Path) -> None:
    model = TOY["ToyModel"](pause=0.002)
    run(model, tmp_path)
    assert model.most_in_flight == 4


def test_a_second_start_asks_nothing_and_gives_the_same_record(tmp_path: Path) -> None:
    run(TOY["ToyModel"](), tmp_path)
    before = (tmp_path / "record.json").read_bytes()
    model = TOY["ToyModel"]()
    report = run(model, tmp_path)
    assert (report.asked, report.kept) == (0, 160)
    assert not model.asked
    assert (tmp_path / "record.json").read_bytes() == before


def test_failed_items_make_the_trial_invalid_until_they_are_asked_again(tmp_path: Path) -> None:
    hurt = {("toy-rcm/0003", IFT.request_seed("toy-rcm/0003", 2)), ("toy-mcq/0001", IFT.request_seed("toy-mcq/0001", 0))}

    def answer(request: GenerationRequest) -> Generation:
        if (request.metadata["sample_id"], request.seed) in hurt:
            return TOY["failing"]("http_status")  # type: ignore[no-any-return]
        return TOY["ToyModel"]._by_seed(request)  # type: ignore[no-any-return]

    report = run(TOY["ToyModel"](answer), tmp_path / "run")
    assert report.failures == {"http_status": 2}
    assert not report.record["complete"]
    rcm = report.record["tasks"][0]
    assert [trial["valid"] for trial in rcm["trials"]] == [True, True, False, True, True]
    assert rcm["trials"][2]["counts"]["failed"] == 1
    assert rcm["accuracy"]["trials"] == 4

    model = TOY["ToyModel"]()
    again = run(model, tmp_path / "run")
    assert set(model.asked) == hurt
    assert again.record["complete"]
    run(TOY["ToyModel"](), tmp_path / "undisturbed")
    assert (tmp_path / "run" / "record.json").read_bytes() == (tmp_path / "undisturbed" / "record.json").read_bytes()
    assert (tmp_path / "run" / "scores.jsonl").read_bytes() == (tmp_path / "undisturbed" / "scores.jsonl").read_bytes()


@pytest.mark.parametrize("kind", ["connection", "timeout"])
def test_a_run_stops_when_nobody_answers(tmp_path: Path, kind: str) -> None:
    model = TOY["ToyModel"](lambda request: TOY["failing"](kind))
    report = run(model, tmp_path)
    assert report.stopped
    assert report.failures[kind] == report.asked <= 20  # four times the concurrency, and those in flight by then
    assert report.record["tasks"][0]["accuracy"] is None


def test_refusals_do_not_stop_a_run(tmp_path: Path) -> None:
    report = run(TOY["ToyModel"](lambda request: TOY["failing"]("refused")), tmp_path)
    assert not report.stopped
    assert report.failures == {"refused": 160}


def test_another_protocol_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    run(TOY["ToyModel"](), tmp_path)
    with pytest.raises(InputError, match=r"another run: protocol\.digest"):
        run(TOY["ToyModel"](), tmp_path, customize(IFT, {"trials": 2}))


def test_another_file_of_golds_or_aliases_is_another_run(tmp_path: Path) -> None:
    task = TOY["rcm"]()
    run(TOY["ToyModel"](), tmp_path, IFT, [replace(task, inputs={"gold": "1" * 64})])
    with pytest.raises(InputError, match=r"another run: tasks\.toy-rcm\.inputs\.gold"):
        run(TOY["ToyModel"](), tmp_path, IFT, [replace(task, inputs={"gold": "2" * 64})])


def test_a_bug_in_a_model_is_not_hidden(tmp_path: Path) -> None:
    def answer(request: GenerationRequest) -> Generation:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        run(TOY["ToyModel"](answer), tmp_path)
    assert caught.group_contains(ZeroDivisionError)


def test_a_model_that_cannot_be_reached_leaves_no_folder(tmp_path: Path) -> None:
    class Gone(TOY["ToyModel"]):  # type: ignore[misc]
        async def info(self) -> ModelInfo:
            raise ModelError("nobody at that address")

    with pytest.raises(ModelError):
        run(Gone(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_rotation_of_the_options_is_asked_and_letters_are_turned_back(tmp_path: Path) -> None:
    def by_text(request: GenerationRequest) -> Generation:
        before, _, _ = request.metadata["input"].partition(") None")
        return Generation(before[-1], "stop")  # always the option called None, wherever it stands

    protocol = customize(find_protocol("greedy"), {"permute": "cyclic"})
    report = run(TOY["ToyModel"](by_text), tmp_path, protocol, [TOY["mcq"]()])
    assert report.asked == 48
    answers = {each["answer"] for each in lines(tmp_path / "scores.jsonl")}
    assert answers == {"B"}
    (part,) = report.record["tasks"]
    assert part["accuracy"]["mean"] == pytest.approx(0.25)
    assert part["metrics"]["permutation"]["rotations"] == 4
    assert part["metrics"]["permutation"]["consistent"] == 1


def test_a_ranking_model_is_scored_by_rank(tmp_path: Path) -> None:
    answer = Generation("CWE-79", "stop", ranked=("CWE-79", "CWE-89"), confidence=0.5)
    report = run(TOY["ToyModel"](lambda request: answer), tmp_path, find_protocol("greedy"), [TOY["rcm"]()])
    (part,) = report.record["tasks"]
    assert part["accuracy"]["mean"] == pytest.approx(0.5)
    assert part["top_k"]["3"] == pytest.approx(1.0)
    assert part["sensitivity"] == []


def test_the_slices_of_a_contamination_report(tmp_path: Path) -> None:
    flagged = frozenset({"toy-rcm/0000", "toy-rcm/0001"})
    report = run(TOY["ToyModel"](), tmp_path, IFT, [TOY["rcm"]()], flagged=flagged)
    assert [(part["slice"], part["n"]) for part in report.record["tasks"][0]["contamination"]] == [("flagged", 2), ("rest", 18)]


def test_duplicates_and_a_limit_are_counted_as_left_out() -> None:
    task = TOY["rcm"]()
    doubled = type(task)(task.task, task.path, task.sha256, [*task.samples, *task.samples[:3]])
    (kept,) = prepare_tasks([doubled], find_protocol("faith"))
    assert (len(kept.samples), kept.left_out) == (20, {"duplicate": 3})
    (limited,) = prepare_tasks([doubled], find_protocol("faith"), 5)
    assert (len(limited.samples), limited.left_out) == (5, {"duplicate": 3, "limit": 15})
    (same,) = prepare_tasks([task], find_protocol("greedy"), 50)
    assert (len(same.samples), same.left_out) == (20, {})


def test_progress_hears_of_every_item_also_of_those_kept_before(tmp_path: Path) -> None:
    class Watch:
        def __init__(self) -> None:
            self.begun: list[tuple[str, int, int]] = []
            self.items: list[ScoredItem] = []
            self.ended = 0

        def begin(self, task: str, trial: int, total: int) -> None:
            self.begun.append((task, trial, total))

        def advance(self, item: ScoredItem) -> None:
            self.items.append(item)

        def end(self) -> None:
            self.ended += 1

    for _ in range(2):
        watch = Watch()
        run(TOY["ToyModel"](), tmp_path, progress=watch)
        assert watch.begun == [("toy-rcm", i, 20) for i in range(5)] + [("toy-mcq", i, 12) for i in range(5)]
        assert len(watch.items) == 160
        assert watch.ended == 10


def test_a_limited_run_is_scored_again_over_the_items_it_asked(tmp_path: Path) -> None:
    task = TOY["rcm"]()
    doubled = type(task)(task.task, task.path, task.sha256, [*task.samples, *task.samples[:3]])
    protocol = customize(find_protocol("faith"), {"trials": 1})
    prepared = prepare_tasks([doubled], protocol, 5)
    asyncio.run(run_benchmark(TOY["ToyModel"](), prepared, protocol, tmp_path))
    assert prepare_like(tmp_path, doubled) == prepared[0]
    assert prepare_like(tmp_path, TOY["mcq"]()).left_out == {}
    assert prepare_like(tmp_path / "gone", doubled) is doubled
