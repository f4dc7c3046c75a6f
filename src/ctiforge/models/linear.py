"""The sparse linear text classifier as an artefact: three files that hold numbers and words, never code.

A folder with

- ``manifest.json``: labels, settings, SHA-256 of the other two files, and where the model came from;
- ``vocabulary.txt``: one n-gram a line, UTF-8;
- ``weights.npz``: NumPy arrays (loaded with ``allow_pickle=False``): inverse document frequencies, and the weights in 8 bits
  with one scale a label, stored row by row (one row a feature) without the zeros.

Nothing else in the folder is read, and a file whose SHA-256 differs from the manifest's is refused.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from ctiforge.core.errors import ModelError
from ctiforge.core.files import sha256, write_bytes, write_json
from ctiforge.models.text_features import ngrams, tokenize

__all__ = ["FORMAT", "Calibration", "Features", "LinearModel", "QuantizedWeights", "load_linear_model", "write_linear_model"]

FORMAT = "ctiforge-linear/1"

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Features:
    """The known n-grams of one text.

    Attributes:
        ids: int32, shape (n,): rows of the weight matrix.
        values: float32, shape (n,): TF-IDF values with Euclidean length 1 (empty if nothing is known).
        spans: n character ranges, the first place of each n-gram in the text.
        words: number of tokens in the text, known or not.
        known: number of tokens that are in the vocabulary.
    """

    ids: npt.NDArray[np.int32]
    values: Floats
    spans: list[tuple[int, int]]
    words: int
    known: int


@dataclass(frozen=True, slots=True)
class QuantizedWeights:
    """Weights of F features and K labels in 8 bits: ``weight[f, k] = values[f, k] * scale[k]``."""

    values: npt.NDArray[np.int8]
    scale: Floats
    intercept: Floats
    idf: Floats


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns decision scores into probabilities: a softmax with a temperature, then a logistic curve over its log-odds.

    The first step is temperature scaling (Guo et al. 2017, arXiv 1706.04599, section 4.2), the second Platt's (1999). A
    softmax alone spreads one unit over hundreds of labels; but several entries may be right for one CVE, or none that the
    model knows, so the probabilities of a text need not add up to 1. The order of the labels never changes.
    """

    temperature: float
    slope: float
    intercept: float

    def probabilities(self, scores: Floats) -> Doubles:
        """Return float64 probabilities of shape (..., K) for scores of that shape."""
        scaled = scores.astype(np.float64) / self.temperature
        scaled -= scaled.max(axis=-1, keepdims=True)
        shares = np.exp(scaled)
        total = shares.sum(axis=-1, keepdims=True)
        # The log-odds of share / total, from the sum of the other shares: exact also where a share is nearly everything.
        log_odds = scaled - np.log(np.maximum(total - shares, _TINY))
        probabilities: Doubles = 1 / (1 + np.exp(-np.clip(self.slope * log_odds + self.intercept, -700, 700)))
        return probabilities


class LinearModel:
    """A loaded classifier. Thread-safe: nothing changes after construction.

    Attributes:
        name: model name, e.g. ``fast``.
        digest: SHA-256 of ``manifest.json``, which names the SHA-256 of every other file; it identifies the model.
        labels: K labels (CWE IDs).
        manifest: the whole manifest.
    """

    def __init__(self, manifest: dict[str, Any], digest: str, vocabulary: Sequence[str], weights: QuantizedWeights) -> None:
        self.manifest = manifest
        self.digest = digest
        self.name: str = manifest["name"]
        self.labels: tuple[str, ...] = tuple(manifest["labels"])
        self._max_n: int = manifest["max_n"]
        self._calibration = Calibration(**manifest["calibration"])
        self._index = {text: i for i, text in enumerate(vocabulary)}
        self._weights = weights

    def features(self, text: str) -> Features:
        """Return the known n-grams of `text`, weighted by (1 + ln tf) * idf and scaled to length 1."""
        words, token_spans = tokenize(text)
        lookup = self._index.get
        places: dict[int, list[int]] = {}
        known = 0
        for position, (gram, first) in enumerate(ngrams(words, self._max_n)):
            feature = lookup(gram)
            if feature is None:
                continue
            known += position < len(words)
            place = places.get(feature)
            if place is None:
                last = first + gram.count(" ")
                places[feature] = [1, token_spans[first][0], token_spans[last][1]]
            else:
                place[0] += 1
        ids = np.fromiter(places, dtype=np.int32, count=len(places))
        counts = np.fromiter((place[0] for place in places.values()), dtype=np.float32, count=len(places))
        values: Floats = (np.float32(1) + np.log(counts)) * self._weights.idf[ids]
        norm = float(np.sqrt(values @ values))
        if norm:
            values /= norm
        return Features(ids, values, [(place[1], place[2]) for place in places.values()], len(words), known)

    def contributions(self, features: Features) -> Floats:
        """Return what each feature adds to each label's score: float32, shape (n, K)."""
        weights = self._weights
        rows = weights.values[features.ids].astype(np.float32)
        rows *= features.values[:, None]
        rows *= weights.scale
        return rows

    def scores(self, contributions: Floats) -> Floats:
        """Return decision scores from `contributions`: float32, shape (K,)."""
        scores: Floats = contributions.sum(axis=0, dtype=np.float32) + self._weights.intercept
        return scores

    def probabilities(self, scores: Floats) -> Doubles:
        """Return the calibrated probabilities of `scores` (shape (..., K)); see `Calibration`."""
        return self._calibration.probabilities(scores)


