from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from ctiforge.sources.cwe import CweCatalogue
from ctiforge.train.development_scores import (
    ScoredWindow,
    calibration_settings,
    hit_matrix,
    macro_f1,
    mean_loss,
    split_scores,
    window_scores,
)
from ctiforge.train.recipe import Window

LABELS = ["CWE-22", "CWE-79", "CWE-89", "CWE-787"]


def test_scores_in_figures() -> None:
    scores = np.array([[3, 2, 1, 0], [3, 2, 1, 0], [0, 1, 2, 3], [3, 2, 1, 0]], dtype=np.float32)
    assigned = [("CWE-22",), ("CWE-89", "CWE-79"), ("CWE-22",), ("CWE-20",)]
    found = split_scores(scores, assigned, LABELS)
    assert found == {"n": 4, "top1": 0.25, "top3": 0.5, "macro_f1": 0.0, "loss": found["loss"], "macro_f1_labels": 0}
    assert split_scores(scores[:0], [], LABELS) == {"n": 0}


def test_loss_counts_known_labels_only() -> None:
    scores = np.log(np.array([[0.5, 0.25, 0.125, 0.125], [0.7, 0.1, 0.1, 0.1]], dtype=np.float32))
    hits = hit_matrix(LABELS, [("CWE-22", "CWE-79"), ("CWE-20",)])
    assert mean_loss(scores, hits) == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2, rel=1e-5)


def test_macro_f1_in_figures() -> None:
    predicted = ["A", "A", "B", "B", "B"]
    assigned = [("A",), ("B",), ("B", "A"), ("A", "B"), ("A",)]
    # Right are A, B, B, B, A: of A one of two is found and one of two guesses is right; of B two of three, and two of three.
    assert macro_f1(predicted, assigned, min_items=1) == (pytest.approx((0.5 + 2 / 3) / 2), 2)
    assert macro_f1(predicted, assigned, min_items=3) == (pytest.approx(2 / 3), 1)
    assert macro_f1([], [], min_items=1) == (0.0, 0)


@pytest.fixture(scope="module")
def scored() -> tuple[np.ndarray, list[tuple[str, ...]]]:
    rng = np.random.default_rng(3)
    right = rng.integers(0, 4, 1200)
    scores = rng.normal(size=(1200, 4)).astype(np.float32)
    scores[np.arange(1200), right] += 2
    # This party calls half of the path traversals cross-site scripting.
    habits = np.where((right == 0) & (rng.random(1200) < 0.9), 1, right)
    return scores, [(LABELS[i],) for i in habits]


def test_policy_nvd_follows_the_window(scored: tuple[np.ndarray, list[tuple[str, ...]]], catalogue: CweCatalogue) -> None:
    scores, assigned = scored
    window = ScoredWindow(Window(party="nvd", since=date(2021, 1, 1), until=date(2022, 1, 1)), scores, assigned)
    found = window_scores(window, LABELS, catalogue)
    assert found["shifted_top1"] > found["top1"] + 0.05
    settings = calibration_settings(scores, assigned, [window], LABELS, catalogue, 0.6)
    shift = settings["shift"]["nvd"]
    assert shift[1] - shift[0] > 1
    assert settings["development"]["top1"] == found["top1"]
    assert settings["threshold"]["nvd"] < settings["threshold"]["mitre"]
    assert settings["development"]["half_fitted_calibration_error"] < 0.15
    none = calibration_settings(scores, assigned, [], LABELS, catalogue, 0.6)
    assert none["shift"] == {}
    assert none["calibration"]["nvd"] == none["calibration"]["mitre"]


def test_a_small_window_fits_no_shift(scored: tuple[np.ndarray, list[tuple[str, ...]]], catalogue: CweCatalogue) -> None:
    scores, assigned = scored
    window = ScoredWindow(Window(party="nvd", since=date(2021, 1, 1), until=date(2022, 1, 1)), scores[:400], assigned[:400])
    assert "shifted_top1" not in window_scores(window, LABELS, catalogue)
    assert calibration_settings(scores, assigned, [window], LABELS, catalogue, 0.6)["shift"] == {}
