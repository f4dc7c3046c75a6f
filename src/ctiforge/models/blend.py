"""An encoder and the linear model in one: their log-probabilities are added; where the linear model is sure, it answers alone.

A folder with ``manifest.json`` (labels, the weights of the two, calibration, what its parts are) and the encoder's own folder
``encoder``. The linear model is in the folder ``linear``, or it is a model that ships with ctiforge, known by its digest. Where
the manifest has ``second``, the folder ``second`` holds an encoder for the texts that the two are not sure of: it reads the
embeddings of the first, and the three have weights, calibration and shift of their own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ctiforge.core.errors import ModelError
from ctiforge.models.artefact import not_a_manifest, read_manifest
from ctiforge.models.cwe_model import Contributions
from ctiforge.models.encoder import EncodedTexts, EncoderModel, load_encoder
from ctiforge.models.linear import Calibration, Doubles, Floats, LinearModel, ScoredByNgrams, load_linear_model
from ctiforge.models.second_encoder import SecondEncoder, load_second_encoder

__all__ = [
    "ALWAYS_UNSURE",
    "BLEND_FORMAT",
    "NEVER_SURE",
    "BlendModel",
    "Places",
    "ScoredByBlend",
    "blend_scores",
    "load_blend",
]

BLEND_FORMAT = "ctiforge-blend/1"

NEVER_SURE = 1.01
"""As a model's `sure`: the encoder reads every text."""

ALWAYS_UNSURE = 1.01
"""As a model's `unsure`: the second encoder reads every text that the first one reads."""

_FIX = "make one: ctiforge train blend --help"


@dataclass(frozen=True, slots=True)
class Places:
    """Where the labels of each part stand among the K labels of the blend; `second` is empty where there is no such part."""

    encoder: npt.NDArray[np.int64]
    linear: npt.NDArray[np.int64]
    size: int
    second: npt.NDArray[np.int64]

    @classmethod
    def of(cls, labels: Sequence[str], encoder: Sequence[str], linear: Sequence[str], second: Sequence[str] = ()) -> Places:
        """Find the places of the parts' labels; each of them must be one of `labels` (else KeyError)."""
        place = {label: i for i, label in enumerate(labels)}
        found = [np.array([place[each] for each in own], dtype=np.int64) for own in (encoder, linear, second)]
        return cls(found[0], found[1], len(labels), found[2])


def blend_scores(
    encoder: Floats, linear: Floats, places: Places, weights: Mapping[str, float], second: Floats | None = None
) -> Floats:
    """Return the blend's scores: float32, shape (B, K), the weighted sum of log-probabilities (a logarithmic opinion pool).

    Args:
        encoder, linear, second: scores of shape (B, labels of that part); `second` is None where two are blended.
        weights: of ``encoder``, ``linear`` and, with `second`, of ``second``.

    A label that a part does not know is to it as unlikely as the least likely label that it knows.
    """
    total: Floats = weights["encoder"] * _over_union(_log_shares(encoder), places.encoder, places.size)
    total += weights["linear"] * _over_union(_log_shares(linear), places.linear, places.size)
    if second is not None:
        total += weights["second"] * _over_union(_log_shares(second), places.second, places.size)
    return total


def _log_shares(scores: Floats) -> Floats:
    given = scores - scores.max(axis=1, keepdims=True)
    shares: Floats = given - np.log(np.exp(given).sum(axis=1, keepdims=True))
    return shares


def _over_union(values: Floats, place: npt.NDArray[np.int64], size: int) -> Floats:
    spread = np.repeat(values.min(axis=1, keepdims=True), size, axis=1)
    spread[:, place] = values
    return spread


class _Answers:
    """How the scores of parts become the blend's: weights, then the shift and the calibration of each policy."""

    def __init__(self, settings: Mapping[str, Any], parts: Sequence[str]) -> None:
        self.weights = {part: float(settings["weights"][part]) for part in parts}
        self._calibrations = {policy: Calibration(**values) for policy, values in settings["calibration"].items()}
        self._shifts = {policy: np.array(shift, np.float32) for policy, shift in settings.get("shift", {}).items()}

    def of(self, pooled: Floats, policy: str | None) -> tuple[Floats, Doubles]:
        """Return scores and probabilities, both of shape (B, K), of what `blend_scores` made with `weights`."""
        scores = pooled + self._shifts[policy] if policy in self._shifts else pooled
        return scores, self._calibrations[policy or "mitre"].probabilities(scores)


