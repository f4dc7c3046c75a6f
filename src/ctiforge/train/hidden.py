"""A hidden layer beside the linear model: it lets labels share what n-grams tell, which ranks the rarer ones better.

One layer of rectified units over the same TF-IDF features, fitted by Adam (Kingma and Ba 2015, arXiv 1412.6980); the weights of
n-grams that a batch does not have stay as they are, moments too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from ctiforge.core.errors import RecipeError
from ctiforge.models.linear import Floats

__all__ = ["HiddenWeights", "fit_hidden"]

_FIRST_DECAY, _SECOND_DECAY, _EPSILON = 0.9, 0.999, 1e-8
_GAIN = 4.0
"""TF-IDF rows have length 1, so the units would begin nearly silent."""


@dataclass(frozen=True, slots=True)
class HiddenWeights:
    """Weights of F features, H units and K labels, float32: shapes (F, H), (H,), (H, K) and (K,)."""

    embedding: Floats
    bias: Floats
    output: Floats
    intercept: Floats

    def scores(self, features: csr_matrix) -> Floats:
        """Return scores of shape (n, K) for n texts."""
        scores: Floats = np.maximum(features @ self.embedding + self.bias, 0) @ self.output + self.intercept
        return scores


class _Adam:
    """The moments of one array; `step` changes the array in place, all of it or some rows."""

    def __init__(self, weights: Floats) -> None:
        self._weights = weights
        self._first = np.zeros_like(weights)
        self._second = np.zeros_like(weights)

    def step(self, gradient: Floats, rate: float, number: int, rows: slice | np.ndarray = slice(None)) -> None:
        first = _FIRST_DECAY * self._first[rows] + (1 - _FIRST_DECAY) * gradient
        second = _SECOND_DECAY * self._second[rows] + (1 - _SECOND_DECAY) * gradient * gradient
        self._first[rows], self._second[rows] = first, second
        size = rate * np.sqrt(1 - _SECOND_DECAY**number) / (1 - _FIRST_DECAY**number)
        self._weights[rows] -= np.float32(size) * first / (np.sqrt(second) + np.float32(_EPSILON))


def fit_hidden(
    features: csr_matrix,
    targets: csr_matrix,
    *,
    units: int,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    dropout: float,
    seed: int,
    report: Callable[[str], None] = lambda message: None,
) -> HiddenWeights:
    """Minimise the mean cross-entropy of the texts; the learning rate falls linearly to zero.

    The same arguments give the same weights on the same machine.

    Args:
        features: n texts by F features, float32.
        targets: n texts by K labels, each row adding up to 1.
        dropout: share of units that are silent for a text in training.
        report: called with one line after each epoch.

    Raises:
        RecipeError: the mean loss is no longer finite.
    """
    random = np.random.default_rng(seed)
    texts, size = features.shape
    labels = targets.shape[1]
    embedding = random.normal(0, 0.05, (size, units)).astype(np.float32)
    bias = np.zeros(units, dtype=np.float32)
    output = random.uniform(-1, 1, (units, labels)).astype(np.float32) / np.float32(np.sqrt(units))
    intercept = np.zeros(labels, dtype=np.float32)
    adams = [_Adam(weights) for weights in (embedding, bias, output, intercept)]
    starts = range(0, texts, batch_size)
    steps, step, begun = epochs * len(starts), 0, time.monotonic()
    for epoch in range(1, epochs + 1):
        order, total = random.permutation(texts), 0.0
        for start in starts:
            rate = learning_rate * (1 - step / steps)
            step += 1
            rows = order[start : start + batch_size]
            batch = features[rows]
            used, place = np.unique(batch.indices, return_inverse=True)
            batch = csr_matrix((batch.data, place, batch.indptr), shape=(len(rows), len(used)))
            before = np.float32(_GAIN) * (batch @ embedding[used]) + bias
            kept = (random.random(before.shape, dtype=np.float32) >= dropout) / np.float32(1 - dropout)
            hidden = np.maximum(before, 0) * kept
            wanted = targets[rows].toarray()
            scores = hidden @ output + intercept
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            total -= float((wanted * np.log(np.maximum(shares, 1e-12))).sum())
            gradient = (shares - wanted) / len(rows)
            inner = (gradient @ output.T) * kept * (before > 0)
            adams[0].step(np.float32(_GAIN) * (batch.T @ inner), rate, step, used)
            adams[1].step(inner.sum(axis=0), rate, step)
            adams[2].step(hidden.T @ gradient, rate, step)
            adams[3].step(gradient.sum(axis=0), rate, step)
        if not np.isfinite(total):
            raise RecipeError(f"the loss is not a number after epoch {epoch}", fix="lower the hidden layer's learning_rate")
        spent = time.monotonic() - begun
        left = spent / epoch * (epochs - epoch)
        speed = step * batch_size / spent
        report(f"hidden layer {epoch} of {epochs}: loss {total / texts:.4f}, {speed:,.0f} texts/s, {left:.0f} s left")
    return HiddenWeights(embedding * np.float32(_GAIN), bias, output, intercept)
