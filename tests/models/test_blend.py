"""Weights, shift and calibration of a blend; what needs a trained model is in `tests/train/test_blend.py`."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Sequence
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
from ctiforge.core.files import sha256
from ctiforge.models.blend import ALWAYS_UNSURE, BlendModel, Places, ScoredByBlend, blend_scores, load_blend
from ctiforge.models.linear import Calibration, QuantizedWeights, write_linear_model
from ctiforge.models.second_encoder import SECOND_ENCODER_MODEL, load_second_encoder

LABELS = ["CWE-79", "CWE-89", "CWE-787"]
WORDS = ["inject", "overflow", "script", "sql"]
TEXTS = ["SQL inject", "a script and an overflow", "overflow"]
SHIFT = [0.5, -0.25, 0.0]
EQUAL = {"encoder": 0.5, "linear": 0.5}
OTHER = {"encoder": 0.25, "linear": 1.5}
WEIGHT = st.floats(-2, 2, width=32)


SECOND = {
    "weights": {"encoder": 0.5, "second": 0.75, "linear": 0.25},
    "unsure": {"mitre": 0.5, "nvd": 0.5},
    "calibration": {
        policy: {"temperature": t, "slope": 1.5, "intercept": 0.25} for policy, t in (("mitre", 0.8), ("nvd", 1.2))
    },
    "shift": {"nvd": [0.0, 1.0, -1.0]},
}


def written(out: Path, second: dict[str, Any] | None = None) -> Path:
    """Write a blend whose encoder reads every text, with weights of 0.5."""
    values = np.array([[20, 60, -60], [-60, -60, 127], [110, -50, -50], [-60, 127, -60]], dtype=np.int8)
    ones = np.ones(len(LABELS), dtype=np.float32)
    calibration = {policy: {"temperature": 0.5, "slope": 1.0, "intercept": 0.0} for policy in ("mitre", "nvd")}
    manifest = {"name": "tiny", "labels": LABELS, "max_n": 1, "calibration": calibration}
    write_linear_model(
        out / "linear", manifest, WORDS, QuantizedWeights(values, ones * 0.02, ones, np.ones(len(WORDS), dtype=np.float32))
    )
    module = runpy.run_path(str(Path(__file__).parents[1] / "classify" / "tiny_encoder_model.py"))
    made: Path = module["write_blend"](out / "blend", out / "linear", WORDS, LABELS, sure=1.1, second=second)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a second encoder."""
    return written(tmp_path_factory.mktemp("models"), SECOND)


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


