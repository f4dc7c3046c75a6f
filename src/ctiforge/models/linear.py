"""The text classifier as an artefact: three files that hold numbers and words, never code.

A linear model over n-grams and, if it was trained with one, a hidden layer of rectified units over the same n-grams, whose
scores are added.

A folder with

- ``manifest.json``: labels, settings, SHA-256 of the other two files, and where the model came from;
- ``vocabulary.txt``: one n-gram a line, UTF-8;
- ``weights.npz``: NumPy arrays (loaded with ``allow_pickle=False``): inverse document frequencies, and the weights in 8 bits
  with one scale a label, stored row by row (one row a feature) without the zeros; the hidden layer's weights of n-grams in 8
  bits with one scale a unit, its others in 32.

Nothing else in the folder is read, and a file whose SHA-256 differs from the manifest's is refused.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ctiforge.core.files import sha256, write_bytes, write_json
from ctiforge.models.artefact import not_a_manifest, read_manifest, read_verified
from ctiforge.models.cwe_model import Contribution, Contributions
from ctiforge.models.hidden_layer import HiddenLayer, HiddenStates
from ctiforge.models.ngram_index import NgramIndex
from ctiforge.models.text_features import gram_place, split_tokens

__all__ = [
    "FORMAT",
    "Calibration",
    "Features",
    "LinearModel",
    "QuantizedWeights",
    "ScoredByNgrams",
    "load_linear_model",
    "write_linear_model",
]

FORMAT = "ctiforge-linear/2"

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_TINY = 1e-12
_LARGEST_EXPONENT = 700.0
_MOST_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class Features:
    """The known n-grams of a batch of B texts, N in all, those of one text side by side.

    Attributes:
        bounds: int64, shape (B + 1,): the n-grams of text b are those from ``bounds[b]`` to ``bounds[b + 1]``.
        ids: int64, shape (N,): rows of the weight matrix, rising within a text.
        values: float32, shape (N,): TF-IDF values, of Euclidean length 1 for each text that has any.
        places: int64, shape (N,): position of the first occurrence in the list of the text's n-grams.
        known: int64, shape (B,): number of tokens that are in the vocabulary.
        tokens: int64, shape (B,): number of tokens, known or not.
        token_ends: B lists: where every token is; see `ctiforge.models.text_features.split_tokens`.
    """

    bounds: Integers
    ids: Integers
    values: Floats
    places: Integers
    known: Integers
    tokens: Integers
    token_ends: list[list[int]]

    def of(self, text: int) -> slice:
        """Return where the n-grams of one text are."""
        return slice(int(self.bounds[text]), int(self.bounds[text + 1]))

    def span(self, text: int, place: int) -> tuple[int, int]:
        """Return the character range of the n-gram at `place` of a text."""
        ends = self.token_ends[text]
        first, last = gram_place(place, len(ends) // 2)
        return ends[2 * first], ends[2 * last + 1]


@dataclass(frozen=True, slots=True)
class QuantizedWeights:
    """Weights of F features and K labels in 8 bits: ``weight[f, k] = values[f, k] * scale[k]``."""

    values: npt.NDArray[np.int8]
    scale: Floats
    intercept: Floats
    idf: Floats
    hidden: HiddenLayer | None = None


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
        scaled = scores.astype(np.float64)
        scaled -= scaled.max(axis=-1, keepdims=True)
        scaled /= self.temperature
        shares = np.exp(scaled)
        # The log-odds of share / total, from the sum of the other shares: exact also where a share is nearly everything.
        others = np.maximum(shares.sum(axis=-1, keepdims=True) - shares, _TINY)
        exponent = np.minimum(self.slope * (np.log(others) - scaled) - self.intercept, _LARGEST_EXPONENT)
        probabilities: Doubles = 1 / (1 + np.exp(exponent))
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
        self._calibrations = {policy: Calibration(**values) for policy, values in manifest["calibration"].items()}
        shifts = manifest.get("shift", {})
        self._shifts = {policy: np.array(shift, dtype=np.float32) for policy, shift in shifts.items()}
        self._ngrams = NgramIndex(vocabulary, manifest["max_n"])
        self._weights = weights

    @property
    def vocabulary_size(self) -> int:
        """Number of n-grams that the model knows; `Features.ids` are below it."""
        return self._ngrams.size

    def features(self, texts: Sequence[str]) -> Features:
        """Return the known n-grams of `texts`, weighted by (1 + ln tf) * idf and scaled to length 1 for each text."""
        words: list[str] = []
        token_ends: list[list[int]] = []
        for text in texts:
            of_text, ends = split_tokens(text)
            words += of_text
            token_ends.append(ends)
        tokens = np.array([len(ends) // 2 for ends in token_ends], dtype=np.int64)
        found = self._ngrams.find(words, tokens)
        known = np.bincount(found.texts[found.places < tokens[found.texts]], minlength=len(texts))

        # One number for each pair of text and n-gram; a stable sort puts the first occurrence in front.
        pairs = found.texts * self._ngrams.size + found.ids
        order = pairs.argsort(kind="stable")
        ordered = pairs[order]
        new = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if ordered.size else order
        counts = np.diff(new, append=ordered.size)
        text_of, ids = np.divmod(ordered[new], max(self._ngrams.size, 1))
        values = (1 + np.log(counts.astype(np.float32))) * self._weights.idf[ids]
        norms = np.sqrt(np.bincount(text_of, weights=values * values, minlength=len(texts)))
        values /= norms[text_of].astype(np.float32)
        bounds = np.searchsorted(text_of, np.arange(len(texts) + 1))
        return Features(bounds, ids, values, found.places[order[new]], known, tokens, token_ends)

    def scores(self, features: Features, policy: str | None = None) -> Floats:
        """Return the decision scores of B texts and K labels: float32, shape (B, K).

        Args:
            policy: adds the policy's shift, one number a label, if it has one: parties differ in the entries they like.
        """
        return self._scores(features, policy)[0]

    def _scores(self, features: Features, policy: str | None) -> tuple[Floats, HiddenStates | None]:
        """Return the scores, and what happened in the hidden layer, if there is one."""
        weights = self._weights
        scores = np.empty((len(features.known), len(self.labels)), dtype=np.float32)
        for text in range(len(scores)):
            own = features.of(text)
            np.dot(features.values[own], weights.values[features.ids[own]].astype(np.float32), out=scores[text])
        scores *= weights.scale
        scores += weights.intercept
        states = None
        if hidden := weights.hidden:
            rows = hidden.values[features.ids]
            inputs = np.empty((len(scores), len(hidden.bias)), dtype=np.float32)
            for text in range(len(scores)):
                own = features.of(text)
                inputs[text] = hidden.inputs(rows[own], features.values[own])
            scores += np.maximum(inputs, 0) @ hidden.output
            states = HiddenStates(rows, inputs)
        if policy in self._shifts:
            scores += self._shifts[policy]
        return scores, states

    def score(self, texts: Sequence[str], policy: str | None = None) -> ScoredByNgrams:
        """Score a batch of texts; see `ctiforge.models.cwe_model.CweModel`."""
        features = self.features(texts)
        scores, states = self._scores(features, policy)
        return ScoredByNgrams(self, features, states, scores, self.probabilities(scores, policy or "mitre"))

    def contributions(
        self, features: Features, states: HiddenStates | None, texts: Integers, labels: Integers
    ) -> tuple[Floats, Integers]:
        """Return what the n-grams of texts add to the scores of labels.

        Args:
            texts, labels: P pairs, shape (P,) each, those of one text side by side.

        Returns:
            float32, shape (M,): what each n-gram of each pair's text adds, in the order of the features.
            int64, shape (P + 1,): the values of pair p are those from ``bounds[p]`` to ``bounds[p + 1]``.
        """
        weights = self._weights
        lengths = features.bounds[texts + 1] - features.bounds[texts]
        bounds = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum(lengths, out=bounds[1:])
        place = np.arange(bounds[-1]) + np.repeat(features.bounds[texts] - bounds[:-1], lengths)
        added: Floats = weights.values[features.ids[place], np.repeat(labels, lengths)].astype(np.float32)
        added *= np.repeat(weights.scale[labels], lengths)
        if weights.hidden and states:
            slopes = weights.hidden.slopes(states.inputs[texts], labels)
            ends = np.flatnonzero(np.diff(texts, append=-1)) + 1
            for start, end in zip([0, *ends.tolist()], ends.tolist(), strict=False):
                rows = states.rows[features.of(int(texts[start]))].astype(np.float32)
                added[bounds[start] : bounds[end]] += (slopes[start:end] @ rows.T).ravel()
        added *= features.values[place]
        return added, bounds

    def probabilities(self, scores: Floats, policy: str) -> Doubles:
        """Return the probabilities of `scores` (shape (..., K)), calibrated for a policy; see `Calibration`."""
        return self._calibrations[policy].probabilities(scores)


@dataclass(frozen=True, slots=True)
class ScoredByNgrams:
    """A batch of texts as `LinearModel` sees it; see `ctiforge.models.cwe_model.ScoredTexts`."""

    model: LinearModel
    features: Features
    states: HiddenStates | None
    scores: Floats
    probabilities: Doubles

    def words(self, text: int) -> tuple[int, int]:
        """Return how many words of a text the model knows, and how many it has."""
        return int(self.features.known[text]), int(self.features.tokens[text])

    def contributions(self, asked: Sequence[tuple[int, int]], most: int) -> list[Contributions]:
        """Return the n-grams that speak most for labels in texts, each at its first occurrence, for each pair."""
        if not asked:
            return []
        pairs = np.array(asked, dtype=np.int64)
        widths = self.features.bounds[pairs[:, 0] + 1] - self.features.bounds[pairs[:, 0]]
        width = max(most, int(widths.max()))
        if len(asked) > 1 and len(asked) * width > _MOST_CELLS:
            half = len(asked) // 2
            return self.contributions(asked[:half], most) + self.contributions(asked[half:], most)
        values, _ = self.model.contributions(self.features, self.states, pairs[:, 0], pairs[:, 1])
        # One row a pair, filled up with zeros, so that one call finds the strongest of all.
        rows = np.zeros((len(asked), width), dtype=np.float32)
        rows[np.arange(width) < widths[:, None]] = np.maximum(values, 0)
        strongest = rows.argpartition(-most, axis=1)[:, -most:]
        added = rows[np.arange(len(rows))[:, None], strongest].tolist()
        places, starts, span = self.features.places, self.features.bounds[pairs[:, 0]], self.features.span
        found = []
        for (text, _), total, start, where, what in zip(
            asked, rows.sum(axis=1).tolist(), starts.tolist(), strongest.tolist(), added, strict=True
        ):
            parts = [
                Contribution(*span(text, int(places[start + place])), value)
                for place, value in zip(where, what, strict=True)
                if value > 0
            ]
            found.append(Contributions(total, parts))
        return found


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
    hidden = {} if weights.hidden is None else {f"hidden_{name}": value for name, value in asdict(weights.hidden).items()}
    np.savez_compressed(
        buffer,
        indptr=indptr.astype(np.int32),
        columns=columns.astype(np.uint16),
        values=weights.values[rows, columns],
        scale=weights.scale.astype(np.float32),
        intercept=weights.intercept.astype(np.float32),
        idf=weights.idf.astype(np.float32),
        **hidden,
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
    manifest, digest = read_manifest(source, FORMAT, fix="train one: ctiforge train classifier --help")
    try:
        digests = manifest["files"]
        files = {name: read_verified(source / name, digests.get(name)) for name in ("vocabulary.txt", "weights.npz")}
    except (KeyError, TypeError, AttributeError) as error:
        raise not_a_manifest(source, error) from None
    vocabulary = files["vocabulary.txt"].decode().split("\n")[:-1]
    with np.load(io.BytesIO(files["weights.npz"]), allow_pickle=False) as arrays:
        weights = _dense(arrays, len(vocabulary), len(manifest["labels"]))
    try:
        return LinearModel(manifest, digest, vocabulary, weights)
    except (KeyError, TypeError, ValueError) as error:
        raise not_a_manifest(source, error) from None


def _dense(arrays: Any, features: int, labels: int) -> QuantizedWeights:
    # Dense 8-bit rows score a text three times faster than gathering sparse ones, for a few tens of megabytes.
    values = np.zeros(features * labels, dtype=np.int8)
    rows = np.repeat(np.arange(features, dtype=np.int64) * labels, np.diff(arrays["indptr"]))
    rows += arrays["columns"]
    values[rows] = arrays["values"]
    hidden = None
    if "hidden_values" in arrays:
        hidden = HiddenLayer(*(arrays[f"hidden_{each.name}"] for each in fields(HiddenLayer)))
    return QuantizedWeights(values.reshape(features, labels), arrays["scale"], arrays["intercept"], arrays["idf"], hidden)
