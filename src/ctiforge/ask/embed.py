"""Embeddings of all passages of a build: those of unchanged texts are taken over, the rest is made and kept as it comes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctiforge.ask.vectors import VectorTable, quantize_vectors, text_digests
from ctiforge.models.sentence_encoder import SentenceEncoder

__all__ = ["Embedded", "embed_passages", "write_vectors"]

CHUNK: Final = 1024
"""Texts between two writes to the cache: what a kill costs at most."""

_ARRAYS: Final = ("digests", "values", "scales")


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of all texts, in their order; `made` of them are new, the others were known."""

    table: VectorTable
    digests: npt.NDArray[np.void]
    made: int


def embed_passages(
    texts: Sequence[str],
    encoder: SentenceEncoder,
    known: Sequence[Path],
    cache: Path,
    on_texts: Callable[[int, int], None] = lambda done, total: None,
) -> Embedded:
    """Return the vectors of `texts`.

    Args:
        known: folders in which `write_vectors` left those of earlier builds by the same encoder.
        cache: folder for what is made here, chunk by chunk; chunks of a build that was stopped are used.
        on_texts: takes how many of how many new texts are embedded.
    """
    digests = text_digests(texts)
    place: dict[bytes, list[int]] = {}
    for i, digest in enumerate(digests):
        place.setdefault(digest.tobytes(), []).append(i)
    values = np.zeros((len(texts), encoder.dimensions), dtype=np.int8)
    scales = np.zeros(len(texts), dtype=np.float32)
    for old_digests, old in _kept(known, cache, encoder.dimensions):
        for row, digest in enumerate(old_digests):
            if rows := place.pop(digest.tobytes(), None):
                values[rows], scales[rows] = old.values[row], old.scales[row]
    # Sorted by length, a chunk's texts cost the same, and little is spent on padding.
    missing = sorted((rows[0] for rows in place.values()), key=lambda i: (len(texts[i]), i))
    done = 0
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        fresh = quantize_vectors(encoder.encode([texts[i] for i in chunk]))
        _write_chunk(cache, digests[chunk], fresh)
        for row, i in enumerate(chunk):
            rows = place[digests[i].tobytes()]
            values[rows], scales[rows] = fresh.values[row], fresh.scales[row]
        done += len(chunk)
        on_texts(done, len(missing))
    return Embedded(VectorTable(values, scales), digests, len(missing))


def write_vectors(folder: Path, embedded: Embedded) -> None:
    """Write ``vectors.digests.npy`` (16 bytes each), ``vectors.values.npy`` (int8) and ``vectors.scales.npy`` (float32)."""
    arrays: tuple[npt.NDArray[Any], ...] = (embedded.digests, embedded.table.values, embedded.table.scales)
    for name, array in zip(_ARRAYS, arrays, strict=True):
        np.save(folder / f"vectors.{name}.npy", array, allow_pickle=False)


def _write_chunk(cache: Path, digests: npt.NDArray[np.void], table: VectorTable) -> None:
    """Write one chunk under a temporary name first, so that a kill leaves no half of it."""
    cache.mkdir(parents=True, exist_ok=True)
    part = cache / f"{uuid.uuid4().hex}.part"
    with open(part, "wb") as stream:
        np.savez(stream, digests=digests, values=table.values, scales=table.scales)
    part.rename(part.with_suffix(".npz"))


def _kept(known: Sequence[Path], cache: Path, dimensions: int) -> Iterator[tuple[npt.NDArray[np.void], VectorTable]]:
    """Yield what earlier builds left; damaged files are passed over, because they can be made again."""
    for folder in known:
        try:
            digests, values, scales = (np.load(folder / f"vectors.{name}.npy", allow_pickle=False) for name in _ARRAYS)
        except (OSError, ValueError, EOFError):
            continue
        if _fits(digests, values, scales, dimensions):
            yield digests, VectorTable(values, scales)
    for file in sorted(cache.glob("*.npz")):
        try:
            with np.load(file, allow_pickle=False) as chunk:
                digests, values, scales = (chunk[name] for name in _ARRAYS)
        except (OSError, ValueError, EOFError, KeyError):
            continue
        if _fits(digests, values, scales, dimensions):
            yield digests, VectorTable(values, scales)


def _fits(
    digests: npt.NDArray[np.void], values: npt.NDArray[np.int8], scales: npt.NDArray[np.float32], dimensions: int
) -> bool:
    return values.shape == (len(digests), dimensions) and scales.shape == (len(digests),)
