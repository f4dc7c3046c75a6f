"""A hidden layer of rectified units over n-grams, its weights of n-grams in 8 bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["HiddenLayer", "HiddenStates"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HiddenLayer:
    """H rectified units over F features: shapes (F, H) in 8 bits, (H,) and (H,), and (H, K) from units to labels.

    The weight of feature f for unit h is ``values[f, h] * scale[h]``.
    """

    values: npt.NDArray[np.int8]
    scale: Floats
    bias: Floats
    output: Floats

    def inputs(self, rows: npt.NDArray[np.int8], tfidf: Floats) -> Floats:
        """Return what one text gives each unit, before rectification: float32, shape (H,).

        Args:
            rows: the weights of its n n-grams in 8 bits, shape (n, H).
            tfidf: their values, shape (n,).
        """
        given: Floats = np.dot(tfidf, rows.astype(np.float32))
        given *= self.scale
        given += self.bias
        return given

    def slopes(self, inputs: Floats, labels: Integers) -> Floats:
        """Return what the weight 1 of an n-gram in each unit adds to a label's score, for P pairs of a text and a label.

        Exact but for the biases, because a rectified unit is linear while it is awake.

        Args:
            inputs: what each pair's text gives the units, shape (P, H).
            labels: shape (P,).

        Returns:
            float32, shape (P, H), for TF-IDF values of 1.
        """
        added: Floats = self.output.T[labels] * np.where(inputs > 0, self.scale, 0)
        return added


@dataclass(frozen=True, slots=True)
class HiddenStates:
    """What B texts with N n-grams in all mean to a `HiddenLayer` of H units.

    Attributes:
        rows: int8, shape (N, H): weights of the n-grams.
        inputs: float32, shape (B, H): what each text gives each unit, before rectification.
    """

    rows: npt.NDArray[np.int8]
    inputs: Floats
