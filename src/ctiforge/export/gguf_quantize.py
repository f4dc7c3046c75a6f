"""GGUF in fewer bits: llama.cpp's own quantizer, tensor by tensor, from the library inside the package xllamacpp.

Which tensor gets which type follows llama.cpp's file types: the head (or the embedding that serves as head) and, in "M" mixes,
values and down projections of some layers keep more bits. A row whose length is no multiple of 256 cannot have a K type and
falls back to an older one of about the same size, as in Gemma 3 270M.
"""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import InputError, MissingExtraError, ModelError

__all__ = ["QUANTIZATIONS", "Quantization", "Quantized", "quantize_gguf"]

Quantization = Literal["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"]
QUANTIZATIONS: tuple[Quantization, ...] = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")

_FILE_TYPES: Mapping[str, int] = MappingProxyType({"F16": 1, "Q8_0": 7, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18})
_USUAL: Mapping[str, str] = MappingProxyType({"F16": "F16", "Q8_0": "Q8_0", "Q6_K": "Q6_K", "Q5_K_M": "Q5_K", "Q4_K_M": "Q4_K"})
_FALLBACK: Mapping[str, str] = MappingProxyType({"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"})
_MORE_BITS = ("attn_v.weight", "ffn_down.weight")
_WHOLE = ("per_layer_model_proj", "altup", "laurel", "ffn_gate_inp")
"""Small tensors that llama.cpp leaves as they are."""

Importance = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Quantized:
    """A file and how many of its tensors have which type."""

    path: Path
    types: Mapping[str, int]
    size: int


