from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("tokenizers")

from ctiforge.models.blend import NEVER_SURE, Places, blend_scores
from ctiforge.train.blend_fitting import (
    THREE_PARTS,
    UNSURE,
    BlendedSplit,
    choose_threshold,
    fit_weights,
    mixed_answers,
)


@pytest.mark.parametrize(("encoder", "linear"), [(1.0, 0.0), (0.0, 1.0), (0.4, 0.8)])
def test_the_weights_that_made_the_labels_are_found(encoder: float, linear: float) -> None:
    labels = ["CWE-22", "CWE-79", "CWE-89", "CWE-787"]
    places = Places.of(labels, labels[:3], labels)
    rng = np.random.default_rng(2)
    scores = [rng.normal(scale=2, size=(3000, k)).astype(np.float32) for k in (3, 4)]
    odds = np.exp(blend_scores(*scores, places, {"encoder": encoder, "linear": linear}))
    drawn = [int(rng.choice(4, p=row / row.sum())) for row in odds]
    found = fit_weights(BlendedSplit(*scores, np.eye(4, dtype=bool)[drawn], [(labels[i],) for i in drawn]), places)
    assert found == {"encoder": pytest.approx(encoder, abs=0.1), "linear": pytest.approx(linear, abs=0.1)}


@pytest.mark.parametrize("given", [(0.5, 0.3, 0.4), (0.0, 1.0, 0.0)])
def test_the_weights_of_three_parts_too(given: tuple[float, float, float]) -> None:
    labels = ["CWE-22", "CWE-79", "CWE-89", "CWE-787"]
    places = Places.of(labels, labels[:3], labels, labels[1:])
    rng = np.random.default_rng(3)
    encoder, linear, second = (rng.normal(scale=2, size=(4000, k)).astype(np.float32) for k in (3, 4, 3))
    weights = dict(zip(("encoder", "second", "linear"), given, strict=True))
    odds = np.exp(blend_scores(encoder, linear, places, weights, second))
    drawn = [int(rng.choice(4, p=row / row.sum())) for row in odds]
    split = BlendedSplit(encoder, linear, np.eye(4, dtype=bool)[drawn], [(labels[i],) for i in drawn], second)
    assert fit_weights(split, places, THREE_PARTS) == pytest.approx(weights, abs=0.13)
    assert set(fit_weights(split, places)) == {"encoder", "linear"}


def test_labels_that_no_part_believes_in_do_not_decide_the_weights() -> None:
    labels = ["CWE-22", "CWE-79", "CWE-89"]
    places = Places.of(labels, labels, labels)
    rng = np.random.default_rng(4)
    drawn = rng.integers(3, size=2000)
    encoder, linear = ((rng.normal(size=(2000, 3)) + 2 * np.eye(3)[drawn]).astype(np.float32) for _ in range(2))
    hits = np.eye(3, dtype=bool)[drawn]

    def found() -> dict[str, float]:
        return fit_weights(BlendedSplit(encoder, linear, hits, [(labels[i],) for i in drawn]), places)

    before = found()
    for row in range(20):
        encoder[row, drawn[row]] = -60  # the linear model is no better there, but for its smaller numbers
        linear[row, drawn[row]] = -10
    assert found() == pytest.approx(before, abs=0.1)


def test_the_answer_below_the_threshold_is_the_second_one() -> None:
    first, second = np.array([[0.6, 0.1], [0.3, 0.2]]), np.array([[0.0, 1.0], [0.1, 0.9]])
    assert mixed_answers([first, second], 0.5).tolist() == [[0.6, 0.1], [0.1, 0.9]]
    assert mixed_answers([first, second], 0.0).tolist() == first.tolist()
    assert mixed_answers([first, second], NEVER_SURE).tolist() == second.tolist()
    assert mixed_answers([first], None) is first


class TestSure:
    """Three labels, the first of which is right; `alone` is sure of what is wrong in some texts."""

    @staticmethod
    def split(n: int, sure: list[float], rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A linear model whose probability is one of `sure` and that has the right label at `rank`; a blend that is right."""
        hits = np.zeros((n, 5), dtype=bool)
        hits[:, 0] = True
        alone = np.tile(np.linspace(0.05, 0.01, 5), (n, 1))
        alone[:, rank - 1], alone[:, 0] = alone[:, 0], alone[:, rank - 1].copy()
        first = alone.argmax(axis=1)
        alone[np.arange(n), first] = np.resize(sure, n)
        blended = np.tile(np.linspace(0.5, 0.1, 5), (n, 1))
        return alone, blended, hits

    def test_the_lowest_that_loses_nothing(self) -> None:
        assert choose_threshold(*self.split(40, [0.4, 0.99], rank=1)) == 0.5

    @pytest.mark.parametrize(("rank", "chosen"), [(2, 0.85), (4, 0.85)])
    def test_rank_1_and_rank_3_count(self, rank: int, chosen: float) -> None:
        alone, blended, hits = self.split(40, [0.81], rank)
        fine = self.split(40, [0.95], rank=1)
        both = [np.concatenate(pair) for pair in zip((alone, blended, hits), fine, strict=True)]
        assert choose_threshold(*both) == chosen

    def test_a_blend_that_only_ranks_the_third_better(self) -> None:
        alone, blended, hits = self.split(40, [0.81], rank=4)
        blended[:, 1], blended[:, 0] = 0.5, 0.4  # the right label is second: rank 1 is wrong in both, rank 3 in one
        fine = self.split(40, [0.95], rank=1)
        both = [np.concatenate(pair) for pair in zip((alone, blended, hits), fine, strict=True)]
        assert choose_threshold(*both) == 0.85

    def test_one_of_the_choices_given(self) -> None:
        assert choose_threshold(*self.split(40, [0.4, 0.99], rank=1), UNSURE) == UNSURE[0]
        alone, blended, hits = self.split(40, [0.81], rank=2)
        assert choose_threshold(alone, blended, hits, UNSURE) == 0.85
        alone, blended, hits = self.split(40, [0.95], rank=2)
        assert choose_threshold(alone, blended, hits, UNSURE) == NEVER_SURE
