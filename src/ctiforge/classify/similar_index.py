"""The index of past CVEs on disk: what `ctiforge classify index` writes and `ctiforge classify --similar` reads.

A folder with ``manifest.json`` and the data folder that it names. Arrays are raw little-endian numbers, memory-mapped; nothing
in it is code, and a file whose SHA-256 differs from the manifest's is refused. A new build writes a data folder of another
name and then replaces the manifest, so that a reader finds the old index or the new one, never half of either.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import orjson

from ctiforge.core.advisory import Advisory
from ctiforge.core.errors import ModelError
from ctiforge.core.files import file_sha256
from ctiforge.core.ids import find_cve_ids, parse_cve_id
from ctiforge.core.normalized_text import normalize_text

__all__ = [
    "ARRAYS",
    "ENTRIES",
    "INDEX_FORMAT",
    "UNDATED",
    "IndexFiles",
    "VectorKind",
    "advisory_text",
    "id_keys",
    "open_index",
    "read_index_manifest",
    "text_key",
]

INDEX_FORMAT: Final = "ctiforge-similar/1"
ENTRIES: Final = "entries.jsonl"
UNDATED: Final = 2**31 - 1
"""Stands in ``days`` for a CVE without a date: later than any."""

VectorKind = Literal["embeddings", "tfidf"]

ARRAYS: Final[dict[str, dict[str, str]]] = {
    "both": {
        "bounds": "<i8",  # n + 1: where each entry's line starts in entries.jsonl
        "days": "<i4",  # n: publication day, proleptic Gregorian ordinal
        "id_keys": "<u8",  # sorted hashes of IDs and aliases, and the entry of each
        "id_rows": "<i4",
        "text_keys": "<u8",  # sorted hashes of normalised texts, and the entry of each
        "text_rows": "<i4",
        "scale": "<f4",  # n: what an entry's 8-bit values are multiplied with
    },
    "embeddings": {"vectors": "|i1"},  # n x size
    "tfidf": {"posting_bounds": "<i8", "posting_rows": "<i4", "posting_values": "|u1"},
}
"""Name (with ``.bin``: the file) and type of each array, by what the vectors are."""

_REBUILD = "build it again: ctiforge classify index FEED... --out"


@dataclass(frozen=True, slots=True)
class IndexFiles:
    """An index opened for reading.

    Attributes:
        manifest: all of it.
        kind: what the vectors are.
        n, size: number of entries, and of dimensions or n-grams.
        entries: the lines, as bytes; entry i is ``entries[bounds[i]:bounds[i + 1]]``.
        arrays: see `ARRAYS`.
    """

    manifest: dict[str, Any]
    kind: VectorKind
    n: int
    size: int
    entries: npt.NDArray[np.uint8]
    arrays: dict[str, npt.NDArray[Any]]

    def entry(self, row: int) -> dict[str, Any]:
        """Return an entry: ``id``, ``assigned`` (pairs of party and CWE ID), ``published``, ``excerpt``."""
        start, end = self.arrays["bounds"][row : row + 2].tolist()
        found: dict[str, Any] = orjson.loads(self.entries[start:end].tobytes())
        return found

    def rows_of(self, kind: Literal["id", "text"], keys: Iterable[int]) -> list[int]:
        """Return the entries that have one of the keys."""
        sorted_keys, rows = self.arrays[f"{kind}_keys"], self.arrays[f"{kind}_rows"]
        wanted = np.array(sorted(keys), dtype=np.uint64)
        starts, ends = (np.searchsorted(sorted_keys, wanted, side=side) for side in ("left", "right"))
        return [row for start, end in zip(starts.tolist(), ends.tolist(), strict=True) for row in rows[start:end].tolist()]


def advisory_text(advisory: Advisory) -> str:
    """Return the text that stands for an advisory: the same that is classified."""
    return advisory.description or advisory.title


def id_keys(advisory: Advisory, *, named: bool = False) -> set[int]:
    """Return the hashes of an advisory's ID and aliases.

    Args:
        named: count the CVE IDs that its text names as its own where it has none.
    """
    known = [advisory.id, *advisory.aliases]
    if named and not any(map(parse_cve_id, known)):
        known += find_cve_ids(advisory_text(advisory))
    return {_key(parse_cve_id(each) or each.strip().casefold()) for each in known if each.strip()}


def text_key(text: str) -> int:
    """Return the hash of a text after normalisation."""
    return _key(normalize_text(text))


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def read_index_manifest(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return an index's manifest.

    Raises:
        ModelError: there is none, or it is of another format.
    """
    path = Path(folder) / "manifest.json"
    try:
        manifest = orjson.loads(path.read_bytes())
        found = manifest["format"]
    except OSError as error:
        raise ModelError(f"{folder}: no index of past CVEs ({error.strerror})", fix=f"{_REBUILD} {folder}") from None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise ModelError(f"{path}: not the manifest of an index", fix=f"{_REBUILD} {folder}") from None
    if found != INDEX_FORMAT:
        raise ModelError(f"{folder}: index format {found!r} is not {INDEX_FORMAT!r}", fix=f"{_REBUILD} {folder}")
    return dict(manifest)


def open_index(folder: str | os.PathLike[str]) -> IndexFiles:
    """Open an index; every file is verified, which takes about a second a gigabyte.

    Raises:
        ModelError: it is missing, damaged, or of another format.
    """
    manifest = read_index_manifest(folder)
    try:
        data = Path(folder) / Path(str(manifest["data"])).name
        kind: VectorKind = manifest["kind"]
        n, size = int(manifest["entries"]), int(manifest["size"])
        types = ARRAYS["both"] | ARRAYS[kind]
        for name in (ENTRIES, *(f"{each}.bin" for each in types)):
            if file_sha256(data / name) != manifest["files"][name]:
                raise ModelError(
                    f"{data / name}: SHA-256 differs from the manifest's; the index is damaged", fix=f"{_REBUILD} {folder}"
                )
        arrays: dict[str, npt.NDArray[Any]] = {
            name: np.memmap(data / f"{name}.bin", np.dtype(kind_of), mode="r") for name, kind_of in types.items()
        }
        if kind == "embeddings":
            arrays["vectors"] = arrays["vectors"].reshape(n, size)
        entries = np.memmap(data / ENTRIES, np.uint8, mode="r")
    except OSError as error:
        raise ModelError(f"{folder}: cannot read the index ({error.strerror})", fix=f"{_REBUILD} {folder}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder}: the manifest lacks something ({error!r})", fix=f"{_REBUILD} {folder}") from None
    return IndexFiles(manifest, kind, n, size, entries, arrays)