def quantize_gguf(
    source: Path,
    out: Path,
    quantization: Quantization,
    *,
    importance: Importance | None = None,
    threads: int | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Quantized:
    """Write a GGUF file of F32, F16 or BF16 tensors in another precision; metadata and vocabulary are copied.

    Args:
        importance: by tensor name, shape (columns,): the mean square of what a column is multiplied with (an importance
            matrix, see `ctiforge.export.importance`). Used where the type can use it.

    Raises:
        ModelError: the source is quantized already, or is no GGUF file.
        InputError: the disk is full.
        MissingExtraError: gguf or xllamacpp is not installed.
    """
    try:
        import gguf
    except ImportError:
        raise MissingExtraError("gguf", "export") from None
    library = _library()
    try:
        reader = gguf.GGUFReader(source)
    except (OSError, ValueError) as error:
        raise ModelError(f"{source}: not a GGUF file: {error}", fix="convert the model first: ctiforge export gguf") from None
    layers = _layers(reader)
    tied = not any(tensor.name == "output.weight" for tensor in reader.tensors)
    part = out.with_name(f".{out.name}.part")
    writer = gguf.GGUFWriter(part, arch=_text(reader, "general.architecture"))
    _copy_metadata(reader, writer, _FILE_TYPES[quantization])
    plan = [(tensor, _type_of(tensor, quantization, layers, tied)) for tensor in reader.tensors]
    counts: Counter[str] = Counter()
    made: list[tuple[str, npt.NDArray[Any], str]] = []
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for number, (tensor, kind) in enumerate(plan, 1):
            weights = (importance or {}).get(tensor.name)
            made.append((tensor.name, _convert(tensor, kind, weights, library, pool), kind))
            counts[kind] += 1
            if number % 50 == 0:
                report(f"{out.name}: {number} of {len(plan)} tensors")
    for name, data, kind in made:
        writer.add_tensor(name, data, raw_dtype=getattr(gguf.GGMLQuantizationType, kind))
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{out}: cannot write ({error.strerror})", fix="make room, or name another folder") from None
    return Quantized(out, dict(sorted(counts.items())), out.stat().st_size)


def _library() -> Any:
    """Return llama.cpp's library, with the signature of its quantizer."""
    try:
        import xllamacpp
    except ImportError:
        raise MissingExtraError("xllamacpp", "export") from None
    folder = Path(xllamacpp.__file__).parent
    found = next((file for pattern in ("*.so", "*.pyd", "*.dylib") for file in folder.glob(pattern)), None)
    try:
        library = ctypes.CDLL(str(found))
        function = library.ggml_quantize_chunk
    except (OSError, AttributeError) as error:
        raise ModelError(
            f"{found}: this build of xllamacpp has no quantizer: {error}", fix="pip install -U xllamacpp"
        ) from None
    function.restype = ctypes.c_size_t
    function.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    return library


def _type_of(tensor: Any, quantization: Quantization, layers: int, tied: bool) -> str:
    """Return the type that a tensor gets."""
    name, shape = tensor.name, tensor.shape
    if len(shape) < 2 or not name.endswith("weight") or "norm" in name or any(each in name for each in _WHOLE):
        return "F32" if tensor.tensor_type.name == "F32" or len(shape) < 2 else tensor.tensor_type.name
    kind = _USUAL[quantization]
    if quantization.endswith("_K_M"):
        head = name == "output.weight" or (tied and name == "token_embd.weight")
        if head or name == "per_layer_token_embd.weight" or (name.endswith(_MORE_BITS) and _keeps_more(name, layers)):
            kind = "Q6_K"
    columns = int(shape[0])
    if columns % 256:
        kind = _FALLBACK.get(kind, kind)
    return kind if columns % 32 == 0 or kind == "F16" else "F16"


def _keeps_more(name: str, layers: int) -> bool:
    """Say whether a layer is among those to which llama.cpp's M mixes give more bits: both ends and every third between."""
    number = int(name.split(".")[1])
    return number < layers // 8 or number >= 7 * layers // 8 or (number - layers // 8) % 3 == 2


def _convert(
    tensor: Any, kind: str, importance: npt.NDArray[np.float32] | None, library: Any, pool: ThreadPoolExecutor
) -> npt.NDArray[Any]:
    """Return a tensor's data in a type: uint8 of shape (rows, bytes) where it is quantized."""
    import gguf

    source = tensor.tensor_type.name
    if source == kind:
        return np.array(tensor.data)
    if source not in ("F32", "F16", "BF16"):
        raise ModelError(f"{tensor.name} is {source} already: quantizing again adds its losses up", fix="start from F16 or F32")
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    if kind in ("F32", "F16"):
        return values.astype(np.float32 if kind == "F32" else np.float16)
    columns = values.shape[-1]
    flat = np.ascontiguousarray(values.reshape(-1, columns))
    number = getattr(gguf.GGMLQuantizationType, kind)
    block, size = gguf.GGML_QUANT_SIZES[number]
    target = np.empty((len(flat), columns // block * size), np.uint8)
    column_weights = None
    if importance is not None and len(importance) == columns:
        column_weights = np.ascontiguousarray(importance, np.float32)

    def rows(start: int, stop: int) -> None:
        library.ggml_quantize_chunk(
            int(number), flat.ctypes.data, target.ctypes.data, start * columns, stop - start, columns,
            None if column_weights is None else column_weights.ctypes.data,
        )  # fmt: skip

    step = max(len(flat) // 64, 1)
    list(pool.map(lambda start: rows(start, min(start + step, len(flat))), range(0, len(flat), step)))
    return target.reshape(*values.shape[:-1], -1)


def _copy_metadata(reader: Any, writer: Any, file_type: int) -> None:
    import gguf

    own = ("general.architecture", "general.file_type", "GGUF.")
    for name, field in reader.fields.items():
        if name.startswith(own):
            continue
        kind = field.types[0]
        value = field.contents()
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_key_value(name, value, kind, sub_type=field.types[-1])
        else:
            writer.add_key_value(name, value, kind)
    writer.add_file_type(file_type)


def _layers(reader: Any) -> int:
    field = reader.fields.get(f"{_text(reader, 'general.architecture')}.block_count")
    return int(field.contents()) if field else 0


def _text(reader: Any, key: str) -> str:
    field = reader.fields.get(key)
    if field is None:
        raise ModelError(f"the GGUF file has no {key}", fix="convert the model again")
    return str(field.contents())
