"""How much memory a language model takes to serve, from its configuration alone; to fine-tune it: `train.lora_memory`.

Parameters are counted on the model itself, made without memory (torch's meta device), so that every architecture that
transformers knows is counted exactly. What a library keeps beside the tensors is an allowance, named as such.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from ctiforge.core.errors import MissingExtraError, ModelError, SettingError, did_you_mean
from ctiforge.models.shapes import KNOWN_SHAPES

__all__ = [
    "BITS",
    "Parameters",
    "Planned",
    "Shape",
    "as_quantization",
    "available_memory",
    "load_shape",
    "plan_serving",
    "text_config",
]

PlanQuantization = Literal["fp32", "bf16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"]

BITS: Mapping[PlanQuantization, float] = MappingProxyType(
    {"fp32": 32, "bf16": 16, "Q8_0": 8.5, "Q6_K": 6.5625, "Q5_K_M": 5.7, "Q4_K_M": 4.85}
)
"""Bits a weight, scales of the blocks included; for the M mixes, what they come to in a model of usual shape."""

_RUNTIME = 0.9e9
"""Bytes that a process with torch (on a GPU: the driver's context and workspace) takes without a tensor."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of parameters.

    Attributes:
        total: all that lie in memory.
        effective: those that a token is multiplied with: without tables of embeddings of which it uses one row a layer.
        embedding: of the input embedding (and the head, where it is the same).
    """

    total: int
    effective: int
    embedding: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What a plan needs to know of a model.

    Attributes:
        cached: keys and values that one token leaves: pairs (numbers, window in tokens or None).
        settings: its config.json.
    """

    name: str
    parameters: Parameters
    cached: tuple[tuple[int, int | None], ...]
    hidden: int
    intermediate: int
    vocabulary: int
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """Bytes to serve a model."""

    quantization: PlanQuantization
    context: int
    weights: int
    cache: int
    work: int
    total: int


def as_quantization(name: str) -> PlanQuantization:
    """Return a precision by its name.

    Raises:
        SettingError: there is none of that name.
    """
    for each in BITS:
        if each == name:
            return each
    raise SettingError(f"unknown quantization {name!r}", fix=f"choose of {', '.join(BITS)}")


def available_memory(device: str) -> int | None:
    """Return the bytes that are free on a GPU or on this machine, within a container's limit; None if that is unknown."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text("ascii").splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            free = min(free, int(Path(limit).read_text("ascii")) - int(Path(used).read_text("ascii")))
        except (OSError, ValueError):  # "max", or not in such a group
            continue
    return free


def load_shape(model: str) -> Shape:
    """Return the shape of a model: a known name, a folder with config.json, or such a file.

    Raises:
        ModelError: there is no such model, or transformers does not know its architecture.
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError((error.name or "torch").partition(".")[0], "local") from None
    settings = _settings(model)
    tf: Any = transformers
    try:
        text = text_config(settings)
        with torch.device("meta"):
            made = tf.AutoModelForCausalLM.from_config(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"{model}: transformers cannot make this model: {first}", fix="check its config.json") from None
    tables = [each for name, each in made.named_parameters() if "embed_tokens_per_layer" in name]
    total = sum(each.numel() for each in made.parameters())
    looked_up = sum(each.numel() for each in tables)
    widths = [
        each.out_features
        for name, each in made.named_modules()
        if isinstance(each, torch.nn.Linear) and ".layers." in name and each.in_features == text.hidden_size
    ]
    return Shape(
        name=model,
        parameters=Parameters(total, total - looked_up, made.get_input_embeddings().weight.numel()),
        cached=_cached(made, text),
        hidden=text.hidden_size,
        intermediate=max(widths, default=text.intermediate_size),
        vocabulary=text.vocab_size,
        settings=settings,
    )


def text_config(settings: Mapping[str, Any]) -> Any:
    """Return what transformers makes of a config.json, of the language model in it."""
    import transformers

    tf: Any = transformers
    return tf.AutoConfig.for_model(**{key: value for key, value in settings.items() if key != "auto_map"}).get_text_config()


def _settings(model: str) -> Mapping[str, Any]:
    if model in KNOWN_SHAPES:
        return KNOWN_SHAPES[model]
    path = Path(model).expanduser()
    file = path / "config.json" if path.is_dir() else path
    try:
        settings: dict[str, Any] = json.loads(file.read_text("utf-8"))
    except OSError:
        hint = did_you_mean(model, KNOWN_SHAPES) or f"a folder with config.json, or one of {', '.join(KNOWN_SHAPES)}"
        raise ModelError(f"{model}: no such model", fix=hint) from None
    except ValueError as error:
        raise ModelError(f"{file}: not JSON: {error}", fix="copy the file again") from None
    if not isinstance(settings, dict) or "model_type" not in settings:
        raise ModelError(f"{file} names no model_type", fix="give the config.json of a model in the Hugging Face layout")
    return settings


def _cached(made: Any, config: Any) -> tuple[tuple[int, int | None], ...]:
    """Return what the layers keep of a token. Layers that share another's keys and values keep none."""
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    sizes = {name: each.out_features for name, each in made.named_modules() if name.endswith(("k_proj", "v_proj"))}
    own = config.num_hidden_layers - (getattr(config, "num_kv_shared_layers", 0) or 0)
    found: list[tuple[int, int | None]] = []
    for layer in range(own):
        keys = [size for name, size in sizes.items() if f".layers.{layer}." in name]
        both = sum(keys) if len(keys) > 1 else 2 * sum(keys)
        found.append((both, config.sliding_window if kinds[layer] == "sliding_attention" else None))
    return tuple(found)


def plan_serving(shape: Shape, *, context: int = 4096, quantization: PlanQuantization = "bf16", batch: int = 1) -> Planned:
    """Return the bytes of weights, of keys and values at a context, and of what is worked on."""
    weights = int(shape.parameters.total * BITS[quantization] / 8)
    number = 4 if quantization == "fp32" else 2
    tokens = [(size, min(context, window) if window else context) for size, window in shape.cached]
    cache = batch * number * sum(size * kept for size, kept in tokens)
    chunk = min(context, 512) * batch
    work = int(_RUNTIME + number * chunk * (4 * shape.hidden + 3 * shape.intermediate) + 4 * batch * shape.vocabulary)
    return Planned(quantization, context, weights, cache, work, weights + cache + work)