class BlendModel:
    """A loaded blend; attributes and `score` as `ctiforge.models.cwe_model.CweModel` has them.

    Attributes:
        encoder, linear, second: its parts; `second` is None where there is no second encoder.
        sure: from this probability on, the linear model's answer stands and the encoder is not asked.
        unsure: by policy, below which probability the second encoder reads the text as well.
    """

    def __init__(
        self,
        manifest: dict[str, Any],
        digest: str,
        encoder: EncoderModel,
        linear: LinearModel,
        second: SecondEncoder | None = None,
    ) -> None:
        self.manifest = manifest
        self.digest = digest
        self.name: str = manifest["name"]
        self.labels: tuple[str, ...] = tuple(manifest["labels"])
        self.encoder = encoder
        self.linear = linear
        self.second = second
        self.sure = float(manifest["sure"])
        self._places = Places.of(self.labels, encoder.labels, linear.labels, second.labels if second else ())
        self._two = _Answers(manifest, ("encoder", "linear"))
        self.unsure: dict[str, float] = {}
        self._three = self._two
        if second is not None:
            self.unsure = {policy: float(manifest["second"]["unsure"][policy]) for policy in manifest["calibration"]}
            self._three = _Answers(manifest["second"], ("encoder", "second", "linear"))

    def score(self, texts: list[str], policy: str | None = None) -> ScoredByBlend:
        """Score a batch of texts; the encoder reads those that the linear model is not sure of, the second encoder those of
        them that the two are not sure of either."""
        by_ngrams = self.linear.score(texts, policy)
        scores = _over_union(by_ngrams.scores, self._places.linear, len(self.labels))
        probabilities = np.zeros(scores.shape, dtype=np.float64)
        probabilities[:, self._places.linear] = by_ngrams.probabilities
        asked = np.flatnonzero(by_ngrams.probabilities.max(axis=1) < self.sure)
        encoded = self.encoder.encode([texts[i] for i in asked], states=True, token_embeddings=self.second is not None)
        read_twice = asked[:0]
        if asked.size:
            plain = self.linear.scores(by_ngrams.features)[asked]
            pooled = blend_scores(encoded.logits, plain, self._places, self._two.weights)
            scores[asked], probabilities[asked] = self._two.of(pooled, policy)
            if self.second is not None:
                unsure = np.flatnonzero(probabilities[asked].max(axis=1) < self.unsure[policy or "mitre"])
                read_twice = asked[unsure]
                logits = self.second.logits([encoded.token_embeddings[i] for i in unsure])
                pooled = blend_scores(encoded.logits[unsure], plain[unsure], self._places, self._three.weights, logits)
                scores[read_twice], probabilities[read_twice] = self._three.of(pooled, policy)
                encoded = replace(encoded, token_embeddings=[])
        places = {int(text): i for i, text in enumerate(asked)}
        return ScoredByBlend(self, by_ngrams, encoded, places, scores, probabilities, frozenset(read_twice.tolist()))

    def place_in(self, part: EncoderModel | LinearModel, label: int) -> int | None:
        """Return the place of one of the blend's labels among those of a part, or None."""
        place = self._places.encoder if part is self.encoder else self._places.linear
        found = np.flatnonzero(place == label)
        return int(found[0]) if found.size else None


@dataclass(frozen=True, slots=True)
class ScoredByBlend:
    """A batch of texts as `BlendModel` sees it; see `ctiforge.models.cwe_model.ScoredTexts`.

    Attributes:
        asked: for each text that the encoder read, its place in `encoded`.
        read_twice: the texts that the second encoder read as well.
    """

    model: BlendModel
    by_ngrams: ScoredByNgrams
    encoded: EncodedTexts
    asked: Mapping[int, int]
    scores: Floats
    probabilities: Doubles
    read_twice: frozenset[int] = frozenset()

    def words(self, text: int) -> tuple[int, int]:
        """Return how many words of a text the linear model knows, and how many it has."""
        return self.by_ngrams.words(text)

    def contributions(self, asked: Sequence[tuple[int, int]], most: int) -> list[Contributions]:
        """Return the words that the encoder counts for labels in texts; the linear model's n-grams where it was not asked.

        The words are the first encoder's, also where a second one has read the text.
        """
        model = self.model
        found = [Contributions(0.0, [])] * len(asked)
        by_ngrams: dict[int, tuple[int, int]] = {}
        for place, (text, label) in enumerate(asked):
            read = self.asked.get(text)
            if read is not None and (own := model.place_in(model.encoder, label)) is not None:
                found[place] = model.encoder.contributions(self.encoded, read, own, most)
            elif (own := model.place_in(model.linear, label)) is not None:
                by_ngrams[place] = (text, own)
        parts = self.by_ngrams.contributions(list(by_ngrams.values()), most)
        for place, part in zip(by_ngrams, parts, strict=True):
            found[place] = part
        return found


def load_blend(folder: str | os.PathLike[str], shipped: Mapping[str, Path], *, threads: int = 1) -> BlendModel:
    """Load and verify a blend and its parts.

    Args:
        shipped: folders of the models that ship with ctiforge, by name.
        threads: see `ctiforge.models.encoder.load_encoder`.

    Raises:
        MissingExtraError: onnxruntime or tokenizers is not installed.
        ModelError: a file is missing or damaged, of another format, or a part is not the one that the manifest names.
    """
    source = Path(folder)
    manifest, digest = read_manifest(source, BLEND_FORMAT, fix=_FIX)
    try:
        parts = manifest["parts"]
        name = str(parts["linear"]["name"])
        own = source / "linear"
        linear = load_linear_model(own if own.is_dir() else shipped.get(name, own))
        encoder = load_encoder(source / "encoder", threads=threads)
        second = load_second_encoder(source / "second", threads=threads) if "second" in manifest else None
        loaded: dict[str, LinearModel | EncoderModel | SecondEncoder] = {"linear": linear, "encoder": encoder}
        for part, model in (loaded | ({"second": second} if second else {})).items():
            if model.digest != parts[part]["digest"]:
                raise ModelError(
                    f"{source}: its {part} model is not the one it was made with (SHA-256 {model.digest[:12]}, wanted "
                    f"{parts[part]['digest'][:12]})",
                    fix=f"copy that {part} model to {source / part}, or {_FIX}",
                )
        return BlendModel(manifest, digest, encoder, linear, second)
    except (KeyError, TypeError, ValueError) as error:
        raise not_a_manifest(source, error) from None
