"""Models in the Hugging Face layout as the export reads, compares and writes them: safetensors only, no code from a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch

from ctiforge.core.errors import InputError, ModelError, SettingError
from ctiforge.models.transformers_local import check_model_folder

__all__ = [
    "Precision",
    "as_precision",
    "last_logits",
    "load_model",
    "load_tokenizer",
    "new_folder",
    "probe_tokens",
    "read_config",
    "relative_difference",
]

Precision = Literal["fp32", "bf16"]


def as_precision(name: str) -> Precision:
    """Return a precision by its name.

    Raises:
        SettingError: there is none of that name.
    """
    if name in get_args(Precision):
        return cast(Precision, name)
    raise SettingError(f"unknown precision {name!r}", fix="choose fp32 or bf16")


_PROBES = (
    "SQL injection in the login form of Example Shop 1.2 allows remote attackers to read the database.",
    "Which mitigation fits technique T1548.002?\nA) User Account Control\nB) Audit\n",
    "CWE-79",
)


def load_model(folder: Path, precision: Precision, *, whole: bool = False) -> Any:
    """Load a model for inspection, on the CPU, complete or not at all.

    Args:
        whole: the class that config.json names, towers for other inputs included, instead of the text model that
            transformers would take.

    Raises:
        ModelError: there is no such model, it is quantized, or weights are missing.
    """
    import transformers
    from safetensors import SafetensorError
    from transformers.utils import logging as progress

    tf: Any = transformers
    progress.disable_progress_bar()  # type: ignore[no-untyped-call]
    check_model_folder(folder)
    config = read_config(folder)
    if "quantization_config" in config:
        raise ModelError(
            f"{folder} holds quantized weights: what is merged into them is rounded away",
            fix="take the base in bf16 or fp32, and quantize afterwards: ctiforge export gguf",
        )
    names = config.get("architectures") or [""]
    kind = getattr(tf, names[0], None) if whole else tf.AutoModelForCausalLM
    if kind is None:
        raise ModelError(
            f"{folder}: transformers {tf.__version__} has no {names[0]!r}", fix="install the version it was made with"
        )
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    try:
        model, loading = kind.from_pretrained(
            folder, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"transformers cannot load {folder}: {first}", fix="check that the folder is complete") from error
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])
        raise ModelError(f"{folder} lacks {len(missing)} weights, such as {missing[0]}", fix="copy the folder again")
    return model.eval()


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'}: {error}", fix="give a folder in the Hugging Face layout") from None
    return config


def load_tokenizer(folder: Path, chat_template: Path | None = None) -> Any:
    """Load the tokenizer of a folder, with a chat template from a file where there is one.

    Raises:
        ModelError: it cannot be read.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: its tokenizer cannot be read: {error}", fix="copy the folder again") from None
    if chat_template is not None and chat_template.is_file():
        tokenizer.chat_template = chat_template.read_text("utf-8")
    return tokenizer


def probe_tokens(tokenizer: Any) -> list[list[int]]:
    """Return short texts as tokens, to compare two models on."""
    return [tokenizer(text)["input_ids"] for text in _PROBES]


def last_logits(model: Any, probes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Return the logits of every position of each probe, fp32 of shape (tokens, vocabulary)."""
    with torch.no_grad():
        return [model(torch.tensor([list(probe)]), use_cache=False).logits[0].float() for probe in probes]


def relative_difference(ours: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> float:
    """Return the largest difference of two models' logits, relative to the largest logit of the second."""
    largest = max(float(each.abs().max()) for each in theirs)
    return max(float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True)) / max(largest, 1e-12)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a folder to write to that becomes `out` when the block ends without an error.

    Raises:
        InputError: `out` exists, or the disk is full.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists already", fix="name a folder that does not exist, or remove it")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        if out.is_dir():
            out.rmdir()
        part.replace(out)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise InputError(f"{out}: cannot write ({error.strerror or error})", fix="make room, or name another folder") from None
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
