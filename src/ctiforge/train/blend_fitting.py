"""What fits a blend: weights of its parts, calibration and shift, and from which probability on a cheaper answer stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from ctiforge.models.blend import NEVER_SURE, Places, blend_scores
from ctiforge.models.linear import Doubles, Floats
from ctiforge.train.calibration import MIN_SHIFT_EXAMPLES, CalibratedSplit, Hits, calibrate, calibrate_with_shift

__all__ = [
    "SURE",
    "THREE_PARTS",
    "TWO_PARTS",
    "UNSURE",
    "BlendedSplit",
    "Stage",
    "choose_threshold",
    "fit_stage",
    "fit_weights",
    "fits_shift",
    "mixed_answers",
    "right_within",
]

SURE = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.999)
"""From which of these probabilities on the linear model may answer alone."""
UNSURE = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
"""From which of these probabilities on the blend of two may answer without the second encoder."""
TWO_PARTS = {"encoder": 0.7, "linear": 0.7}
THREE_PARTS = {"encoder": 0.5, "second": 0.5, "linear": 0.3}
"""Where the search for weights begins, as of `TWO_PARTS`."""

_FLOOR = 0.01
_MAY_LOSE = 0.0005
"""Share of the development split that a cheaper answer may get wrong where the other would not, on balance, at each rank."""
_RANKS = (1, 3)


@dataclass(frozen=True, slots=True)
class BlendedSplit:
    """A split as the parts see it: scores over their own labels, and what is right over the blend's K labels."""

    encoder: Floats
    linear: Floats
    hits: Hits
    assigned: list[tuple[str, ...]]
    second: Floats | None = None

    def pooled(self, places: Places, weights: Mapping[str, float]) -> Floats:
        """Return the blend's scores by these weights, shape (n, K)."""
        second = self.second if "second" in weights else None
        return blend_scores(self.encoder, self.linear, places, weights, second)


@dataclass(frozen=True, slots=True)
class Stage:
    """The linear model and one encoder or two, fitted.

    Attributes:
        own: the development split.
        nvd: the window, shifted; `own` where there is none, or too small a one.
        window: scores of the window without the shift.
    """

    weights: dict[str, float]
    own: CalibratedSplit
    nvd: CalibratedSplit
    window: Floats | None

    @property
    def settings(self) -> dict[str, Any]:
        """The calibration and shift of each policy, as a manifest has them."""
        return {
            "calibration": {"mitre": asdict(self.own.calibration), "nvd": asdict(self.nvd.calibration)},
            "shift": {} if self.nvd.shift is None else {"nvd": self.nvd.shift},
        }


def fit_stage(
    split: BlendedSplit, window: BlendedSplit | None, places: Places, traits: Doubles, start: Mapping[str, float]
) -> Stage:
    """Fit weights, calibration and shift of the parts that `start` names."""
    weights = fit_weights(split, places, start)
    own = calibrate(split.pooled(places, weights), split.hits)
    plain = None if window is None else window.pooled(places, weights)
    if window is None or plain is None or not fits_shift(window):
        return Stage(weights, own, own, plain)
    return Stage(weights, own, calibrate_with_shift(plain, window.hits, traits), plain)


def fits_shift(window: BlendedSplit) -> bool:
    """Return whether a window has enough examples for a shift."""
    return len(window.hits) >= MIN_SHIFT_EXAMPLES


def fit_weights(split: BlendedSplit, places: Places, start: Mapping[str, float] = TWO_PARTS) -> dict[str, float]:
    """Return the weights of the parts' log-probabilities that make the development split most likely.

    What is right is never less likely than `_FLOOR`, as if that much of the probability were anywhere: a few examples whose
    label no part believes in would decide the weights otherwise.
    """

    def loss(weights: Sequence[float]) -> float:
        pooled = split.pooled(places, dict(zip(start, weights, strict=True))).astype(np.float64)
        given = np.exp(pooled - pooled.max(axis=1, keepdims=True))
        right = np.where(split.hits, given, 0).sum(axis=1) / given.sum(axis=1)
        return float(-np.log((1 - _FLOOR) * right + _FLOOR).mean())

    steps = {"maxiter": 60 * (len(start) - 1), "xatol": 1e-3, "fatol": 1e-6}
    found = minimize(loss, x0=[*start.values()], method="Nelder-Mead", options=steps)
    return {part: round(float(weight), 4) for part, weight in zip(start, found.x, strict=True)}


def mixed_answers(answers: Sequence[Doubles], threshold: float | None) -> Doubles:
    """Return the first of one or two answers where its highest probability reaches the threshold, else the second one."""
    first, *other = answers
    return np.where(first.max(axis=1, keepdims=True) >= threshold, first, other[0]) if other else first


def choose_threshold(alone: Doubles, blended: Doubles, hits: Hits, choices: Sequence[float] = SURE) -> float:
    """Return the lowest probability from which `alone`, such as the linear model, may answer without losing accuracy.

    Args:
        alone, blended: probabilities of shape (n, K).
        choices: the probabilities to choose from, the lowest first; where each of them loses, it is `NEVER_SURE`.
    """
    ranks = [(right_within(alone, hits, rank), right_within(blended, hits, rank)) for rank in _RANKS]
    for sure in choices:
        asked = alone.max(axis=1) < sure
        if all(np.where(asked, ours, theirs).mean() >= ours.mean() - _MAY_LOSE for theirs, ours in ranks):
            return sure
    return NEVER_SURE


def right_within(probabilities: Doubles, hits: Hits, rank: int = 1) -> Hits:
    """Return shape (n,): whether one of the first `rank` labels is right."""
    best = np.argsort(-probabilities, axis=1)[:, :rank]
    found: Hits = np.asarray(np.take_along_axis(hits, best, axis=1).any(axis=1))
    return found
