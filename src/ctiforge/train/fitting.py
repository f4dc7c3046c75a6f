"""Linear models over sparse features by stochastic gradient descent, for texts that may have several right labels.

scikit-learn's solvers take one label a text and, at this size, minutes to hours; see docs/decisions/0004-first-classifier.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from ctiforge.core.errors import RecipeError
from ctiforge.models.linear import Floats

__all__ = ["LinearWeights", "Loss", "fit_linear"]

Loss = Literal["softmax", "squared_hinge"]
"""``softmax``: cross-entropy of softmax probabilities. ``squared_hinge``: of each label against the rest (an L2 SVM's)."""

_INTERCEPT_SHARE = 0.02
"""The intercept moves at this share of the learning rate: it sees every text, an n-gram only a few of them."""

_RIGHT_SHARE = np.float32(0.2)
"""A label with this share of a target, or with its largest share, is right where the loss knows only right and wrong."""


@dataclass(frozen=True, slots=True)
class LinearWeights:
    """Weights of F features and K labels: float32, shapes (F, K) and (K,)."""

    coefficients: Floats
    intercept: Floats


def fit_linear(
    features: csr_matrix,
    targets: csr_matrix,
    *,
    loss: Loss,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    seed: int,
    report: Callable[[str], None] = lambda message: None,
) -> LinearWeights:
    """Minimise the mean loss of the texts.

    The learning rate falls linearly to zero; there is no other regularisation, the number of epochs is it. The same
    arguments give the same weights on the same machine.

    Args:
        features: n texts by F features, float32.
        targets: n texts by K labels, each row adding up to 1.
        report: called with one line after each epoch.

    Raises:
        RecipeError: the mean loss is no longer finite.
    """
    shuffle = np.random.default_rng(seed)
    texts, size = features.shape
    weights = np.zeros((size, targets.shape[1]), dtype=np.float32)
    intercept = np.zeros(targets.shape[1], dtype=np.float32)
    gradient_of = _GRADIENTS[loss]
    starts = range(0, texts, batch_size)
    steps = epochs * len(starts)
    step = 0
    begun = time.monotonic()
    for epoch in range(1, epochs + 1):
        order = shuffle.permutation(texts)
        total = 0.0
        for start in starts:
            rate = learning_rate * (1 - step / steps)
            step += 1
            rows = order[start : start + batch_size]
            # Only the features of this batch take part: a few thousand of a hundred thousand.
            batch = features[rows]
            used, place = np.unique(batch.indices, return_inverse=True)
            batch = csr_matrix((batch.data, place, batch.indptr), shape=(len(rows), len(used)))
            wanted = targets[rows].toarray()
            value, gradient = gradient_of(batch @ weights[used] + intercept, wanted)
            total += value
            gradient /= len(rows)
            weights[used] -= rate * (batch.T @ gradient)
            intercept -= rate * _INTERCEPT_SHARE * gradient.sum(axis=0)
        if not np.isfinite(total):
            raise RecipeError(f"the loss is not a number after epoch {epoch}", fix="lower learning_rate in the recipe")
        spent = time.monotonic() - begun
        left = spent / epoch * (epochs - epoch)
        report(
            f"{loss} {epoch} of {epochs}: loss {total / texts:.4f}, {step * batch_size / spent:,.0f} texts/s, {left:.0f} s left"
        )
    return LinearWeights(weights, intercept)


def _softmax(scores: Floats, wanted: Floats) -> tuple[float, Floats]:
    """Return the summed loss of a batch and its gradient by the scores (both arrays: texts by labels)."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return -float((wanted * np.log(np.maximum(shares, 1e-12))).sum()), shares - wanted


def _squared_hinge(scores: Floats, wanted: Floats) -> tuple[float, Floats]:
    """Return the summed loss of a batch and its gradient by the scores (both arrays: texts by labels)."""
    # Labels that a teacher thinks of in passing are not right; all shares of an assigned label are.
    right = wanted >= np.minimum(_RIGHT_SHARE, wanted.max(axis=1, keepdims=True))
    sign = np.where(right & (wanted > 0), np.float32(1), np.float32(-1))
    short = np.maximum(0, 1 - sign * scores)
    return float((short * short).sum()), -2 * sign * short


_GRADIENTS: dict[Loss, Callable[[Floats, Floats], tuple[float, Floats]]] = {
    "softmax": _softmax,
    "squared_hinge": _squared_hinge,
}
