"""GGUF models with llama.cpp, from the package xllamacpp: in a child process (`LlamaServerModel`) or in this one."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ctiforge.core.errors import MissingExtraError, ModelError, SettingError
from ctiforge.core.files import file_sha256, sha256
from ctiforge.models.generation import Generation, GenerationError, GenerationRequest, ModelInfo
from ctiforge.models.gguf_header import read_gguf_metadata
from ctiforge.models.label_requests import FEW_CHOICES, lead_of, rank_choices
from ctiforge.models.llama_server import LlamaSettings, build_llama_server
from ctiforge.models.openai_http import OpenAIModel
from ctiforge.models.openai_wire import ReplyError, next_token_body, read_generation, read_next_tokens, request_body
from ctiforge.models.retry import RetryPolicy

__all__ = ["LlamaCppModel", "LlamaServerModel"]

_NO_SECOND_TRY = RetryPolicy(max_attempts=1)
_KEY_ENV = "CTIFORGE_LLAMA_KEY"
_LOG_TAIL = 2000


class _GgufModel:
    """What both ways of running a GGUF file share.

    With `parallel` 1 and no `prompt_cache`, an answer depends on the request alone. More requests at once share batches, and a
    cached prefix was computed in another batch: faster, and now and then another rounding, so another token.

    Args:
        path: of the GGUF file (the first, if it is split).
        name: for people; the file's name without its ending if None.
        context_size: tokens of a prompt with its completion.
        parallel: requests worked on at once; others wait.
        threads: of the CPU; one less than this process may use if None (llama.cpp's threads wait for each other, so a busy
            core slows down all).
        gpu_layers: layers on a GPU; -1 leaves it to llama.cpp.
        chat_template: Jinja text or the path of a file with it, in place of the model's own.
        prompt_cache: whether the part of a prompt that the one before began with as well is kept.

    Raises:
        ModelError: there is no such file, or it is no GGUF file.
        MissingExtraError: xllamacpp is not installed.
        SettingError: a setting is out of range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        context_size: int = 4096,
        parallel: int = 1,
        threads: int | None = None,
        gpu_layers: int = -1,
        chat_template: str | os.PathLike[str] | None = None,
        prompt_cache: bool = False,
    ) -> None:
        for setting, value in (("context_size", context_size), ("parallel", parallel), ("threads", threads)):
            if value is not None and value < 1:
                raise SettingError(f"{setting} is {value}", fix="give a number above 0")
        self._path = Path(path).expanduser()
        self._metadata = read_gguf_metadata(self._path)
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtraError("xllamacpp", "gguf")
        self._name = name or self._path.name.removesuffix(".gguf")
        self._own_template = _template_text(chat_template)
        self._template = self._own_template or str(self._metadata.get("tokenizer.chat_template", ""))
        self._extra = {"cache_prompt": prompt_cache}
        self._settings = LlamaSettings(
            path=str(self._path.resolve()),
            context_size=context_size,
            parallel=parallel,
            threads=threads or max(_usable_cpus() - 1, 1),
            gpu_layers=gpu_layers,
            chat_template=self._own_template,
            api_key=secrets.token_urlsafe(24),
        )
        self._slots = asyncio.Semaphore(parallel)
        self._starting = asyncio.Lock()
        self._digest: str | None = None

    async def info(self) -> ModelInfo:
        """Return the file's name and SHA-256, after the model was loaded.

        Raises:
            ModelError: llama.cpp cannot load it.
        """
        await self._start()
        if self._digest is None:
            self._digest = await asyncio.to_thread(file_sha256, self._path)
        settings = {
            "architecture": self._metadata.get("general.architecture"),
            "file_type": self._metadata.get("general.file_type"),
            "context_size": self._settings.context_size,
            "parallel": self._settings.parallel,
            "prompt_cache": self._extra["cache_prompt"],
            "gpu_layers": self._settings.gpu_layers,
        }
        template = sha256(self._template.encode("utf-8", "replace")) if self._template else None
        return ModelInfo(self._name, "llama.cpp", self._digest, chat_template_sha256=template, settings=settings)

    async def _start(self) -> Any:
        raise NotImplementedError

    def _check(self, request: GenerationRequest) -> None:
        """Refuse what llama.cpp would answer under a template of another model's.

        Raises:
            ModelError: a conversation for a model without a chat template.
        """
        if request.messages and not self._template:
            raise ModelError(
                f"{self._path} has no chat template: it is a base model, or was converted without one",
                fix="use a protocol for base models, such as foundation-sec-base, or give chat_template",
            )