def write_linear_model(
    folder: str | os.PathLike[str], manifest: dict[str, Any], vocabulary: Sequence[str], weights: QuantizedWeights
) -> str:
    """Write a model folder; the manifest is completed with format and file digests. Returns the model's digest.

    The bytes depend on the arguments only, so that the same training run gives the same digest.
    """
    target = Path(folder)
    rows, columns = np.nonzero(weights.values)
    indptr = np.zeros(len(vocabulary) + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=len(vocabulary)), out=indptr[1:])
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        indptr=indptr.astype(np.int32),
        columns=columns.astype(np.uint16),
        values=weights.values[rows, columns],
        scale=weights.scale.astype(np.float32),
        intercept=weights.intercept.astype(np.float32),
        idf=weights.idf.astype(np.float32),
    )
    files = {"weights.npz": buffer.getvalue(), "vocabulary.txt": "".join(f"{gram}\n" for gram in vocabulary).encode()}
    for name, data in files.items():
        write_bytes(target / name, data)
    complete = manifest | {"format": FORMAT, "files": {name: sha256(data) for name, data in files.items()}}
    write_json(target / "manifest.json", complete)
    return sha256((target / "manifest.json").read_bytes())


def load_linear_model(folder: str | os.PathLike[str]) -> LinearModel:
    """Load and verify a model folder.

    Raises:
        ModelError: a file is missing, its digest differs from the manifest, or the format is not `FORMAT`.
    """
    source = Path(folder)
    raw = _read(source / "manifest.json")
    try:
        manifest = orjson.loads(raw)
        if manifest["format"] != FORMAT:
            raise ModelError(
                f"{source}: model format {manifest['format']!r} is not {FORMAT!r}",
                fix="use a model written by this version of ctiforge, or train one: ctiforge train classifier --help",
            )
        digests = manifest["files"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ModelError(f"{source / 'manifest.json'}: not a model manifest ({error})", fix=_REINSTALL) from None
    files = {name: _read_verified(source / name, digests.get(name)) for name in ("vocabulary.txt", "weights.npz")}
    vocabulary = files["vocabulary.txt"].decode().split("\n")[:-1]
    with np.load(io.BytesIO(files["weights.npz"]), allow_pickle=False) as arrays:
        weights = _dense(arrays, len(vocabulary), len(manifest["labels"]))
    return LinearModel(manifest, sha256(raw), vocabulary, weights)


_REINSTALL = "install ctiforge again, or copy the whole model folder again"


def _dense(arrays: Any, features: int, labels: int) -> QuantizedWeights:
    # Dense 8-bit rows score a text three times faster than gathering sparse ones, for a few tens of megabytes.
    values = np.zeros(features * labels, dtype=np.int8)
    rows = np.repeat(np.arange(features, dtype=np.int64) * labels, np.diff(arrays["indptr"]))
    rows += arrays["columns"]
    values[rows] = arrays["values"]
    return QuantizedWeights(values.reshape(features, labels), arrays["scale"], arrays["intercept"], arrays["idf"])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model file ({error.strerror})", fix=_REINSTALL) from None


def _read_verified(path: Path, expected: str | None) -> bytes:
    data = _read(path)
    if sha256(data) != expected:
        raise ModelError(f"{path}: SHA-256 differs from the manifest's; the file is damaged or was changed", fix=_REINSTALL)
    return data
