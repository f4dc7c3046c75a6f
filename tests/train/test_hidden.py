from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from ctiforge.core.errors import RecipeError
from ctiforge.train.hidden import HiddenWeights, fit_hidden


def xor_texts(n: int = 400) -> tuple[csr_matrix, csr_matrix]:
    """Texts whose label depends on two words together: what no linear model can learn."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 2, n), rng.integers(0, 2, n)
    features = np.zeros((n, 4), dtype=np.float32)
    features[np.arange(n), first] = features[np.arange(n), 2 + second] = np.sqrt(0.5)
    targets = np.eye(2, dtype=np.float32)[first ^ second]
    return csr_matrix(features), csr_matrix(targets)


def fit(features: csr_matrix, targets: csr_matrix, **changes: float) -> HiddenWeights:
    settings = {"units": 16, "learning_rate": 0.02, "batch_size": 16, "epochs": 20, "dropout": 0.0, "seed": 1} | changes
    return fit_hidden(features, targets, **settings)  # type: ignore[arg-type]


def test_it_learns_what_no_linear_model_can() -> None:
    features, targets = xor_texts()
    scores = fit(features, targets).scores(features)
    assert (scores.argmax(axis=1) == targets.toarray().argmax(axis=1)).all()


def test_the_same_arguments_give_the_same_weights_and_another_seed_others() -> None:
    features, targets = xor_texts(64)
    one, two, other = (fit(features, targets, epochs=2, seed=seed) for seed in (1, 1, 2))
    for name in ("embedding", "bias", "output", "intercept"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.embedding, other.embedding)


def test_words_that_no_text_has_keep_their_first_weights() -> None:
    features, targets = xor_texts(64)
    wider = csr_matrix((features.data, features.indices, features.indptr), shape=(64, 6))
    begun, ended = (fit(wider, targets, epochs=epochs).embedding for epochs in (1, 5))
    np.testing.assert_array_equal(begun[4:], ended[4:])
    assert not np.array_equal(begun[:4], ended[:4])


def test_dropout_is_for_training_only() -> None:
    features, targets = xor_texts(64)
    fitted = fit(features, targets, dropout=0.5, epochs=3)
    np.testing.assert_array_equal(fitted.scores(features), fitted.scores(features))


def test_a_loss_that_explodes_says_what_to_change() -> None:
    features, targets = xor_texts(64)
    with np.errstate(all="ignore"), pytest.raises(RecipeError, match="not a number") as caught:
        fit(features, targets, learning_rate=float("inf"))
    assert "learning_rate" in str(caught.value.fix)


def test_it_tells_of_its_progress() -> None:
    lines: list[str] = []
    features, targets = xor_texts(64)
    fit_hidden(
        features, targets, units=2, learning_rate=0.01, batch_size=16, epochs=3, dropout=0.1, seed=0, report=lines.append
    )
    assert [line.split(":")[0] for line in lines] == [f"hidden layer {i} of 3" for i in (1, 2, 3)]
    assert lines[-1].endswith("0 s left")
