"""What a blend's two parts count for: on a split of many parties' labels, and by the habits of one party."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.optimize import minimize

from ctiforge.models.blend import Places, blend_scores
from ctiforge.models.linear import Floats
from ctiforge.train.calibration import CalibratedSplit, Hits, Rows, calibrate_with_shift
from ctiforge.train.development_scores import mean_loss

__all__ = ["FittedHabits", "PartScores", "fit_habits", "fit_weights"]


@dataclass(frozen=True, slots=True)
class PartScores:
    """A split as both parts see it.

    Attributes:
        encoder, linear: scores of shape (n, labels of the one) and (n, labels of the other).
        hits: shape (n, K): what is right, over the blend's K labels.
        assigned: the same as labels, those included that no part knows.
    """

    encoder: Floats
    linear: Floats
    hits: Hits
    assigned: list[tuple[str, ...]]

    def blended(self, places: Places, weights: Mapping[str, float]) -> Floats:
        """Return the scores of both together: shape (n, K)."""
        return blend_scores(self.encoder, self.linear, places, weights)


@dataclass(frozen=True, slots=True)
class FittedHabits:
    """What a policy that follows one party gets of its own.

    Attributes:
        weights: of ``encoder`` and ``linear``, fitted on all of the party's examples.
        calibrated: cross-fitted; no score of it comes from weights or a shift that were fitted on its own example.
    """

    weights: dict[str, float]
    calibrated: CalibratedSplit


def fit_weights(split: PartScores, places: Places, rows: Rows | None = None) -> dict[str, float]:
    """Return the weights of the two parts' log-probabilities that make a split most likely.

    Args:
        rows: the examples to fit on; None: all of them.
    """
    chosen = slice(None) if rows is None else rows
    encoder, linear, hits = split.encoder[chosen], split.linear[chosen], split.hits[chosen]

    def loss(weights: Sequence[float]) -> float:
        return mean_loss(blend_scores(encoder, linear, places, {"encoder": weights[0], "linear": weights[1]}), hits)

    found = minimize(loss, x0=[0.7, 0.7], method="Nelder-Mead", options={"maxiter": 60, "xatol": 1e-3, "fatol": 1e-6})
    return {"encoder": round(float(found.x[0]), 4), "linear": round(float(found.x[1]), 4)}


def fit_habits(split: PartScores, places: Places) -> FittedHabits:
    """Fit weights, then a shift of the scores that they give, then the calibration, on examples that one party labelled."""

    def refit(rows: Rows) -> Floats:
        return split.blended(places, fit_weights(split, places, rows))

    weights = fit_weights(split, places)
    return FittedHabits(weights, calibrate_with_shift(split.blended(places, weights), split.hits, refit))
