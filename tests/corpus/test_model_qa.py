from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from ctiforge.core.errors import InputError, SettingError
from ctiforge.corpus.model_qa import AnswerFault, ModelSource, WrittenQuestion, ask_model, check_answer, shown_record
from ctiforge.corpus.pipeline import run_build
from ctiforge.corpus.recipe import CorpusRecipe, ModelQa
from ctiforge.corpus.record import CorpusRecord
from ctiforge.models.generation import Generation, GenerationError, GenerationRequest, ModelInfo
from ctiforge.sources.cwe import CweCatalogue

SHOWN = """CVE-2099-10001
Weakness: CWE-89 Improper Neutralization of Special Elements used in an SQL Command ('SQL Injection')
Description: SQL injection in Frobnicator before 2.5 lets guests run queries through the search box of the shop."""
GOOD = {
    "question": "Through which part of Frobnicator can guests run queries?",
    "answer": "Through the search box of the shop.",
    "quote": "lets guests run queries through the  Search Box",
}
SETTINGS = ModelQa(records=3, instruction="Write one question. {record}", licence="CC0-1.0")


def check(**changes: Any) -> WrittenQuestion | AnswerFault:
    return check_answer(json.dumps(GOOD | changes), SHOWN, 0.7)


def test_a_good_answer_passes_also_between_other_words() -> None:
    assert check() == WrittenQuestion(GOOD["question"], GOOD["answer"], GOOD["quote"])
    assert isinstance(check_answer(f"Sure!\n```json\n{json.dumps(GOOD)}\n```", SHOWN, 0.7), WrittenQuestion)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quote": "lets guests delete tables"}, "quote_not_in_record"),
        ({"answer": "By the search box, as in CVE-2099-4444."}, "unknown_identifier"),
        ({"question": "Is T1190 used through the search box?"}, "unknown_identifier"),
        ({"answer": "Before 2.6 through the search box."}, "unknown_number"),
        ({"answer": "A buffer overflow corrupts kernel memory."}, "unsupported_answer"),
        ({"question": "Is it through the search box of the shop?"}, "answer_in_question"),
        ({"answer": ""}, "missing_field"),
        ({"answer": 7}, "missing_field"),
        ({"answer": "search box " * 80}, "answer_too_long"),
    ],
)
def test_what_the_record_does_not_bear_out_is_refused(changes: dict[str, Any], reason: str) -> None:
    checked = check(**changes)
    assert isinstance(checked, AnswerFault)
    assert checked.reason == reason
    assert checked.detail


@pytest.mark.parametrize("completion", ["", "no", "{broken", "[1]", "{'a': 1}"])
def test_what_is_not_json_is_refused(completion: str) -> None:
    checked = check_answer(completion, SHOWN, 0.7)
    assert isinstance(checked, AnswerFault)
    assert checked.reason == "not_json"


class Scripted:
    """A model that answers by a function of the prompt."""

    def __init__(self, answer: Callable[[str], str | None]) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.closed = False

    async def info(self) -> ModelInfo:
        return ModelInfo("scripted-1", "scripted", digest="d" * 64)

    async def generate(self, request: GenerationRequest) -> Generation:
        prompt = request.messages[0].content
        self.asked.append(prompt)
        text = self.answer(prompt)
        if text is None:
            return Generation("", "error", error=GenerationError("timeout", "too late"))
        return Generation(text, "stop")

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def records(make_record: Callable[..., CorpusRecord]) -> list[CorpusRecord]:
    text = SHOWN.rsplit("Description: ", maxsplit=1)[-1]
    made = [make_record(f"rcm/CVE-2099-1000{i}", text, "CWE-89", source_id=f"CVE-2099-1000{i}") for i in range(3)]
    return [*made, make_record("q", "A question?", "A", kind="qa")]


@pytest.fixture
def ask(run_stage: Callable[..., Any], records: list[CorpusRecord], catalogue: CweCatalogue, tmp_path: Path) -> Any:
    def run(model: Scripted, identity: str = "m") -> Any:
        source = ModelSource(identity, lambda: model)
        answers = tmp_path / "answers.jsonl"
        return run_stage(lambda writer: ask_model(writer, records, SETTINGS, source, 1, catalogue, answers))

    return run


