"""Models in the Hugging Face layout, run here with torch and transformers, and LoRA adapters on them with peft."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, get_args

from ctiforge.core.errors import MissingExtraError, ModelError, SettingError
from ctiforge.core.files import file_sha256, sha256
from ctiforge.models.generation import Generation, GenerationRequest, ModelInfo
from ctiforge.models.transformers_batch import LoadedModel, answer_batch

__all__ = ["Dtype", "TransformersModel", "check_model_folder", "check_packages", "folder_digest"]

Dtype = Literal["auto", "bf16", "fp32"]

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
_REST = (
    "config.json", "generation_config.json", "tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json",
    "added_tokens.json", "chat_template.*", "*.model",
)  # fmt: skip
_ADAPTER = ("adapter_config.json", "*.safetensors")


_GATHERING_S = 0.005
"""Time for requests that come at almost the same moment to get into one batch."""


class TransformersModel:
    """A causal language model from a folder. Nothing is downloaded, and no code or pickle in the folder is run.

    Requests that wait together are answered together, in batches padded on the left. In a batch, rounding depends on what else
    is in it, so that now and then another token is chosen; ``batch_size=1`` makes an answer depend on the request alone.

    At temperature 0 the likeliest token is taken. Above, tokens are drawn from the whole distribution at that temperature by
    the Gumbel-max method, with noise from a generator that is seeded with the request's seed: the same seed gives the same
    noise in whatever batch, on the same kind of device. Top-k, top-p and penalties of generation_config.json do not apply.

    Args:
        path: folder with config.json, weights as .safetensors, and the tokenizer.
        adapter: folder of a LoRA adapter (adapter_config.json, adapter_model.safetensors), or None.
        dtype: ``auto`` is bf16 on a GPU that has it, else fp32.
        device: ``cuda``, ``cuda:1``, ``mps``, ``cpu``; ``auto`` is a GPU if there is one.
        batch_size: requests answered together at most; halved where memory does not suffice.

    Raises:
        ModelError: a folder or file is missing, or weights are in another form.
        MissingExtraError: torch, transformers or (with an adapter) peft is not installed.
        SettingError: a setting is out of range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        adapter: str | os.PathLike[str] | None = None,
        *,
        dtype: Dtype = "auto",
        device: str = "auto",
        batch_size: int = 8,
        name: str | None = None,
    ) -> None:
        if dtype not in get_args(Dtype):
            raise SettingError(f"unknown dtype {dtype!r}", fix=f"choose one of {', '.join(get_args(Dtype))}")
        if batch_size < 1:
            raise SettingError(f"batch_size is {batch_size}", fix="give a number above 0")
        self._path = Path(path).expanduser()
        self._adapter = Path(adapter).expanduser() if adapter is not None else None
        check_packages(with_adapter=adapter is not None)
        check_model_folder(self._path)
        if self._adapter is not None:
            check_model_folder(self._adapter, "adapter_config.json")
        self._name = name or self._path.resolve().name + (f"+{self._adapter.resolve().name}" if self._adapter else "")
        self._dtype = dtype
        self._device = device
        self._batch_size = batch_size
        self._model: LoadedModel | None = None
        self._digest: str | None = None
        self._waiting: asyncio.Queue[tuple[GenerationRequest, asyncio.Future[Generation]]] = asyncio.Queue()
        self._serving: asyncio.Task[None] | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="transformers")

    async def info(self) -> ModelInfo:
        """Return the folder's name and the digest of its files, after the model was loaded.

        Raises:
            ModelError: it cannot be loaded.
        """
        model = await self._loaded()
        if self._digest is None:
            self._digest = await asyncio.to_thread(folder_digest, self._path, self._adapter)
        settings: dict[str, Any] = {
            "dtype": model.dtype,
            "device": model.device.split(":")[0],
            "attention": model.attention,
            "batch_size": self._batch_size,
        }
        if self._adapter is not None:
            settings["adapter"] = self._adapter.resolve().name
        template = model.chat_template
        return ModelInfo(
            self._name,
            "transformers",
            self._digest,
            chat_template_sha256=sha256(template.encode("utf-8", "replace")) if template else None,
            settings=settings,
        )

    async def generate(self, request: GenerationRequest) -> Generation:
        """Answer one request, together with others that wait.

        Raises:
            ModelError: the model cannot be loaded, has no chat template for a conversation, or memory does not suffice for one
                request.
        """
        model = await self._loaded()
        if request.messages and not model.chat_template:
            raise ModelError(
                f"{self._path} has no chat template: it is a base model, or its template was lost",
                fix="use a protocol for base models, such as foundation-sec-base, or add chat_template.jinja to the folder",
            )
        done: asyncio.Future[Generation] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((request, done))
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve(model))
        return await done

    async def close(self) -> None:
        """Drop what waits, wait for the batch in work, and give the memory back."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        while not self._waiting.empty():
            self._waiting.get_nowait()[1].cancel()
        await asyncio.to_thread(self._worker.shutdown)
        if self._model is not None:
            model, self._model = self._model, None
            model.free()

    async def _loaded(self) -> LoadedModel:
        # One worker: whoever comes while the model is loaded waits here, and then finds it.
        if self._model is None:
            self._model = await asyncio.get_running_loop().run_in_executor(self._worker, self._load)
        return self._model

    def _load(self) -> LoadedModel:
        return self._model or LoadedModel.load(self._path, self._adapter, dtype=self._dtype, device=self._device)

    async def _serve(self, model: LoadedModel) -> None:
        """Answer batch after batch until nothing waits."""
        while not self._waiting.empty():
            await asyncio.sleep(_GATHERING_S)
            batch = [self._waiting.get_nowait() for _ in range(min(self._batch_size, self._waiting.qsize()))]
            batch = [(request, done) for request, done in batch if not done.cancelled()]
            requests = [request for request, _ in batch]
            try:
                replies = await asyncio.get_running_loop().run_in_executor(self._worker, answer_batch, model, requests)
            except asyncio.CancelledError:
                for _, done in batch:
                    done.cancel()
                raise
            except Exception as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            for (_, done), reply in zip(batch, replies, strict=True):
                if not done.done():
                    done.set_result(reply)


def folder_digest(path: Path, adapter: Path | None = None) -> str:
    """Return the SHA-256 of the lines ``NAME SHA-256`` of the files that a model is loaded from, in order of their names.

    Args:
        path: weights, tokenizer and configuration of the model; other files (a README) do not count.
        adapter: those of its LoRA adapter, named ``adapter/...``.
    """
    files = {file.name: file for pattern in (*_WEIGHTS, *_REST) for file in path.glob(pattern) if file.is_file()}
    if adapter is not None:
        files |= {f"adapter/{file.name}": file for pattern in _ADAPTER for file in adapter.glob(pattern)}
    return sha256("".join(f"{name} {file_sha256(files[name])}\n" for name in sorted(files)).encode())


def check_model_folder(folder: Path, config: str = "config.json") -> None:
    """Check that a folder holds a configuration and weights as safetensors.

    Raises:
        ModelError: it does not.
    """
    if not folder.is_dir():
        fix = "give the path of a folder; models are never downloaded"
        raise ModelError(f"{folder}: there is no such folder", fix=fix)
    if not (folder / config).is_file():
        raise ModelError(f"{folder} has no {config}", fix="give a folder in the Hugging Face layout")
    if not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        why = "its weights are in a form that can carry code" if pickled else "it has no weights"
        raise ModelError(f"{folder} has no .safetensors file: {why}", fix="convert or copy the weights as .safetensors")


def check_packages(*, with_adapter: bool) -> None:
    """Check that what models in the Hugging Face layout need is installed.

    Raises:
        MissingExtraError: it is not.
    """
    for package in ("torch", "transformers", *(["peft"] if with_adapter else [])):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "local")
