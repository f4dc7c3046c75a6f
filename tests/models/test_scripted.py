from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from ctiforge.core.errors import InputError, SettingError
from ctiforge.core.messages import ChatMessage
from ctiforge.models.generation import Generation, GenerationRequest, ModelInfo, TextModel
from ctiforge.models.scripted import ScriptedModel, load_script


def ask(model: ScriptedModel, sample_id: str = "t/0", trial: int = 0, **rest: Any) -> Generation:
    metadata = {"task": "t", "sample_id": sample_id, "trial": trial}
    rest.setdefault("prompt", "Question: what?\nAnswer:")
    return asyncio.run(model.generate(GenerationRequest(metadata=metadata, **rest)))


def test_it_is_a_text_model() -> None:
    assert isinstance(ScriptedModel({}), TextModel)


def test_replies_by_sample_with_a_star_for_the_others() -> None:
    model = ScriptedModel({"t/0": "CWE-79", "*": "CWE-20"})
    assert [ask(model, "t/0").text, ask(model, "t/1").text] == ["CWE-79", "CWE-20"]


def test_a_list_has_one_reply_a_trial_and_goes_round() -> None:
    model = ScriptedModel({"*": ["a", {"text": "b", "finish_reason": "length"}, "c"]})
    replies = [ask(model, trial=trial) for trial in range(4)]
    assert [reply.text for reply in replies] == ["a", "b", "c", "a"]
    assert [reply.finish_reason for reply in replies] == ["stop", "length", "stop", "stop"]


@pytest.mark.parametrize("error", ["timeout", {"kind": "timeout"}, {"kind": "timeout", "message": "slow", "status": 504}])
def test_errors_can_be_scripted(error: Any) -> None:
    reply = ask(ScriptedModel({"*": {"text": "CWE-79", "error": error}}))
    assert (reply.text, reply.finish_reason) == ("", "error")
    assert reply.error is not None
    assert reply.error.kind == "timeout"
    assert reply.error.status == (error.get("status") if isinstance(error, dict) else None)


def test_what_a_classifier_would_say_can_be_scripted() -> None:
    reply = ask(ScriptedModel({"*": {"text": "CWE-79", "ranked": ["CWE-79", "CWE-80"], "confidence": 0.7, "prompt_tokens": 9}}))
    assert (reply.ranked, reply.confidence, reply.prompt_tokens) == (("CWE-79", "CWE-80"), 0.7, 9)


def test_choices_get_scripted_logprobs_or_all_on_the_reply() -> None:
    model = ScriptedModel({"a": {"choice_logprobs": {"A": -0.1, "B": -2.4}}, "b": " B", "c": "Answer: C"})
    assert ask(model, "a", choices=("A", "B")).choice_logprobs == {"A": -0.1, "B": -2.4}
    assert ask(model, "b", choices=("A", "B")).choice_logprobs == {"B": 0.0}
    refused = ask(model, "c", choices=("A", "C")).error
    assert refused is not None
    assert refused.kind == "refused"


def test_a_sample_without_a_reply_is_a_failure_or_an_echo() -> None:
    error = ask(ScriptedModel({"t/1": "x"})).error
    assert error is not None
    assert error.kind == "refused"
    assert "'t/0'" in error.message
    assert ask(ScriptedModel(default="echo")).text == "Answer:"
    messages = (ChatMessage("system", "s"), ChatMessage("user", "one\ntwo\n"))
    assert ask(ScriptedModel(default="echo"), prompt=None, messages=messages).text == "two"


def test_a_function_is_given_the_request_and_the_same_luck_every_time() -> None:
    def reply(request: GenerationRequest, rng: random.Random) -> str:
        return f"{request.metadata['sample_id']} {rng.random()}"

    model = ScriptedModel(reply)
    assert ask(model) == ask(ScriptedModel(reply))
    texts = {ask(model).text, ask(model, trial=1).text, ask(model, "t/1").text, ask(ScriptedModel(reply, seed=1)).text}
    assert len(texts) == 4


def test_the_script_has_a_digest_that_order_does_not_change() -> None:
    one, other, third = ({"a": "x", "b": "y"}, {"b": "y", "a": "x"}, {"a": "x", "b": "z"})
    infos = [asyncio.run(ScriptedModel(script).info()) for script in (one, other, third)]
    assert infos[0] == infos[1] != infos[2]
    assert infos[0].backend == "scripted"
    assert asyncio.run(ScriptedModel(lambda *_: "x").info()) == ModelInfo(
        "scripted", "scripted", settings={"default": "error", "seed": 0}
    )


@pytest.mark.parametrize(
    "reply",
    [7, None, [], [["a"]], {"txt": "a"}, {"text": 7}, {"error": "boredom"}, {"error": 7}, {"text": "a", "finish_reason": "x"}],
)
def test_a_reply_of_no_known_shape_is_refused(reply: Any) -> None:
    with pytest.raises(SettingError, match="'t/0'"):
        ScriptedModel({"t/0": reply})


def test_an_unknown_default_is_refused() -> None:
    with pytest.raises(SettingError, match="unknown default 'ecko'"):
        ScriptedModel(default="ecko")  # type: ignore[arg-type]


def test_scripts_are_read_from_json_and_jsonl(tmp_path: Path) -> None:
    lines, whole = tmp_path / "s.jsonl", tmp_path / "s.json"
    lines.write_text('{"t/0": "a", "*": ["b", {"error": "timeout"}]}\n\n{"t/1": {"text": "c"}}\n')
    whole.write_text('{\n "t/0": "a",\n "*": ["b", {"error": "timeout"}],\n "t/1": {"text": "c"}\n}')
    assert load_script(lines) == load_script(whole) == {"t/0": "a", "*": ["b", {"error": "timeout"}], "t/1": {"text": "c"}}


@pytest.mark.parametrize("line", ['["a"]', '{"a": ', '{"a": 7}', '{"a": {"error": "boredom"}}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text('{"t/0": "a"}\n' + line + "\n")
    with pytest.raises(InputError, match=r"s\.jsonl:2: "):
        load_script(path)


def test_no_script(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_script(tmp_path / "none.jsonl")
