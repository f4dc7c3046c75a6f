from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from ctiforge.core.errors import RecipeError
from ctiforge.train.fitting import _GRADIENTS, Loss, fit_linear

LOSSES: tuple[Loss, ...] = ("softmax", "squared_hinge")
SETTINGS = {"batch_size": 8, "epochs": 20, "seed": 3}


def problem() -> tuple[csr_matrix, csr_matrix, np.ndarray]:
    """Sixty texts of three labels; each label has features of its own."""
    labels = np.arange(60) % 3
    features = random_array((60, 12), density=0.2, rng=np.random.default_rng(1), format="lil", dtype=np.float32)
    for text, label in enumerate(labels):
        features[text, label * 4 : label * 4 + 2] = 1.0
    targets = csr_matrix(np.eye(3, dtype=np.float32)[labels])
    return csr_matrix(features), targets, labels


@pytest.mark.parametrize("loss", LOSSES)
def test_a_problem_that_can_be_solved_is(loss: Loss) -> None:
    features, targets, labels = problem()
    lines: list[str] = []
    fitted = fit_linear(features, targets, loss=loss, learning_rate=0.5, report=lines.append, **SETTINGS)
    assert ((features @ fitted.coefficients + fitted.intercept).argmax(axis=1) == labels).all()
    assert len(lines) == 20
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in lines]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_that_of_the_loss(loss: Loss) -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(2, 4))
    wanted = np.array([[0.5, 0, 0.5, 0], [0, 1, 0, 0]])
    _, gradient = _GRADIENTS[loss](scores, wanted)  # type: ignore[arg-type]
    step = 1e-6
    for place in np.ndindex(scores.shape):
        more, less = scores.copy(), scores.copy()
        more[place] += step
        less[place] -= step
        slope = (_GRADIENTS[loss](more, wanted)[0] - _GRADIENTS[loss](less, wanted)[0]) / (2 * step)  # type: ignore[arg-type]
        assert gradient[place] == pytest.approx(slope, abs=1e-4)


def test_the_same_seed_gives_the_same_weights() -> None:
    features, targets, _ = problem()
    first, second = (fit_linear(features, targets, loss="softmax", learning_rate=0.5, **SETTINGS) for _ in range(2))
    np.testing.assert_array_equal(first.coefficients, second.coefficients)


def test_several_right_labels_share_the_probability() -> None:
    features = csr_matrix(np.ones((40, 1), dtype=np.float32))
    targets = csr_matrix(np.tile(np.array([[0.5, 0.5, 0.0]], dtype=np.float32), (40, 1)))
    fitted = fit_linear(features, targets, loss="softmax", learning_rate=2.0, batch_size=8, epochs=200, seed=1)
    odds = np.exp((features @ fitted.coefficients + fitted.intercept)[0])
    np.testing.assert_allclose(odds / odds.sum(), [0.5, 0.5, 0.0], atol=0.02)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_a_learning_rate_that_explodes_is_named() -> None:
    features, targets, _ = problem()
    with pytest.raises(RecipeError, match="not a number") as caught:
        fit_linear(features, targets, loss="squared_hinge", learning_rate=1e30, **SETTINGS)
    assert caught.value.fix == "lower learning_rate in the recipe"
