from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.messages import ChatMessage
from ctiforge.models.generation import Generation, GenerationRequest
from ctiforge.models.openai_wire import ReplyError, decode_document, encode_body, excerpt, read_generation, request_body

CHAT = GenerationRequest(
    messages=(ChatMessage("system", "Be brief."), ChatMessage("user", "Which CWE?")), metadata={"sample_id": 1}
)
TEXT = GenerationRequest(prompt="Question: 1 + 1?\nAnswer:", stop=("\n", "Question:"), seed=7, temperature=0.3, max_tokens=20)
LETTERS = GenerationRequest(prompt="Answer:", choices=("A", "B", "C"), stop=("\n",))


def chat(content: Any, finish_reason: Any = "stop", **rest: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **rest}, "finish_reason": finish_reason}]}


def text(content: Any, finish_reason: Any = "stop", **usage: Any) -> dict[str, Any]:
    return {"choices": [{"text": content, "finish_reason": finish_reason}], "usage": usage}


def test_a_chat_request_as_a_body_without_what_the_asker_knows() -> None:
    assert request_body(CHAT, "m") == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which CWE?"}],
        "temperature": 0.0,
        "max_tokens": 512,
    }


def test_a_text_request_as_a_body() -> None:
    assert request_body(TEXT, None, {"top_p": 1.0}, token_limit_field="max_completion_tokens") == {
        "prompt": "Question: 1 + 1?\nAnswer:",
        "temperature": 0.3,
        "max_completion_tokens": 20,
        "seed": 7,
        "stop": ["\n", "Question:"],
        "top_p": 1.0,
    }


def test_choices_are_asked_for_as_one_token_with_alternatives() -> None:
    assert request_body(LETTERS, "m") == {
        "model": "m", "prompt": "Answer:", "temperature": 1.0, "max_tokens": 1, "logprobs": 20,
    }  # fmt: skip
    body = request_body(GenerationRequest(messages=CHAT.messages, choices=("A",)), "m", top_logprobs=5)
    assert (body["logprobs"], body["top_logprobs"], body["max_tokens"]) == (True, 5, 1)


@pytest.mark.parametrize("request_", [GenerationRequest(), GenerationRequest(messages=CHAT.messages, prompt="x")])
def test_a_request_has_messages_or_a_prompt(request_: GenerationRequest) -> None:
    with pytest.raises(ValueError, match="either messages or a prompt"):
        request_body(request_, "m")


@given(st.recursive(st.text() | st.integers(-100, 100), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_every_body_can_be_sent_and_read(value: Any) -> None:
    assert decode_document(encode_body({"value": value})) == {"value": value}


def test_lone_surrogates_pass_in_neither_direction() -> None:
    assert decode_document(encode_body({"prompt": ["a\ud800b"]})) == {"prompt": ["a\ufffdb"]}
    reply = read_generation(decode_document(b'{"choices": [{"text": "CWE-79 \\ud83d", "finish_reason": "stop"}]}'), TEXT)
    assert reply.text.encode() == "CWE-79 \ufffd".encode()


def test_a_reply_gives_text_and_counts() -> None:
    document = chat("CWE-79") | {"usage": {"prompt_tokens": 12, "completion_tokens": 4}}
    assert read_generation(document, CHAT) == Generation("CWE-79", "stop", 12, 4)
    assert read_generation(text(" 2", "length"), TEXT) == Generation(" 2", "length")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("stop", "stop"), (None, "stop"), ("eos_token", "stop"), ("length", "length"), ("max_tokens", "length")],
)
def test_finish_reasons(reason: str | None, expected: str) -> None:
    assert read_generation(chat("x", reason), CHAT).finish_reason == expected


def test_content_in_parts_is_put_together_and_reasoning_is_left_out() -> None:
    parts = [{"type": "text", "text": "CWE"}, {"type": "image", "url": "x"}, {"type": "text", "text": "-79"}]
    assert read_generation(chat(parts, reasoning_content="CWE-20? No."), CHAT).text == "CWE-79"


