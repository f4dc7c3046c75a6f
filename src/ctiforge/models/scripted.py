"""A model that answers from a script: for tests, documentation and examples, which run offline and always alike."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

from ctiforge.core.errors import InputError, SettingError
from ctiforge.core.files import sha256
from ctiforge.models.generation import ErrorKind, FinishReason, Generation, GenerationError, GenerationRequest, ModelInfo

__all__ = ["Reply", "ScriptedModel", "load_script"]

Reply = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""A completion; or an object with ``text``, ``finish_reason``, ``error`` (a kind, or ``{"kind", "message", "status"}``),
``choice_logprobs``, ``ranked``, ``confidence``, ``prompt_tokens``, ``completion_tokens``; or a list of either, one a trial,
from the start again after its end."""

Script = Mapping[str, Reply] | Callable[[GenerationRequest, random.Random], Reply]
Default = Literal["error", "echo"]

_EVERY = "*"
_FIELDS = frozenset(
    ("text", "finish_reason", "error", "choice_logprobs", "ranked", "confidence", "prompt_tokens", "completion_tokens")
)


class ScriptedModel:
    """Answers by sample id, the same on every run.

    Args:
        script: replies by sample id, where ``*`` is for every other sample; or a function of the request and a random number
            generator that is seeded with `seed`, task, sample id and trial, which returns a reply.
        default: what a sample gets for which the script has nothing: a failure (``refused``), or its own prompt's last line.
        seed: of the generator that a function gets.
        delay_s: seconds that an answer takes.

    Raises:
        SettingError: a reply has none of the shapes above.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        default: Default = "error",
        seed: int = 0,
        delay_s: float = 0.0,
        name: str = "scripted",
    ) -> None:
        if default not in get_args(Default):
            raise SettingError(f"unknown default {default!r}", fix=f"choose one of {', '.join(get_args(Default))}")
        self._script: Script = {} if script is None else script
        if not callable(self._script):
            for sample_id, reply in self._script.items():
                _check(sample_id, reply)
        self._default = default
        self._seed = seed
        self._delay_s = delay_s
        self._name = name

    async def info(self) -> ModelInfo:
        """Return the script's name and digest (of its JSON with sorted keys; None for a function)."""
        settings = {"default": self._default, "seed": self._seed}
        digest = None if callable(self._script) else sha256(orjson.dumps(self._script, option=orjson.OPT_SORT_KEYS))
        return ModelInfo(self._name, "scripted", digest, settings=settings)

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer one request."""
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        sample_id, trial = str(request.metadata.get("sample_id", "")), int(request.metadata.get("trial", 0))
        if callable(self._script):
            rng = random.Random(f"{self._seed}/{request.metadata.get('task', '')}/{sample_id}/{trial}")
            reply: Reply | None = self._script(request, rng)
        else:
            reply = self._script.get(sample_id, self._script.get(_EVERY))
        if isinstance(reply, Sequence) and not isinstance(reply, str):
            reply = reply[trial % len(reply)]
        if reply is None:
            reply = self._unscripted(request, sample_id)
        return _generation({"text": reply} if isinstance(reply, str) else reply, request)

    async def close(self) -> None:
        """Do nothing."""

    def _unscripted(self, request: GenerationRequest, sample_id: str) -> Mapping[str, Any]:
        if self._default == "error":
            return {"error": {"kind": "refused", "message": f"the script has no reply for {sample_id!r} and none for '*'"}}
        asked = request.messages[-1].content if request.messages else request.prompt or ""
        return {"text": asked.rstrip().rpartition("\n")[2]}


def load_script(path: str | os.PathLike[str]) -> dict[str, Reply]:
    """Read a script: a JSON object of replies by sample id (``.json``), or JSONL of such objects, later ones adding to earlier.

    Raises:
        InputError: the file cannot be read, or a line is no such object.
    """
    source = Path(path)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}", fix="give a JSON or JSONL file of replies") from None
    lines = [(1, data)] if source.suffix == ".json" else list(enumerate(data.splitlines(), start=1))
    script: dict[str, Reply] = {}
    for number, line in lines:
        if not line.strip():
            continue
        try:
            replies = orjson.loads(line)
            if not isinstance(replies, dict):
                raise InputError("not an object")
            for sample_id, reply in replies.items():
                _check(sample_id, reply)
        except (orjson.JSONDecodeError, InputError) as error:
            fix = 'a line is an object such as {"cti-rcm/0000": "CWE-79", "*": ["CWE-89", "CWE-20"]}'
            raise InputError(f"{source}:{number}: {getattr(error, 'message', error)}", fix=fix) from None
        script |= replies
    return script


def _check(sample_id: str, reply: Any) -> None:
    """Refuse a reply that has no known shape.

    Raises:
        SettingError: it has none.
    """
    if isinstance(reply, list | tuple):
        if not reply or any(isinstance(each, list | tuple) for each in reply):
            raise SettingError(f"the replies for {sample_id!r} are an empty list or a list of lists")
        for each in reply:
            _check(sample_id, each)
    elif isinstance(reply, Mapping):
        if unknown := set(reply) - _FIELDS:
            raise SettingError(f"the reply for {sample_id!r} has unknown fields: {', '.join(sorted(map(str, unknown)))}")
        if not isinstance(reply.get("text", ""), str):
            raise SettingError(f"the text of the reply for {sample_id!r} is no text")
        _error(sample_id, reply.get("error"))
        if reply.get("finish_reason", "stop") not in get_args(FinishReason):
            raise SettingError(f"the reply for {sample_id!r} has finish_reason {reply['finish_reason']!r}")
    elif not isinstance(reply, str):
        raise SettingError(f"the reply for {sample_id!r} is neither text nor object nor list")


def _error(sample_id: str, error: Any) -> GenerationError | None:
    if error is None:
        return None
    parts: Any = {"kind": error} if isinstance(error, str) else error
    if not isinstance(parts, Mapping) or parts.get("kind") not in get_args(ErrorKind):
        kinds = ", ".join(get_args(ErrorKind))
        raise SettingError(f"the error for {sample_id!r} is {error!r}", fix=f"a kind of {kinds}, or an object with one")
    return GenerationError(parts["kind"], str(parts.get("message", "as the script says")), parts.get("status"))


def _generation(reply: Mapping[str, Any], request: GenerationRequest) -> Generation:
    error = _error(str(request.metadata.get("sample_id", "")), reply.get("error"))
    if error is not None:
        return Generation("", "error", error=error)
    text: str = reply.get("text", "")
    logprobs = reply.get("choice_logprobs")
    if request.choices and logprobs is None:
        if text.strip() not in request.choices:
            return Generation("", "error", error=GenerationError("refused", "the script gives no log-probabilities"))
        logprobs = {text.strip(): 0.0}
    return Generation(
        text,
        reply.get("finish_reason", "stop"),
        prompt_tokens=reply.get("prompt_tokens"),
        completion_tokens=reply.get("completion_tokens"),
        choice_logprobs=logprobs if request.choices else None,
        ranked=tuple(reply.get("ranked", ())),
        confidence=reply.get("confidence"),
    )
