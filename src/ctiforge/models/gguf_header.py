"""The metadata at the start of a GGUF file, read without llama.cpp: name, architecture, quantization, chat template.

The layout is that of the GGUF specification, versions 2 and 3, little-endian: magic, version, number of tensors, number of
key-value pairs, the pairs (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ctiforge.core.errors import ModelError

__all__ = ["read_gguf_metadata"]

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST_STRING = 16 << 20
_MOST_PAIRS = 100_000


def read_gguf_metadata(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """Return the key-value pairs that are numbers or texts; lists (the vocabulary) are passed over.

    Raises:
        ModelError: the file is missing, is no GGUF file, or ends too early.
    """
    try:
        with open(path, "rb") as stream:
            return _read(stream)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}", fix="give the path of a .gguf file") from None
    except (struct.error, ValueError, UnicodeDecodeError, RecursionError) as error:
        size = Path(path).stat().st_size
        raise ModelError(f"{path}: not a GGUF file, or cut off ({size:,} bytes): {error}", fix="copy the file again") from None


def _read(stream: IO[bytes]) -> dict[str, Any]:
    magic, version, _, pairs = struct.unpack("<4sIQQ", stream.read(24))
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError(f"it starts with {magic!r}, version {version}")
    if pairs > _MOST_PAIRS:
        raise ValueError(f"{pairs} pairs of metadata")
    found: dict[str, Any] = {}
    for _ in range(pairs):
        key = _text(stream)
        (kind,) = struct.unpack("<I", stream.read(4))
        value = _value(stream, kind)
        if kind != _ARRAY:
            found[key] = value
    return found


def _text(stream: IO[bytes]) -> str:
    (length,) = struct.unpack("<Q", stream.read(8))
    if length > _LONGEST_STRING:
        raise ValueError(f"a text of {length} bytes")
    data = stream.read(length)
    if len(data) < length:
        raise ValueError("the metadata does not end")
    return data.decode("utf-8", "replace")


def _value(stream: IO[bytes], kind: int) -> Any:
    if kind == _STRING:
        return _text(stream)
    if kind == _ARRAY:
        return _skip_list(stream)
    if kind not in _NUMBERS:
        raise ValueError(f"a value of unknown type {kind}")
    form = "<" + _NUMBERS[kind]
    return struct.unpack(form, stream.read(struct.calcsize(form)))[0]


def _skip_list(stream: IO[bytes]) -> None:
    kind, length = struct.unpack("<IQ", stream.read(12))
    if kind in _NUMBERS:
        stream.seek(length * struct.calcsize("<" + _NUMBERS[kind]), os.SEEK_CUR)
        return
    for _ in range(length):
        if kind == _ARRAY:
            _skip_list(stream)
        elif kind == _STRING:
            _text(stream)
        else:
            raise ValueError(f"a list of unknown type {kind}")