@pytest.mark.parametrize(
    ("document", "kind", "says"),
    [
        ([], "malformed", "no object"),
        ({}, "malformed", "no choices"),
        ({"choices": []}, "malformed", "no choices"),
        ({"choices": "many"}, "malformed", "no choices"),
        ({"choices": [None]}, "malformed", "no choices"),
        ({"choices": [{}]}, "malformed", "neither message nor text"),
        (chat(17), "malformed", "no text"),
        (chat("half an", "abort"), "malformed", "broke the completion off"),
        (chat(""), "empty", "the completion is empty"),
        (chat(None), "empty", "the completion is empty"),
        (chat("", reasoning_content="hm"), "empty", "reasoning but no answer"),
        (chat("", "content_filter"), "empty", "content filter"),
        ({"error": {"message": "overloaded", "code": 503}}, "http_status", "overloaded"),
        ({"error": "no slot"}, "malformed", "no slot"),
        ({"error": {"message": "too long", "code": 400}}, "refused", "too long"),
    ],
)
def test_what_is_no_completion_is_an_error_of_its_kind(document: Any, kind: str, says: str) -> None:
    with pytest.raises(ReplyError, match=says) as caught:
        read_generation(document, CHAT)
    assert caught.value.kind == kind
    assert caught.value.retry is (kind != "refused")


def test_nothing_after_all_tokens_is_a_truncated_completion() -> None:
    assert read_generation(chat("", "length"), CHAT) == Generation("", "length")


def test_a_base_model_may_end_at_once_but_a_server_that_generated_nothing_is_at_fault() -> None:
    assert read_generation(text("", completion_tokens=1), TEXT) == Generation("", "stop", None, 1)
    for usage in ({"completion_tokens": 0}, {}):
        with pytest.raises(ReplyError, match="empty"):
            read_generation(text("", **usage), TEXT)
    with pytest.raises(ReplyError, match="empty"):
        read_generation(chat("") | {"usage": {"completion_tokens": 1}}, CHAT)


def test_choice_logprobs_add_up_over_spellings_and_leave_out_what_is_not_there() -> None:
    top = {" A": math.log(0.5), "A": math.log(0.1), "\nC": math.log(0.2), "the": -1, "B ": float("nan")}
    legacy = {"choices": [{"text": " A", "logprobs": {"top_logprobs": [top]}}]}
    content = [{"token": " A", "logprob": -1, "top_logprobs": [{"token": t, "logprob": p} for t, p in top.items()]}]
    modern = {"choices": [{"text": " A", "logprobs": {"content": content}}]}
    for document in (legacy, modern):
        reply = read_generation(document, LETTERS)
        assert reply.choice_logprobs == pytest.approx({"A": math.log(0.6), "C": math.log(0.2)})
        assert (reply.text, reply.finish_reason) == ("A", "stop")


def test_no_choice_among_the_likeliest_tokens_is_no_error() -> None:
    reply = read_generation({"choices": [{"text": "x", "logprobs": {"top_logprobs": [{"x": -0.1}]}}]}, LETTERS)
    assert (reply.choice_logprobs, reply.text) == ({}, "")


@pytest.mark.parametrize("logprobs", [None, {}, {"content": []}, {"content": None, "top_logprobs": [None]}, "yes"])
def test_a_server_without_logprobs_refuses_choices(logprobs: Any) -> None:
    with pytest.raises(ReplyError, match="gives no log-probabilities") as caught:
        read_generation({"choices": [{"text": "A", "logprobs": logprobs}]}, LETTERS)
    assert (caught.value.kind, caught.value.retry) == ("refused", False)


NAMES = st.sampled_from(["choices", "message", "text", "content", "logprobs", "top_logprobs", "error", "usage"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner),
    max_leaves=20,
)


@given(document=JSON, request_=st.sampled_from([CHAT, TEXT, LETTERS]))
def test_any_document_is_a_completion_or_a_reply_error(document: Any, request_: GenerationRequest) -> None:
    try:
        reply = read_generation(decode_document(json.dumps(document).encode()), request_)
    except ReplyError:
        return
    assert isinstance(reply.text, str)
    assert reply.error is None


@given(st.binary())
def test_any_bytes_are_a_document_or_malformed(data: bytes) -> None:
    kind = ""
    try:
        decode_document(data)
    except ReplyError as error:
        kind = error.kind
    assert kind in ("", "malformed")


def test_an_excerpt_is_one_short_line() -> None:
    assert excerpt(b"<html>\n\n<h1>\x00Bad\tgateway</h1>\xff") == "<html> <h1> Bad gateway</h1>\ufffd"
    assert len(excerpt("x" * 10_000)) == 301
    assert excerpt(b"") == "(nothing)"
