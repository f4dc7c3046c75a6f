"""Weaknesses that a model has no label for, because too few CVEs carry them, reached through the words of their definitions.

A table beside the model, which it does not change: for each such entry the mean of two TF-IDF vectors in the model's n-grams,
one of MITRE's name of the entry, one of name, description and observed examples together. It holds numbers only, none of
MITRE's text. Two files in the model's folder:

- ``rare.json``: the entries, the floor, SHA-256 of the other file, the model whose n-grams these are, the CWE release;
- ``rare.npz``: `ctiforge.models.postings.Postings` (loaded with ``allow_pickle=False``).
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from ctiforge.core.errors import ModelError
from ctiforge.core.files import sha256, write_bytes, write_json
from ctiforge.models.artefact import read_verified
from ctiforge.models.linear import Features, Floats, LinearModel
from ctiforge.models.postings import Postings, build_postings

__all__ = ["DEFAULT_FLOOR", "RARE_FORMAT", "RareTable", "build_rare_vectors", "load_rare_table", "write_rare_table"]

RARE_FORMAT: Final = "ctiforge-rare/1"
MANIFEST: Final = "rare.json"
TABLE: Final = "rare.npz"

DEFAULT_FLOOR: Final = 0.17
"""Similarity below which an entry is not shown; chosen by benchmarks/rare.py."""

_REBUILD = "make it again: ctiforge train rare --model"


@dataclass(frozen=True, slots=True)
class RareTable:
    """R entries and their vectors.

    Attributes:
        cwe_ids: R identifiers.
        postings: R rows over the model's n-grams.
        floor: similarity from which an entry is worth showing.
        manifest: all of it.
    """

    cwe_ids: tuple[str, ...]
    postings: Postings
    floor: float
    manifest: dict[str, Any]

    def similarities(self, features: Features, text: int) -> Floats:
        """Return the similarity of one text with every entry: float32, shape (R,), each from 0 to 1."""
        own = features.of(text)
        return self.postings.similarities(features.ids[own], features.values[own])

    def nearest(self, features: Features, text: int, most: int, offered: npt.NDArray[np.bool_]) -> list[tuple[str, float]]:
        """Return up to `most` entries at or above the floor, nearest first.

        Args:
            offered: shape (R,): which entries may be named.
        """
        similar = np.where(offered, self.similarities(features, text), 0)
        found = np.flatnonzero(similar >= self.floor)
        best = found[np.argsort(-similar[found], kind="stable")[:most]]
        return [(self.cwe_ids[i], float(similar[i])) for i in best.tolist()]


def build_rare_vectors(model: LinearModel, names: Sequence[str], texts: Sequence[str]) -> Postings:
    """Return one row for each entry: the mean of the vector of its name and that of its whole text.

    Args:
        names, texts: of R entries.
    """
    features = [model.features(list(names)), model.features(list(texts))]
    pairs = [np.repeat(np.arange(len(names)), np.diff(each.bounds)) * model.vocabulary_size + each.ids for each in features]
    found, place = np.unique(np.concatenate(pairs), return_inverse=True)
    values = np.bincount(place, weights=np.concatenate([each.values for each in features]) / 2, minlength=len(found))
    rows, ids = np.divmod(found, max(model.vocabulary_size, 1))
    bounds = np.searchsorted(rows, np.arange(len(names) + 1))
    nothing = np.zeros(0, dtype=np.int64)
    mean = Features(bounds, ids, values.astype(np.float32), nothing, nothing, nothing, [])
    return build_postings(mean, model.vocabulary_size)


def write_rare_table(folder: str | os.PathLike[str], manifest: dict[str, Any], postings: Postings) -> str:
    """Write the two files into a model's folder; the manifest is completed with format and digest.

    Args:
        manifest: ``cwe_ids``, ``floor``, ``ngrams_of`` (the digest of the linear model), and where the words came from.

    Returns:
        The SHA-256 of ``rare.json``.
    """
    target = Path(folder)
    data = _table_bytes(postings)
    write_bytes(target / TABLE, data)
    write_json(target / MANIFEST, manifest | {"format": RARE_FORMAT, "files": {TABLE: sha256(data)}})
    return sha256((target / MANIFEST).read_bytes())


def _table_bytes(postings: Postings) -> bytes:
    """Return the bytes of ``rare.npz``; n-grams that no entry has take no room."""
    counts = np.diff(postings.bounds)
    used = np.flatnonzero(counts)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        size=np.array(len(counts), dtype=np.int64),
        ids=used.astype(np.uint32),
        counts=counts[used].astype(np.uint16),
        rows=postings.rows.astype(np.uint16),
        values=postings.values,
        scale=postings.scale,
    )
    return buffer.getvalue()


def load_rare_table(folder: str | os.PathLike[str], model: LinearModel) -> RareTable | None:
    """Return the table in a model's folder, or None if there is none.

    Args:
        model: the linear model whose n-grams the texts are given in.

    Raises:
        ModelError: it is damaged, of another format, or was made for another model.
    """
    source = Path(folder)
    try:
        raw = (source / MANIFEST).read_bytes()
    except OSError:
        return None
    fix = f"{_REBUILD} {source}"
    try:
        manifest = orjson.loads(raw)
        if manifest["format"] != RARE_FORMAT:
            raise ModelError(f"{source / MANIFEST}: format {manifest['format']!r} is not {RARE_FORMAT!r}", fix=fix)
        if manifest["ngrams_of"] != model.digest:
            wanted, given = str(manifest["ngrams_of"])[:12], model.digest[:12]
            raise ModelError(f"{source / MANIFEST}: made for another model (SHA-256 {wanted}, not {given})", fix=fix)
        data = read_verified(source / TABLE, manifest["files"][TABLE])
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            bounds = np.zeros(int(arrays["size"]) + 1, dtype=np.int64)
            bounds[arrays["ids"].astype(np.int64) + 1] = arrays["counts"]
            postings = Postings(np.cumsum(bounds), arrays["rows"], arrays["values"], arrays["scale"])
        return RareTable(tuple(manifest["cwe_ids"]), postings, float(manifest["floor"]), manifest)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{source / MANIFEST}: not a table of rare entries ({error!r})", fix=fix) from None
