"""Probabilities from scores, and the shift that follows one party's habits, both fitted on CVEs kept out of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar

from ctiforge.models.linear import Calibration, Doubles, Floats
from ctiforge.sources.cwe import CweCatalogue

__all__ = [
    "LASTING",
    "MIN_SHIFT_EXAMPLES",
    "UNCALIBRATED",
    "CalibratedSplit",
    "Hits",
    "calibrate",
    "calibrate_with_shift",
    "fit_calibration",
    "fit_shift",
    "label_traits",
]

Hits = npt.NDArray[np.bool_]
"""Shape (n, K): whether each label is one that the party assigned."""

UNCALIBRATED = Calibration(temperature=1.0, slope=1.0, intercept=0.0)
MIN_SHIFT_EXAMPLES = 500
_CALIBRATED_RANKS = 2
_FOLDS = 4
_SHIFT_PENALTY = 1e-4
_SHARPEN = 0.65
"""A temperature below the one that fits best cross-validated better for the shift (docs/lab-log.md)."""
LASTING = 0.4
"""The share that is kept of what labels of one stretch of time say beyond their traits: most of it are the vendors of those
months. Chosen by leaving whole months out, and by labels one to four years away (docs/decisions/0015-habits-that-last.md)."""
_TRAIT_PENALTY = 1e-3


@dataclass(frozen=True, slots=True)
class CalibratedSplit:
    """A development split with its calibration.

    Attributes:
        scores, hits, probabilities: shape (n, K). With a shift, `scores` and `probabilities` are cross-fitted: those of each
            quarter of the split come from a shift that was fitted on the other three.
        shift: K numbers to add to the scores, fitted on all of the split; None without one.
    """

    scores: Floats
    hits: Hits
    probabilities: Doubles
    calibration: Calibration
    shift: list[float] | None = None


def calibrate(scores: Floats, hits: Hits) -> CalibratedSplit:
    """Fit the calibration of a split."""
    calibration = fit_calibration(scores, hits)
    return CalibratedSplit(scores, hits, calibration.probabilities(scores), calibration)


def label_traits(labels: Sequence[str], catalogue: CweCatalogue) -> Doubles:
    """Return what of K labels decides whether an analyst of NVD uses them: float64, shape (2, K), 1 for yes and 0 for no.

    Whether the entry belongs to View-1003, which NVD maps to (MITRE, CWE-1003: Weaknesses for Simplified Mapping of Published
    Vulnerabilities), and whether it is a Variant.
    """
    entries = [(catalogue.in_view(label, 1003), catalogue[label].abstraction == "Variant") for label in labels]
    return np.array(entries, dtype=np.float64).reshape(len(labels), 2).T


def calibrate_with_shift(scores: Floats, hits: Hits, traits: Doubles) -> CalibratedSplit:
    """Fit a shift of the scores and then the calibration of the shifted ones, the latter on cross-fitted scores.

    Args:
        scores, hits: shape (n, K).
        traits: shape (T, K), see `label_traits`.
    """
    fold = np.random.default_rng(0).permutation(len(scores)) % _FOLDS
    shifted = scores.copy()
    for each in range(_FOLDS):
        shifted[fold == each] += fit_shift(scores[fold != each], hits[fold != each], traits)
    calibrated = calibrate(shifted, hits)
    shift = [round(float(value), 4) for value in fit_shift(scores, hits, traits)]
    return CalibratedSplit(shifted, hits, calibrated.probabilities, calibrated.calibration, shift)


def fit_shift(scores: Floats, hits: Hits, traits: Doubles, lasting: float = LASTING) -> Floats:
    """Return one number a label that moves the scores to the habits of whoever assigned the labels of this split.

    First what the traits of the labels are worth, which is kept whole. Then, with them, a temperature and one number a label by
    penalised cross-entropy: bias-corrected temperature scaling (Alexandari, Kundaje and Shrikumar 2020, arXiv 1901.06852,
    section 3); of these the share `lasting` is kept, since not all of it holds beyond the months of the split.

    Args:
        scores, hits: shape (n, K).
        traits: shape (T, K); T may be 0.
    """
    known = hits.any(axis=1)
    given = scores[known].astype(np.float64)
    wanted = hits[known] / hits[known].sum(axis=1, keepdims=True)
    by_trait = _fit_traits(given, wanted, traits) @ traits
    given += by_trait

    def loss(bias: Doubles, temperature: float) -> tuple[float, Doubles]:
        value, gradient = _cross_entropy(given / temperature + bias, wanted)
        return value + _SHIFT_PENALTY * float(bias @ bias), gradient.sum(axis=0) + 2 * _SHIFT_PENALTY * bias

    none = np.zeros(scores.shape[1])
    best = minimize_scalar(lambda log_temperature: loss(none, np.exp(log_temperature))[0], bounds=(-4, 4), method="bounded")
    temperature = _SHARPEN * float(np.exp(best.x))
    found = minimize(loss, none, args=(temperature,), jac=True, method="L-BFGS-B", options={"maxiter": 100})
    shift: Floats = (by_trait + lasting * found.x * temperature).astype(np.float32)
    return shift


def _fit_traits(scores: Doubles, wanted: Doubles, traits: Doubles) -> Doubles:
    """Return what each of T traits adds to a label's score, shape (T,), fitted together with the scale of the scores."""

    def loss(parameters: Doubles) -> tuple[float, Doubles]:
        scale, weights = np.exp(parameters[0]), parameters[1:]
        value, gradient = _cross_entropy(scale * scores + weights @ traits, wanted)
        by_scale = scale * float((gradient * scores).sum())
        by_weight = traits @ gradient.sum(axis=0) + 2 * _TRAIT_PENALTY * weights
        return value + _TRAIT_PENALTY * float(weights @ weights), np.concatenate([[by_scale], by_weight])

    found = minimize(loss, np.zeros(len(traits) + 1), jac=True, method="L-BFGS-B")
    weights: Doubles = found.x[1:] / np.exp(found.x[0])
    return weights


def _cross_entropy(scores: Doubles, wanted: Doubles) -> tuple[float, Doubles]:
    """Return the mean cross-entropy of n examples and its gradient by the scores, shape (n, K)."""
    scores = scores - scores.max(axis=1, keepdims=True)
    shares = np.exp(scores)
    total = shares.sum(axis=1, keepdims=True)
    return -float((wanted * (scores - np.log(total))).sum()) / len(scores), (shares / total - wanted) / len(scores)


def fit_calibration(scores: Floats, hits: Hits) -> Calibration:
    """Fit the calibration by log loss over the first two suggestions of every example."""
    best = np.argsort(-scores, axis=1)[:, :_CALIBRATED_RANKS]
    right = np.take_along_axis(hits, best, axis=1)

    def calibration(parameters: Sequence[float]) -> Calibration:
        log_temperature, slope, intercept = (float(each) for each in parameters)
        return Calibration(round(float(np.exp(log_temperature)), 6), round(slope, 6), round(intercept, 6))

    def loss(parameters: Sequence[float]) -> float:
        probabilities = np.take_along_axis(calibration(parameters).probabilities(scores), best, axis=1)
        likelihood = np.where(right, probabilities, 1 - probabilities)
        return float(-np.log(np.maximum(likelihood, 1e-9)).mean())

    found = minimize(loss, x0=[-1.0, 1.5, 5.0], method="Nelder-Mead", options={"maxiter": 200, "xatol": 1e-3, "fatol": 1e-6})
    return calibration(found.x)