def test_checked_questions_keep_their_provenance(ask: Any, records: list[CorpusRecord], catalogue: CweCatalogue) -> None:
    assert shown_record(records[1], catalogue) == SHOWN
    model = Scripted(lambda prompt: json.dumps(GOOD))
    made = list(ask(model).records())
    assert {record.source_id for record in made} == {"CVE-2099-10000", "CVE-2099-10001", "CVE-2099-10002"}
    record = made[0]
    assert (record.kind, record.generator, record.licence, record.steps) == (
        "qa", "qa/model", "CC0-1.0", ("ask model", "check answer"),
    )  # fmt: skip
    assert record.prompt.endswith(GOOD["question"])
    assert record.completion == GOOD["answer"]
    assert record.metadata["model"]["name"] == "scripted-1"
    assert record.metadata["model"]["digest"] == "d" * 64
    assert len(record.metadata["model"]["request"]) == len(record.metadata["model"]["response_sha256"]) == 64
    assert record.metadata["quote"] == GOOD["quote"]
    assert model.closed


def test_refused_and_unanswered_ones_are_rejected_with_a_reason(ask: Any) -> None:
    def answer(prompt: str) -> str | None:
        return {"0": None, "1": "nonsense", "2": json.dumps(GOOD)}[prompt.split("\n")[0][-1]]

    result = ask(Scripted(answer))
    reasons = {row["source_id"][-1]: row["reason"] for row in map(orjson.loads, result.reject_lines())}
    assert reasons == {"0": "not_answered", "1": "not_json"}
    assert result.kept == 1


def test_what_was_answered_is_not_asked_again(ask: Any, tmp_path: Path) -> None:
    first = Scripted(lambda prompt: None if "10001" in prompt else json.dumps(GOOD))
    ask(first)
    with (tmp_path / "answers.jsonl").open("ab") as stream:
        stream.write(b'\n{"request": "cut o')  # killed in the middle of a line
    second = Scripted(lambda prompt: json.dumps(GOOD))
    assert ask(second).kept == 3
    assert [("10001" in prompt) for prompt in second.asked] == [True]
    third = Scripted(lambda prompt: json.dumps(GOOD))
    ask(third, identity="another model")
    assert len(third.asked) == 3


def test_an_endpoint_that_never_answers_stops_the_build(ask: Any) -> None:
    with pytest.raises(InputError, match="none of 3 requests was answered"):
        ask(Scripted(lambda prompt: None))


def test_a_build_with_a_model(tiny: Any, tmp_path: Path, catalogue: CweCatalogue) -> None:
    settings = tiny.recipe.model_dump(mode="json")
    settings["model_qa"] = SETTINGS.model_dump(mode="json") | {"records": 10}
    recipe = CorpusRecipe.model_validate(settings)

    def answer(prompt: str) -> str:
        description = prompt.split("Description: ")[1]
        return json.dumps({"question": "What does it say?", "answer": description[:60], "quote": description[:40]})

    with pytest.raises(SettingError, match="none is named"):
        run_build(recipe, tiny.data, tmp_path / "out", catalogue=catalogue)
    model = ModelSource("scripted", lambda: Scripted(answer))
    report = run_build(recipe, tiny.data, tmp_path / "out", catalogue=catalogue, model=model)
    lines = [orjson.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_bytes().splitlines()]
    lines += [orjson.loads(line) for line in (tmp_path / "out" / "development.jsonl").read_bytes().splitlines()]
    assert sum(line["generator"] == "qa/model" for line in lines) == 10
    assert {line["source_id"] for line in lines if line["generator"] == "qa/model"} <= {
        line["source_id"] for line in lines if line["kind"] == "rcm"
    }
    silent = ModelSource("scripted", lambda: pytest.fail("asked again"))
    again = run_build(recipe, tiny.data, tmp_path / "out", catalogue=catalogue, model=silent)
    assert all(stage.skipped for stage in again.stages)
    assert report.records == again.records
