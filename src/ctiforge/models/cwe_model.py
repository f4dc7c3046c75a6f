"""What every model that ranks weaknesses offers, whatever is inside: the classifier knows no model by its kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Contribution", "Contributions", "CweModel", "ScoredTexts"]


class Contribution(NamedTuple):
    """What the characters from `start` to before `end` of a text add to the score of a label."""

    start: int
    end: int
    value: float


class Contributions(NamedTuple):
    """The parts of a text that speak most for a label, in no particular order, and the sum of all that speak for it."""

    total: float
    strongest: list[Contribution]


class ScoredTexts(Protocol):
    """B texts and what a model says of each of its K labels.

    Attributes:
        scores: float32, shape (B, K): the higher, the better; they decide the order.
        probabilities: float64, shape (B, K): calibrated for the policy that the texts were scored under.
    """

    @property
    def scores(self) -> npt.NDArray[np.float32]:
        """The higher, the better; they decide the order."""
        ...

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Calibrated for the policy that the texts were scored under."""
        ...

    def words(self, text: int) -> tuple[int, int]:
        """Return how many words of a text the model knows, and how many it has."""
        ...

    def contributions(self, asked: Sequence[tuple[int, int]], most: int) -> list[Contributions]:
        """Return what speaks for labels in texts: for each pair of text and label at most `most` parts that add to the score.

        The pairs of one text stand side by side.
        """
        ...


class CweModel(Protocol):
    """A loaded model. Thread-safe: nothing changes after construction.

    Attributes:
        name: such as ``fast``.
        digest: SHA-256 of ``manifest.json``, which names the SHA-256 of every other file; it identifies the model.
        labels: K labels (CWE IDs).
        manifest: the whole manifest.
    """

    name: str
    digest: str
    labels: tuple[str, ...]
    manifest: dict[str, Any]

    def score(self, texts: list[str], policy: str | None = None) -> ScoredTexts:
        """Score a batch of texts.

        Args:
            policy: whose habits scores and calibration follow; None: no party's (calibration of ``mitre``).
        """
        ...
