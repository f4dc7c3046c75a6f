"""Weights, shift and calibration of a blend; what needs a trained model is in `tests/train/test_blend.py`."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")

from ctiforge.core.errors import ModelError
from ctiforge.models.blend import BlendModel, Places, blend_scores, load_blend
from ctiforge.models.linear import QuantizedWeights, write_linear_model

LABELS = ["CWE-79", "CWE-89", "CWE-787"]
WORDS = ["inject", "overflow", "script", "sql"]
TEXTS = ["SQL inject", "a script and an overflow", "overflow"]
SHIFT = [0.5, -0.25, 0.0]
EQUAL = {"encoder": 0.5, "linear": 0.5}
OTHER = {"encoder": 0.25, "linear": 1.5}
WEIGHT = st.floats(-2, 2, width=32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blend whose encoder reads every text, with weights of 0.5."""
    out = tmp_path_factory.mktemp("models")
    values = np.array([[20, 60, -60], [-60, -60, 127], [110, -50, -50], [-60, 127, -60]], dtype=np.int8)
    ones = np.ones(len(LABELS), dtype=np.float32)
    calibration = {policy: {"temperature": 0.5, "slope": 1.0, "intercept": 0.0} for policy in ("mitre", "nvd")}
    manifest = {"name": "tiny", "labels": LABELS, "max_n": 1, "calibration": calibration}
    write_linear_model(
        out / "linear", manifest, WORDS, QuantizedWeights(values, ones * 0.02, ones, np.ones(len(WORDS), dtype=np.float32))
    )
    module = runpy.run_path(str(Path(__file__).parents[1] / "classify" / "tiny_encoder_model.py"))
    made: Path = module["write_blend"](out / "blend", out / "linear", WORDS, LABELS, sure=1.1)
    return made


@pytest.fixture(scope="module")
def plain(folder: Path) -> BlendModel:
    return load_blend(folder, {})


def changed(model: BlendModel, **changes: Any) -> BlendModel:
    return BlendModel(model.manifest | changes, model.digest, model.encoder, model.linear)


def pooled(model: BlendModel, weights: dict[str, float]) -> np.ndarray:
    places = Places.of(model.labels, model.encoder.labels, model.linear.labels)
    return blend_scores(model.encoder.encode(TEXTS).logits, model.linear.score(TEXTS).scores, places, weights)


@pytest.mark.parametrize("policy", [None, "mitre", "nvd"])
def test_all_policies_have_the_same_weights(plain: BlendModel, policy: str | None) -> None:
    scored = plain.score(TEXTS, policy)
    np.testing.assert_array_equal(scored.scores, pooled(plain, EQUAL))


@given(encoder=WEIGHT, linear=WEIGHT)
def test_the_weights_are_those_of_the_manifest(plain: BlendModel, encoder: float, linear: float) -> None:
    weights = {"encoder": encoder, "linear": linear}
    np.testing.assert_array_equal(changed(plain, weights=weights).score(TEXTS, "nvd").scores, pooled(plain, weights))


def test_the_shift_comes_after_the_weights_and_the_calibration_after_both(plain: BlendModel) -> None:
    calibration = {"mitre": plain.manifest["calibration"]["mitre"], "nvd": {"temperature": 0.7, "slope": 1.2, "intercept": 0.1}}
    model = changed(plain, weights=OTHER, shift={"nvd": SHIFT}, calibration=calibration)
    scored = model.score(TEXTS, "nvd")
    np.testing.assert_array_equal(scored.scores, pooled(plain, OTHER) + np.array(SHIFT, np.float32))
    shares = np.exp(scored.scores.astype(np.float64) / 0.7)
    odds = shares / (shares.sum(axis=1, keepdims=True) - shares)
    np.testing.assert_allclose(scored.probabilities, 1 / (1 + np.exp(-0.1) * odds**-1.2), rtol=1e-6)
    np.testing.assert_array_equal(model.score(TEXTS, "mitre").scores, pooled(plain, OTHER))


def test_what_the_linear_model_is_sure_of_has_no_weights(plain: BlendModel) -> None:
    model = changed(plain, weights=OTHER, sure=0.0)
    scored = model.score(TEXTS, "nvd")
    assert scored.asked == {}
    np.testing.assert_array_equal(scored.scores, model.linear.score(TEXTS, "nvd").scores)


@pytest.mark.parametrize("found", [{"encoder": 0.5}, 0.5, {"encoder": "a", "linear": 1}, [1], None])
def test_weights_that_are_none_are_refused_when_the_model_is_loaded(folder: Path, tmp_path: Path, found: Any) -> None:
    damaged = tmp_path / "blend"
    damaged.mkdir()
    for part in ("encoder", "linear"):
        (damaged / part).symlink_to(folder / part)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    (damaged / "manifest.json").write_text(json.dumps(manifest))
    assert load_blend(damaged, {}).labels == tuple(LABELS)
    (damaged / "manifest.json").write_text(json.dumps(manifest | {"weights": found}))
    with pytest.raises(ModelError, match="not a model manifest"):
        load_blend(damaged, {})