class TestSecondEncoder:
    """It reads what the two others are not sure of; the three have settings of their own."""

    @pytest.fixture
    def model(self, three: Path) -> BlendModel:
        return load_blend(three, {})

    @staticmethod
    def answers(model: BlendModel, unsure: float, policy: str | None = None, texts: Sequence[str] = TEXTS) -> ScoredByBlend:
        model.unsure = {"mitre": unsure, "nvd": unsure}
        return model.score(list(texts), policy)

    @pytest.mark.parametrize("policy", [None, "mitre", "nvd"])
    def test_read_by_no_text_it_changes_nothing(self, model: BlendModel, plain: BlendModel, policy: str | None) -> None:
        found, expected = self.answers(model, 0.0, policy), plain.score(TEXTS, policy)
        np.testing.assert_array_equal(found.scores, expected.scores)
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
        assert found.read_twice == frozenset()

    @pytest.mark.parametrize(("policy", "temperature"), [(None, 0.8), ("mitre", 0.8), ("nvd", 1.2)])
    def test_its_scores_have_weights_shift_and_calibration_of_their_own(
        self, model: BlendModel, policy: str | None, temperature: float
    ) -> None:
        found = self.answers(model, ALWAYS_UNSURE, policy)
        assert model.second is not None
        read = model.encoder.encode(TEXTS, token_embeddings=True)
        places = Places.of(model.labels, model.encoder.labels, model.linear.labels, model.second.labels)
        plain = model.linear.scores(model.linear.features(TEXTS))
        weights: Any = SECOND["weights"]
        expected = blend_scores(read.logits, plain, places, weights, model.second.logits(read.token_embeddings))
        expected += np.array([0.0, 1.0, -1.0] if policy == "nvd" else [0.0, 0.0, 0.0], np.float32)
        np.testing.assert_array_equal(found.scores, expected)
        np.testing.assert_array_equal(found.probabilities, Calibration(temperature, 1.5, 0.25).probabilities(expected))
        assert found.read_twice == {0, 1, 2}

    @given(unsure=st.floats(0, 1.01), policy=st.sampled_from([None, "mitre", "nvd"]))
    def test_it_reads_the_texts_whose_first_answer_is_below_the_threshold(
        self, three: Path, unsure: float, policy: str | None
    ) -> None:
        model = load_blend(three, {})
        texts = [*TEXTS, "script", "nothing known", "sql overflow"]
        never, always = self.answers(model, 0.0, policy, texts), self.answers(model, ALWAYS_UNSURE, policy, texts)
        found = self.answers(model, unsure, policy, texts)
        again = never.probabilities.max(axis=1) < unsure
        assert found.read_twice == set(np.flatnonzero(again))
        np.testing.assert_array_equal(found.scores, np.where(again[:, None], always.scores, never.scores))
        expected = np.where(again[:, None], always.probabilities, never.probabilities)
        np.testing.assert_array_equal(found.probabilities, expected)

    def test_what_the_linear_model_is_sure_of_it_does_not_read(self, model: BlendModel) -> None:
        model.sure = 0.0
        found = self.answers(model, ALWAYS_UNSURE)
        assert found.asked == {}
        assert found.read_twice == frozenset()
        np.testing.assert_array_equal(found.scores, model.linear.score(TEXTS).scores)

    def test_no_text(self, model: BlendModel) -> None:
        assert self.answers(model, ALWAYS_UNSURE, texts=[]).scores.shape == (0, len(LABELS))

    @given(texts=st.lists(st.sampled_from([*TEXTS, "script", "sql", "a b c"]), max_size=5))
    def test_an_answer_is_the_same_alone_and_among_others(self, three: Path, texts: list[str]) -> None:
        model = load_blend(three, {})
        together = model.score(texts, "nvd")
        for i, text in enumerate(texts):
            alone = model.score([text], "nvd")
            np.testing.assert_allclose(together.scores[i], alone.scores[0], rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(together.probabilities[i], alone.probabilities[0], rtol=1e-6)
            assert (i in together.read_twice) == (0 in alone.read_twice)

    def test_evidence_is_the_first_encoder_s(self, model: BlendModel, plain: BlendModel) -> None:
        pairs = [(0, 1), (1, 2)]
        found = self.answers(model, ALWAYS_UNSURE).contributions(pairs, 3)
        assert found == plain.score(TEXTS).contributions(pairs, 3)

    def test_embeddings_are_kept_no_longer_than_needed(self, model: BlendModel) -> None:
        assert self.answers(model, ALWAYS_UNSURE).encoded.token_embeddings == []


class TestDamage:
    @pytest.fixture
    def copy(self, three: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(three, tmp_path / "blend"))

    def test_another_graph_is_refused(self, copy: Path) -> None:
        file = copy / "second" / SECOND_ENCODER_MODEL
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(ModelError, match="SHA-256 differs"):
            load_blend(copy, {})

    def test_what_cannot_be_unpacked_is_refused(self, copy: Path) -> None:
        (copy / "second" / SECOND_ENCODER_MODEL).write_bytes(b"no frame")
        file = copy / "second" / "manifest.json"
        file.write_text(json.dumps(json.loads(file.read_bytes()) | {"files": {SECOND_ENCODER_MODEL: sha256(b"no frame")}}))
        with pytest.raises(ModelError, match=r"manifest\.json"):
            load_second_encoder(copy / "second")

    def test_another_manifest_is_refused(self, copy: Path) -> None:
        file = copy / "second" / "manifest.json"
        file.write_text(json.dumps(json.loads(file.read_bytes()) | {"name": "other"}))
        with pytest.raises(ModelError, match="its second model is not the one it was made with"):
            load_blend(copy, {})

    @pytest.mark.parametrize("change", [{"format": "ctiforge-encoder/1"}, {"labels": None}, {"files": 3}, {"files": {}}])
    def test_what_is_no_second_encoder_is_refused(self, copy: Path, change: dict[str, Any]) -> None:
        file = copy / "second" / "manifest.json"
        file.write_text(json.dumps(json.loads(file.read_bytes()) | change))
        with pytest.raises(ModelError):
            load_second_encoder(copy / "second")

    def test_one_that_is_not_there_is_missed(self, copy: Path) -> None:
        shutil.rmtree(copy / "second")
        with pytest.raises(ModelError, match=r"second.manifest\.json: cannot read"):
            load_blend(copy, {})

    @pytest.mark.parametrize(
        "found", [{}, 3, SECOND | {"weights": {"encoder": 1, "linear": 1}}, SECOND | {"unsure": {"mitre": 0.5}}]
    )
    def test_settings_that_are_none_are_refused(self, copy: Path, found: Any) -> None:
        file = copy / "manifest.json"
        file.write_text(json.dumps(json.loads(file.read_bytes()) | {"second": found}))
        with pytest.raises(ModelError, match="not a model manifest"):
            load_blend(copy, {})
