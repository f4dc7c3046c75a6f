"""What the folders of all classifiers have in common: a manifest that names every file's SHA-256, checked on loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from ctiforge.core.errors import ModelError
from ctiforge.core.files import sha256

__all__ = ["manifest_format", "not_a_manifest", "read_manifest", "read_verified"]

_REINSTALL = "install ctiforge again, or copy the whole model folder again"


def read_manifest(folder: Path, expected: str, *, fix: str) -> tuple[dict[str, Any], str]:
    """Return a model folder's manifest and its SHA-256.

    Args:
        fix: what to do where the format is another one.

    Raises:
        ModelError: it is missing, no manifest, or its format is not `expected`.
    """
    raw = _read(folder / "manifest.json")
    try:
        manifest = orjson.loads(raw)
        found = manifest["format"]
        if not isinstance(manifest["labels"], list):
            raise TypeError("labels are no list")
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise not_a_manifest(folder, error) from None
    if found != expected:
        raise ModelError(f"{folder}: model format {found!r} is not {expected!r}", fix=f"use a model of this version, or {fix}")
    return manifest, sha256(raw)


def manifest_format(folder: Path) -> str:
    """Return the format that a folder's manifest names.

    Raises:
        ModelError: there is no readable manifest.
    """
    try:
        return str(orjson.loads(_read(folder / "manifest.json"))["format"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise not_a_manifest(folder, error) from None


def not_a_manifest(folder: Path, error: Exception) -> ModelError:
    """Return the error for a manifest that lacks something."""
    return ModelError(f"{folder / 'manifest.json'}: not a model manifest ({error!r})", fix=_REINSTALL)


def read_verified(path: Path, expected: str | None) -> bytes:
    """Return a file's bytes.

    Raises:
        ModelError: it is missing, or its SHA-256 is not `expected`.
    """
    data = _read(path)
    if sha256(data) != expected:
        raise ModelError(f"{path}: SHA-256 differs from the manifest's; the file is damaged or was changed", fix=_REINSTALL)
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model file ({error.strerror})", fix=_REINSTALL) from None
