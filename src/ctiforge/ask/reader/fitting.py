"""Fitting the reader: the probability of the right option among all of its question is made large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ctiforge.ask.reader.features import FEATURES, MEANING, contrast
from ctiforge.ask.reader.model import Head

__all__ = ["FitSettings", "Material", "chosen", "fit_head", "without_meaning"]

Floats = npt.NDArray[np.float32]

_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class Material:
    """Questions as features.

    Attributes:
        features: float32, shape (questions, options, len(FEATURES)).
        answers: place of the right option, shape (questions,).
        negated: whether the cues say that the option that does not fit is wanted.
        kinds, subjects: of each question.
    """

    features: Floats
    answers: npt.NDArray[np.int64]
    negated: npt.NDArray[np.bool_]
    kinds: npt.NDArray[np.str_]
    subjects: npt.NDArray[np.str_]

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> Material:
        return Material(self.features[rows], self.answers[rows], self.negated[rows], self.kinds[rows], self.subjects[rows])

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How a head is fitted.

    Attributes:
        units: of the hidden layer; 0 leaves a linear model.
        decay: weight decay of all weights; dropout: share of hidden units left out in each step.
        mask: share of features that a question loses in each step, so that no feature is relied on alone.
    """

    units: int = 16
    epochs: int = 60
    learning_rate: float = 0.004
    decay: float = 0.003
    dropout: float = 0.2
    mask: float = 0.15
    seed: int = 7


def without_meaning(material: Material) -> Material:
    """Return the material as a knowledge base without embeddings gives it."""
    features = material.features.copy()
    features[:, :, [i for i, name in enumerate(FEATURES) if name in MEANING]] = 0.0
    return Material(features, material.answers, material.negated, material.kinds, material.subjects)


def chosen(head: Head, material: Material) -> npt.NDArray[np.int64]:
    """Return the place of the option with the highest score, for each question."""
    scores = [head.scores(contrast(each)).argmax() for each in material.features]
    return np.array(scores, dtype=np.int64)


def fit_head(material: Material, settings: FitSettings) -> Head:
    """Fit one head by Adam on the likelihood of the right options; the same material and seed give the same head."""
    inputs = np.stack([contrast(each) for each in material.features]).astype(np.float32)
    flat = inputs.reshape(-1, inputs.shape[-1])
    mean, scale = flat.mean(axis=0), flat.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1.0).astype(np.float32)
    standard = np.clip((inputs - mean) / scale, -6.0, 6.0)
    rng = np.random.default_rng(settings.seed)
    columns = inputs.shape[-1]
    weights: dict[str, Floats] = {
        "linear": np.zeros(columns, dtype=np.float32),
        "hidden": rng.normal(0, columns**-0.5, (columns, settings.units)).astype(np.float32),
        "bias": np.zeros(settings.units, dtype=np.float32),
        "out": rng.normal(0, 0.1, settings.units).astype(np.float32),
    }
    adam = _Adam(weights, settings)
    steps = settings.epochs * -(-len(material) // _BATCH)
    for _ in range(settings.epochs):
        for rows in np.array_split(rng.permutation(len(material)), -(-len(material) // _BATCH)):
            kept = rng.random((len(rows), 1, len(FEATURES))) >= settings.mask
            batch = standard[rows] * np.tile(kept, (1, 1, columns // len(FEATURES)))
            adam.step(_gradients(weights, batch, material.answers[rows], settings, rng), steps)
    return Head(mean.astype(np.float32), scale, **weights)


def _gradients(
    weights: dict[str, Floats], batch: Floats, answers: npt.NDArray[np.int64], settings: FitSettings, rng: np.random.Generator
) -> dict[str, Floats]:
    raw = batch @ weights["hidden"] + weights["bias"]
    alive = (raw > 0) & (rng.random((len(batch), 1, settings.units)) >= settings.dropout)
    active = np.where(alive, raw, 0.0) / (1.0 - settings.dropout)
    scores = batch @ weights["linear"] + active @ weights["out"]
    scores -= scores.max(axis=1, keepdims=True)
    off = np.exp(scores)
    off /= off.sum(axis=1, keepdims=True)
    off[np.arange(len(answers)), answers] -= 1.0
    off /= len(answers)
    back = off[:, :, None] * weights["out"] * alive / (1.0 - settings.dropout)
    return {
        "linear": np.einsum("qoc,qo->c", batch, off),
        "hidden": np.einsum("qoc,qoh->ch", batch, back),
        "bias": back.sum(axis=(0, 1)),
        "out": np.einsum("qoh,qo->h", active, off),
    }


class _Adam:
    """Adam with decoupled weight decay and a learning rate that falls to nothing (Loshchilov and Hutter, 2019)."""

    def __init__(self, weights: dict[str, Floats], settings: FitSettings) -> None:
        self.weights, self.settings, self.done = weights, settings, 0
        self.first = {name: np.zeros_like(each) for name, each in weights.items()}
        self.second = {name: np.zeros_like(each) for name, each in weights.items()}

    def step(self, gradients: dict[str, Floats], steps: int) -> None:
        self.done += 1
        rate = self.settings.learning_rate * (1.0 - (self.done - 1) / steps)
        for name, gradient in gradients.items():
            self.first[name] = 0.9 * self.first[name] + 0.1 * gradient
            self.second[name] = 0.999 * self.second[name] + 0.001 * gradient**2
            first = self.first[name] / (1 - 0.9**self.done)
            second = self.second[name] / (1 - 0.999**self.done)
            decayed = self.settings.decay * self.weights[name]
            self.weights[name] -= (rate * (first / (np.sqrt(second) + 1e-8) + decayed)).astype(np.float32)
