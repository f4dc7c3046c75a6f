from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.errors import ModelError
from ctiforge.models.gguf_header import read_gguf_metadata


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


PAIRS = [
    pair("general.architecture", 8, text("llama")),
    pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("<s>") + text("x")),
    pair("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 3) + struct.pack("<3f", 1, 2, 3)),
    pair("nested", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 0, 2) + b"\1\2"),
    pair("general.file_type", 4, struct.pack("<I", 15)),
    pair("tokenizer.chat_template", 8, text("{{ 'ü' }}")),
    pair("flag", 7, b"\1"),
]
WHOLE = b"GGUF" + struct.pack("<IQQ", 3, 0, len(PAIRS)) + b"".join(PAIRS)


def test_texts_and_numbers_are_read_and_lists_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(WHOLE + b"tensors")
    assert read_gguf_metadata(path) == {
        "general.architecture": "llama",
        "general.file_type": 15,
        "tokenizer.chat_template": "{{ 'ü' }}",
        "flag": True,
    }


@pytest.mark.parametrize("data", [b"", b"GGUF", b"PK\3\4" + bytes(40), b"GGUF" + struct.pack("<IQQ", 9, 0, 0), WHOLE[:-3]])
def test_another_file_or_half_a_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="not a GGUF file, or cut off"):
        read_gguf_metadata(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_gguf_metadata(tmp_path / "none.gguf")


@given(place=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
def test_a_damaged_header_is_read_or_refused(place: int, byte: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    path.write_bytes(WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :])
    found: Any = {}
    try:
        found = read_gguf_metadata(path)
    except ModelError as error:
        found = error
    assert isinstance(found, dict | ModelError)