class LlamaServerModel(_GgufModel):
    """A GGUF model in a child process, which ends with this one however it ends.

    Args:
        timeout_s: for one request, without the time that it waits for its turn.
        log: file for what llama.cpp says; a temporary one, removed at the end, if None.
        path, settings: as in `LlamaCppModel`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        context_size: int = 4096,
        parallel: int = 1,
        threads: int | None = None,
        gpu_layers: int = -1,
        chat_template: str | os.PathLike[str] | None = None,
        prompt_cache: bool = False,
        timeout_s: float = 600.0,
        start_timeout_s: float = 600.0,
        log: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(
            path,
            name=name,
            context_size=context_size,
            parallel=parallel,
            threads=threads,
            gpu_layers=gpu_layers,
            chat_template=chat_template,
            prompt_cache=prompt_cache,
        )
        self._timeout_s = timeout_s
        self._start_timeout_s = start_timeout_s
        self._keep_log = log is not None
        self._log = Path(log) if log is not None else None
        self._process: subprocess.Popen[str] | None = None
        self._client: OpenAIModel | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        return self._process.pid if self._process is not None else None

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer one request when its turn comes.

        Raises:
            ModelError: the model cannot be loaded, or has no chat template for a conversation.
        """
        self._check(request)
        async with self._slots:
            client = await self._start()
            reply = await client.generate(request)
        if reply.error is not None and reply.error.kind == "connection" and self._process is not None:
            code = await asyncio.to_thread(self._exit_code)
            if code is not None:
                message = f"the llama.cpp server ended (exit code {code}): {self._log_tail()}"
                return Generation("", "error", error=GenerationError("connection", message))
        return reply

    async def close(self) -> None:
        """End the child process."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_end, process)
        if self._log is not None and not self._keep_log:
            self._log.unlink(missing_ok=True)

    async def _start(self) -> OpenAIModel:
        async with self._starting:
            if self._client is None:
                url = await asyncio.to_thread(self._spawn)
                self._client = OpenAIModel(
                    url,
                    self._name,
                    api_key_env=_KEY_ENV,
                    environment={_KEY_ENV: self._settings.api_key},
                    timeout_s=self._timeout_s,
                    retry=_NO_SECOND_TRY,
                    extra_body=self._extra,
                )
        return self._client

    def _spawn(self) -> str:
        """Start the child and return its address when the model is loaded.

        Raises:
            ModelError: it ends, or does not get there in time.
        """
        if self._log is None:
            handle, name = tempfile.mkstemp(prefix="ctiforge-llama-", suffix=".log")
            os.close(handle)
            self._log = Path(name)
        command = [sys.executable, "-m", "ctiforge.models.llama_server"]
        with open(self._log, "ab") as log:
            # A session of its own: Ctrl-C is for this process, which then ends the child in its own time.
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        too_late = threading.Timer(self._start_timeout_s, process.kill)
        too_late.start()
        try:
            process.stdin.write(self._settings.to_json() + "\n")
            process.stdin.flush()
            said = next((line for line in process.stdout if line.startswith("{")), "{}")
        except BrokenPipeError:
            said = "{}"
        finally:
            too_late.cancel()
        answer: dict[str, str] = json.loads(said)
        if "url" in answer:
            return answer["url"] + "/v1"
        _end(process)
        self._process = None
        reason = answer.get("error", "its server ended")
        raise ModelError(
            f"llama.cpp cannot run {self._path}: {reason} {self._log_tail()}".rstrip(),
            fix="check the file, and that memory is enough for it with context_size x parallel tokens",
        )

    def _exit_code(self) -> int | None:
        assert self._process is not None
        try:
            return self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return None

    def _log_tail(self) -> str:
        text = self._log.read_text(encoding="utf-8", errors="replace") if self._log is not None else ""
        return " | ".join(text[-_LOG_TAIL:].split("\n")[-6:]).strip(" |")


class LlamaCppModel(_GgufModel):
    """A GGUF model in this process. xllamacpp opens a port on 127.0.0.1 all the same; a random key closes it to others."""

    _server: Any = None
    _workers: ThreadPoolExecutor | None = None

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer one request when its turn comes.

        Raises:
            ModelError: the model cannot be loaded, or has no chat template for a conversation.
        """
        self._check(request)
        async with self._slots:
            await self._start()
            run = asyncio.get_running_loop().run_in_executor
            if len(request.choices) > FEW_CHOICES:

                async def ask(begun: str) -> Generation:
                    body = next_token_body(request, begun, None, self._extra)
                    return await run(self._workers, self._answer, request, body, read_next_tokens)

                return await rank_choices(ask, request.choices, lead=lead_of(request))
            body = request_body(request, None, self._extra)
            return await run(self._workers, self._answer, request, body, lambda document: read_generation(document, request))

    async def close(self) -> None:
        """Wait for requests that are being worked on and give the memory back."""
        workers, self._workers = self._workers, None
        if workers is not None:
            await asyncio.to_thread(workers.shutdown)
        self._server = None

    async def _start(self) -> None:
        async with self._starting:
            if self._server is None:
                try:
                    self._server = await asyncio.to_thread(build_llama_server, self._settings)
                except RuntimeError as error:
                    fix = "check the file, and that memory is enough for it with context_size x parallel tokens"
                    raise ModelError(f"llama.cpp cannot run {self._path}: {error}", fix=fix) from None
                self._workers = ThreadPoolExecutor(self._settings.parallel, thread_name_prefix="llama.cpp")

    def _answer(self, request: GenerationRequest, body: dict[str, Any], read: Callable[[Any], Generation]) -> Generation:
        ask = self._server.handle_chat_completions if request.messages else self._server.handle_completions
        try:
            return read(ask(body))
        except ReplyError as error:
            return error.generation(1)
        except (RuntimeError, ValueError) as error:  # what llama.cpp throws for a request it cannot take
            return Generation("", "error", error=GenerationError("refused", str(error)))


def _end(process: subprocess.Popen[str]) -> None:
    """End a child by closing its standard input; by force, if that does not do."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except BrokenPipeError:
                continue
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _template_text(template: str | os.PathLike[str] | None) -> str:
    if template is None:
        return ""
    text = os.fspath(template)
    if "{" in text:
        return text
    try:
        return Path(text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"chat_template {text}: {error}", fix="give Jinja text, or the path of a file with it") from None


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
