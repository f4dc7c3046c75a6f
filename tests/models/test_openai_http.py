from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ctiforge.core.errors import ModelError, SettingError
from ctiforge.core.files import sha256
from ctiforge.core.messages import ChatMessage
from ctiforge.models.generation import Generation, GenerationRequest, ModelInfo, TextModel
from ctiforge.models.openai_http import OpenAIModel
from ctiforge.models.retry import RetryPolicy

pytestmark = pytest.mark.enable_socket

ASK = GenerationRequest(messages=(ChatMessage("user", "Which CWE is cross-site scripting?"),), max_tokens=16, seed=3)
KEY = "sk-secret-of-mine"


def run(
    stub: SimpleNamespace,
    use: Callable[[OpenAIModel, Any], Any],
    *,
    options: dict[str, Any] | None = None,
    suffix: str = "",
    **server: Any,
) -> SimpleNamespace:
    """Run ``use(model, server)`` against a stub; give back its result, the server and the waits between attempts."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def go() -> SimpleNamespace:
        async with stub.StubServer(**server) as running:
            model = OpenAIModel(running.url + suffix, **{"environment": {}, "sleep": sleep, "timeout_s": 5.0} | (options or {}))
            try:
                return SimpleNamespace(result=await use(model, running), server=running, waits=waits)
            finally:
                await model.close()

    return asyncio.run(asyncio.wait_for(go(), 30))


def ask(stub: SimpleNamespace, request: GenerationRequest = ASK, **server: Any) -> SimpleNamespace:
    return run(stub, lambda model, _: model.generate(request), **server)


def test_it_is_a_text_model() -> None:
    assert isinstance(OpenAIModel("http://127.0.0.1:1"), TextModel)


def test_chat_and_text_are_asked_at_their_paths(stub: SimpleNamespace) -> None:
    async def both(model: OpenAIModel, _: Any) -> list[Generation]:
        return [await model.generate(ASK), await model.generate(GenerationRequest(prompt="Answer:", stop=("\n",)))]

    seen = run(stub, both, plan=["text=CWE-79", "text= 2"])
    assert [reply.text for reply in seen.result] == ["CWE-79", " 2"]
    assert seen.result[0].completion_tokens == 1
    routes = [(request["method"], request["path"]) for request in seen.server.requests]
    assert routes == [("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("POST", "/v1/completions")]
    body = seen.server.requests[1]["body"]
    assert body == {
        "model": "stub-model",
        "messages": [{"role": "user", "content": "Which CWE is cross-site scripting?"}],
        "temperature": 0.0,
        "max_tokens": 16,
        "seed": 3,
    }
    assert seen.server.connections == 1, "the connection was not kept alive"


STATUSES = ["429", "408", "500", "502", "503", "504", "529"]
BODIES = ["empty", "html", "half", "no-choices", "error-200", "reset", "cut", "headerless"]


@pytest.mark.parametrize("fault", STATUSES + BODIES)
def test_a_passing_fault_costs_an_attempt_and_nothing_else(stub: SimpleNamespace, fault: str) -> None:
    seen = ask(stub, plan=[fault, fault, "text=CWE-79"])
    assert (seen.result.text, seen.result.attempts, seen.result.error) == ("CWE-79", 3, None)
    assert len(seen.waits) == 2
    assert all(0 <= wait <= limit for wait, limit in zip(seen.waits, (0.5, 1.0), strict=True))


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        ("429", "http_status", 429),
        ("500", "http_status", 500),
        ("empty", "empty", 200),
        ("reasoning", "empty", 200),
        ("html", "malformed", None),
        ("half", "malformed", None),
        ("no-choices", "malformed", None),
        ("reset", "connection", None),
        ("cut", "connection", None),
        ("headerless", "connection", None),
    ],
)
def test_a_lasting_fault_is_a_failed_generation_of_its_kind(
    stub: SimpleNamespace, fault: str, kind: str, status: int | None
) -> None:
    seen = ask(stub, plan=lambda *_: fault, options={"retry": RetryPolicy(max_attempts=3)})
    reply = seen.result
    assert (reply.text, reply.finish_reason, reply.attempts) == ("", "error", 3)
    assert reply.error is not None
    assert (reply.error.kind, reply.error.status) == (kind, status)
    assert reply.error.message
    assert seen.server.count == 3


@pytest.mark.parametrize("fault", ["hang", "trickle"])
def test_a_server_that_does_not_come_to_an_end_is_a_timeout(stub: SimpleNamespace, fault: str) -> None:
    start = time.monotonic()
    seen = ask(stub, plan=[fault, fault], options={"timeout_s": 0.3, "retry": RetryPolicy(max_attempts=2)})
    assert (seen.result.error.kind, seen.result.attempts) == ("timeout", 2)
    assert "0.3 s" in seen.result.error.message
    assert 0.6 <= time.monotonic() - start < 5


def test_a_hanging_request_does_not_hold_up_the_next(stub: SimpleNamespace) -> None:
    seen = ask(stub, plan=["hang", "text=CWE-79"], options={"timeout_s": 0.3})
    assert (seen.result.text, seen.result.attempts) == ("CWE-79", 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 501])
def test_a_refusal_is_not_repeated(stub: SimpleNamespace, status: int) -> None:
    seen = ask(stub, plan=[str(status)])
    assert (seen.result.error.status, seen.result.attempts, seen.server.count) == (status, 1, 1)
    assert seen.result.error.kind == ("refused" if status < 500 else "http_status")
    assert f"planned {status}" in seen.result.error.message
    assert seen.waits == []


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "set OPENAI_API_KEY"), (403, "OPENAI_API_KEY may not"), (404, "usually ending in /v1")]
)
def test_a_refusal_says_what_to_mend(stub: SimpleNamespace, status: int, advice: str) -> None:
    assert advice in ask(stub, plan=[str(status)]).result.error.message


def test_a_redirection_is_reported_not_followed(stub: SimpleNamespace) -> None:
    seen = ask(stub, plan=["308:location=http://elsewhere.invalid/v1"])
    assert "http://elsewhere.invalid/v1" in seen.result.error.message
    assert seen.server.count == 1


def test_retry_after_is_honoured_and_bounded(stub: SimpleNamespace) -> None:
    plan = ["429:retry-after=7", "503:retry-after=Wed, 01 Jan 2020 00:00:00 GMT", "429:retry-after=86400", "ok"]
    seen = ask(stub, plan=plan)
    assert seen.result.attempts == 4
    asked = [7, 0, 120]
    assert all(wait <= each <= wait + 0.5 for wait, each in zip(asked, seen.waits, strict=True))


def test_a_truncated_completion_without_text_is_no_failure(stub: SimpleNamespace) -> None:
    seen = ask(stub, plan=["length"])
    assert (seen.result.text, seen.result.finish_reason, seen.result.error) == ("", "length", None)


def test_thirty_two_requests_are_in_flight_at_once_and_use_their_connections_again(stub: SimpleNamespace) -> None:
    async def many(model: OpenAIModel, _: Any) -> list[Generation]:
        numbers = iter(range(128))

        async def worker() -> list[Generation]:
            return [await model.generate(GenerationRequest(prompt=str(number))) for number in numbers]

        return [reply for replies in await asyncio.gather(*(worker() for _ in range(32))) for reply in replies]

    seen = run(stub, many, delay_s=0.05, reply=lambda body: f"reply to {body['prompt']}")
    assert sorted(reply.text for reply in seen.result) == sorted(f"reply to {number}" for number in range(128))
    assert seen.server.most_in_flight == 32
    assert seen.server.connections == 32


def test_a_connection_that_idled_too_long_is_opened_again(stub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def twice(model: OpenAIModel, _: Any) -> list[Generation]:
        first = await model.generate(ASK)
        monkeypatch.setattr("ctiforge.models.http_lanes._KEEP_ALIVE_S", -1.0)
        return [first, await model.generate(ASK)]

    seen = run(stub, twice, options={"model": "m"})
    assert [reply.attempts for reply in seen.result] == [1, 1]
    assert seen.server.connections == 2


def test_nobody_listens(unused_port: int) -> None:
    model = OpenAIModel(
        f"http://127.0.0.1:{unused_port}/v1", "m", environment={}, retry=RetryPolicy(max_attempts=2, base_s=0.01)
    )
    reply = asyncio.run(model.generate(ASK))
    assert reply.error is not None
    assert (reply.error.kind, reply.attempts) == ("connection", 2)
    with pytest.raises(ModelError, match="cannot be reached"):
        asyncio.run(model.info())


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_model_says_who_it_is(stub: SimpleNamespace) -> None:
    seen = run(stub, lambda model, _: model.info(), options={"extra_body": {"top_p": 1.0}})
    assert seen.result == ModelInfo(
        name="stub-model", backend="openai", endpoint=seen.server.url, settings={"extra_body": {"top_p": 1.0}}
    )


def test_a_llama_cpp_server_tells_its_chat_template_and_sampling(stub: SimpleNamespace) -> None:
    props = {"chat_template": "{{ messages }}", "default_generation_settings": {"params": {"top_k": 40, "min_p": 0.05, "n": 1}}}
    info = run(stub, lambda model, _: model.info(), props=props).result
    assert info.chat_template_sha256 == sha256(b"{{ messages }}")
    assert info.settings == {"server_sampling": {"top_k": 40, "min_p": 0.05}}


def test_several_models_must_be_told_apart(stub: SimpleNamespace) -> None:
    with pytest.raises(ModelError, match="serves 2 models: a/one, b/two") as caught:
        run(stub, lambda model, _: model.info(), models=("a/one", "b/two"))
    assert "#a/one" in str(caught.value.fix)
    assert (
        run(stub, lambda model, _: model.info(), models=("a/one", "b/two"), options={"model": "b/two"}).result.name == "b/two"
    )
    with pytest.raises(ModelError, match="serves no model"):
        run(stub, lambda model, _: model.generate(ASK), models=())


def test_a_wrong_base_path_says_so_and_a_service_without_a_list_will_do(stub: SimpleNamespace) -> None:
    with pytest.raises(ModelError, match=r"HTTP 404.*ending in /v1"):
        run(stub, lambda model, _: model.info(), suffix="/wrong")
    info = run(stub, lambda model, _: model.info(), suffix="/wrong", options={"model": "named"}).result
    assert info.name == "named"


def test_the_key_is_sent_and_shown_nowhere(stub: SimpleNamespace) -> None:
    environment = {"MY_KEY": f" {KEY}\n"}
    options = {"environment": environment, "api_key_env": "MY_KEY"}
    seen = run(stub, lambda model, _: model.info(), api_key=KEY, options=options)
    assert KEY not in repr(seen.result)
    with pytest.raises(ModelError, match="check MY_KEY") as caught:  # the stub repeats the key in its message
        run(stub, lambda model, _: model.info(), api_key="another", options=options)
    assert KEY not in str(caught.value)
    reply = run(stub, lambda model, _: model.generate(ASK), api_key="another", options=options | {"model": "m"}).result
    assert reply.error is not None
    assert KEY not in reply.error.message
    assert "***" in reply.error.message


def test_credentials_and_query_of_the_url_are_sent_but_not_shown(stub: SimpleNamespace) -> None:
    async def go() -> tuple[ModelInfo, dict[str, Any]]:
        async with stub.StubServer() as server:
            url = server.url.replace("http://", "http://me:p%40ss@") + "?api-version=1"
            model = OpenAIModel(url, environment={})
            info = await model.info()
            await model.close()
            return info, server.requests[0]

    info, request = asyncio.run(go())
    assert request["path"] == "/v1/models?api-version=1"
    assert request["headers"]["authorization"] == "Basic bWU6cEBzcw=="
    assert "p@ss" not in repr(info)
    assert "me" not in str(info.endpoint)
    assert "api-version" not in str(info.endpoint)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://h.example/api/v3/chat/completions", "https://h.example/api/v3"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
    ],
)
def test_the_base_url_is_understood(url: str, endpoint: str) -> None:
    assert OpenAIModel(url, "m", environment={})._address.endpoint == endpoint


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://h/v1", "http://", "http://h:99999/v1", "", "http://[::1/v1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(SettingError, match="address") as caught:
        OpenAIModel(url)
    assert caught.value.fix


def test_a_key_that_no_header_can_carry() -> None:
    with pytest.raises(SettingError, match="OPENAI_API_KEY") as caught:
        OpenAIModel("http://h/v1", environment={"OPENAI_API_KEY": "sk-ü"})
    assert "ü" not in str(caught.value)


def test_logprobs_of_choices_from_both_apis(stub: SimpleNamespace) -> None:
    async def both(model: OpenAIModel, _: Any) -> list[Generation]:
        choices = ("A", "B", "C", "D")
        return [
            await model.generate(GenerationRequest(messages=ASK.messages, choices=choices)),
            await model.generate(GenerationRequest(prompt="Answer:", choices=choices)),
        ]

    for reply in run(stub, both).result:
        assert reply.choice_logprobs is not None
        assert set(reply.choice_logprobs) == {"A", "B", "C"}
        assert reply.choice_logprobs["B"] == pytest.approx(-0.5 + 0.12692801104297252)
        assert reply.text == "B"


def test_a_server_without_logprobs_says_so_once(stub: SimpleNamespace) -> None:
    seen = ask(stub, GenerationRequest(prompt="Answer:", choices=("A", "B")), logprobs=False)
    assert (seen.result.error.kind, seen.result.attempts) == ("refused", 1)
    assert "log-probabilities" in seen.result.error.message


def test_proxies_of_the_environment_are_for_other_machines(monkeypatch: pytest.MonkeyPatch, stub: SimpleNamespace) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert ask(stub).result.error is None


def test_a_proxy_of_the_environment_is_asked_for_other_machines(monkeypatch: pytest.MonkeyPatch, stub: SimpleNamespace) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    async def go() -> tuple[Generation, list[str]]:
        async with stub.StubServer() as proxy:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            model = OpenAIModel("http://model.invalid/v1", "m", environment={}, retry=RetryPolicy(max_attempts=1))
            reply = await model.generate(ASK)
            await model.close()
            return reply, [request["path"] for request in proxy.requests]

    reply, paths = asyncio.run(go())
    assert paths == ["http://model.invalid/v1/chat/completions"]
    assert reply.error is not None
    assert reply.error.status == 404
