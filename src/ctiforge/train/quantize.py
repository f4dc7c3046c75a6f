"""From fitted weights to those of the artefact, in 8 bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctiforge.models.hidden_layer import HiddenLayer
from ctiforge.models.linear import Floats, QuantizedWeights
from ctiforge.train.fitting import LinearWeights
from ctiforge.train.hidden import HiddenWeights

__all__ = ["quantize"]


def quantize(fitted: LinearWeights, hidden: HiddenWeights | None, idf: Floats, prune: float) -> QuantizedWeights:
    """Return the weights in 8 bits, those of the linear model below `prune` times their label's largest set to zero.

    Args:
        idf: inverse document frequencies of the F features.
    """
    coefficients = fitted.coefficients
    largest = np.abs(coefficients).max(axis=0)
    coefficients[np.abs(coefficients) < prune * largest] = 0
    values, scale = _to_8_bits(coefficients)
    if hidden is None:
        return QuantizedWeights(values, scale, fitted.intercept, idf)
    layer = HiddenLayer(*_to_8_bits(hidden.embedding), hidden.bias, hidden.output)
    return QuantizedWeights(values, scale, fitted.intercept + hidden.intercept, idf, layer)


def _to_8_bits(weights: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return weights of shape (F, n) as whole numbers from -127 to 127, and the scale of each of the n columns."""
    scale = (np.maximum(np.abs(weights).max(axis=0), 1e-12) / 127).astype(np.float32)
    return np.rint(weights / scale).astype(np.int8), scale
