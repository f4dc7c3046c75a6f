"""The folder of a LoRA fine-tuning: whose run it holds, what is finished in it, on which device, and its manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import torch

from ctiforge.core.errors import InputError, ModelError, SettingError
from ctiforge.core.files import file_sha256, sha256, write_json
from ctiforge.core.manifest import git_revision
from ctiforge.train.lora_corpus import LoraCorpus
from ctiforge.train.lora_recipe import LoraRecipe

__all__ = [
    "FinishedStage",
    "StartingAdapter",
    "choose_device",
    "fitted_on",
    "measured_once",
    "prepare_folder",
    "run_fingerprint",
    "starting_adapter",
    "write_manifest",
]

_HOW_ONLY = frozenset({"name", "description", "evaluation", "checkpoint_steps", "device", "activation_checkpointing"})
"""Settings that do not change what is learnt."""


@dataclass(frozen=True, slots=True)
class FinishedStage:
    """A stage that is done: the folder of its adapter, and what its done.json says."""

    folder: Path
    words: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StartingAdapter:
    """The adapter that a run goes on from.

    Attributes:
        digest: SHA-256 of its weights.
        recipe: that it was trained by, where its manifest is there.
    """

    folder: Path
    digest: str
    recipe: str | None


def starting_adapter(folder: Path, recipe: LoraRecipe, base: str) -> StartingAdapter:
    """Check that a recipe can go on from an adapter; a folder that `train lora` wrote stands for its ``adapter``.

    Args:
        base: digest of the base's folder.

    Raises:
        ModelError: no adapter, one of another shape than the recipe's, or of another base.
    """
    place = folder / "adapter" if (folder / "adapter" / "adapter_config.json").is_file() else folder
    try:
        config = orjson.loads((place / "adapter_config.json").read_bytes())
        digest = file_sha256(place / "adapter_model.safetensors")
    except (OSError, ValueError) as error:
        raise ModelError(f"{place} is no LoRA adapter: {error}", fix="give a folder that `ctiforge train lora` wrote") from None
    wanted = {"r": recipe.lora.rank, "lora_alpha": recipe.lora.alpha}
    odd = [f"{name} {config.get(name)} instead of {value:g}" for name, value in wanted.items() if config.get(name) != value]
    if odd:
        raise ModelError(
            f"{place} does not fit recipe {recipe.name!r}: {', '.join(odd)}",
            fix="set lora.rank and lora.alpha in a copy of the recipe to the adapter's",
        )
    manifest = place.parent / "manifest.json"
    words: dict[str, Any] = orjson.loads(manifest.read_bytes()) if manifest.is_file() else {}
    if words and words.get("base", {}).get("digest") != base:
        raise ModelError(f"{place} was trained on another base", fix=f"give --base {words.get('base', {}).get('model')}")
    return StartingAdapter(place, digest, words.get("recipe", {}).get("name"))


def measured_once(file: Path, digest: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what was measured of an adapter before, or measure it now."""
    if file.is_file():
        words: dict[str, Any] = orjson.loads(file.read_bytes())
        if words.pop("adapter_sha256", None) == digest:
            return words
    found = measure()
    write_json(file, found | {"adapter_sha256": digest})
    return found


def fitted_on(recipe: LoraRecipe, out: Path) -> str | None:
    """Return the kind of device that all stages are finished on, None where they are not: what a GPU machine has fitted can be
    finished on another."""
    file = out / "run.json"
    last = f"{len(recipe.stages):02d}-{recipe.stages[-1].name}"
    if not file.is_file() or not (out / "stages" / last / "done.json").is_file():
        return None
    words: dict[str, Any] = orjson.loads(file.read_bytes())
    return str(words["device"]) if "device" in words else None


def choose_device(device: str, recipe: LoraRecipe, *, finished: bool) -> str:
    """Return the device to run on.

    Raises:
        SettingError: it cannot be used, or the recipe demands a GPU and has still something to fit.
    """
    found = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = found if device == "auto" else device
    if recipe.device == "gpu" and not finished and not chosen.startswith("cuda"):
        raise SettingError(
            f"recipe {recipe.name!r} is for a GPU, and "
            + ("torch finds none (CUDA or ROCm)" if device == "auto" else f"--device is {device}"),
            fix="run it on a machine with one, or set device: any in a copy of the recipe; gemma3-270m is for a CPU",
        )
    try:
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise SettingError(f"device {chosen!r} cannot be used: {error}", fix="choose auto, cpu or cuda") from None
    return chosen


def run_fingerprint(
    recipe: LoraRecipe, base: str, corpus: LoraCorpus, device: str, start: StartingAdapter | None = None
) -> str:
    """Return a digest of all that decides what a run learns."""
    settings = {name: value for name, value in recipe.model_dump(mode="json").items() if name not in _HOW_ONLY}
    words = [settings, base, corpus.digests["train.jsonl"], device, *([start.digest] if start else [])]
    return sha256(orjson.dumps(words, option=orjson.OPT_SORT_KEYS))


def prepare_folder(out: Path, fingerprint: str, device: str, *, restart: bool) -> None:
    """Make the folder of a run, or check that it is this run's.

    Raises:
        InputError: it is not, or cannot be written to.
    """
    file = out / "run.json"
    if restart:
        shutil.rmtree(out / "stages", ignore_errors=True)
        file.unlink(missing_ok=True)
    if file.is_file():
        if orjson.loads(file.read_bytes()).get("fingerprint") != fingerprint:
            raise InputError(
                f"{out} holds a run with another recipe, base, corpus, adapter or kind of device, so it cannot be continued",
                fix="name another --out, or start again with --restart",
            )
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(file, {"fingerprint": fingerprint, "device": device})
    except OSError as error:
        raise InputError(f"{out}: cannot write ({error.strerror})", fix="name a folder that can be written") from None


def write_manifest(
    out: Path,
    recipe: LoraRecipe,
    folder: Path,
    base: str,
    corpus: LoraCorpus,
    done: Sequence[FinishedStage],
    digest: str,
    fingerprint: str,
    labels: dict[str, Any],
    start: StartingAdapter | None,
) -> None:
    """Write manifest.json.

    Raises:
        ModelError: the disk is full.
    """
    manifest = {
        "kind": "lora-adapter",
        "recipe": recipe.model_dump(mode="json"),
        "base": {"model": recipe.base.model, "folder": folder.name, "digest": base, "licence": recipe.base.licence},
        "corpus": {"folder": corpus.folder.name, "sha256": corpus.digests},
        "started_from": {"recipe": start.recipe, "adapter_sha256": start.digest} if start else None,
        "stages": [each.words for each in done],
        "adapter_sha256": digest,
        **labels,
        "device": done[-1].words["device"],
        "threads": torch.get_num_threads(),
        "fingerprint": fingerprint,
        "versions": done[-1].words["versions"],
        "git_revision": git_revision(),
    }
    try:
        write_json(out / "manifest.json", manifest)
    except OSError as error:
        raise ModelError(f"{out / 'manifest.json'}: cannot write ({error.strerror})", fix="make room") from None
