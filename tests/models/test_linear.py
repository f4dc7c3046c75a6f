from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.errors import ModelError
from ctiforge.models.hidden_layer import HiddenLayer
from ctiforge.models.linear import (
    Calibration,
    LinearModel,
    QuantizedWeights,
    load_linear_model,
    write_linear_model,
)

VOCABULARY = ["inject", "overflow", "sql", "sql inject"]
MANIFEST: dict[str, Any] = {
    "name": "tiny",
    "labels": ["CWE-89", "CWE-787"],
    "max_n": 2,
    "calibration": {"nvd": {"temperature": 0.5, "slope": 1.0, "intercept": 0.0}},
}


def weights() -> QuantizedWeights:
    values = np.array([[60, -60], [-127, 127], [100, -100], [127, 0]], dtype=np.int8)
    return QuantizedWeights(
        values,
        np.array([0.02, 0.01], dtype=np.float32),
        np.array([0.1, -0.1], dtype=np.float32),
        np.array([1.0, 2.0, 1.0, 3.0], dtype=np.float32),
    )


def with_hidden_layer() -> QuantizedWeights:
    layer = HiddenLayer(
        np.array([[10, -20, 5], [-30, 40, 0], [50, 60, -70], [1, 2, 3]], dtype=np.int8),
        np.array([0.01, 0.02, 0.03], dtype=np.float32),
        np.array([0.05, -0.4, 0.2], dtype=np.float32),
        np.array([[1.0, -1.0], [0.5, 2.0], [-3.0, 0.25]], dtype=np.float32),
    )
    return replace(weights(), hidden=layer)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_linear_model(tmp_path / "tiny", MANIFEST, VOCABULARY, weights())
    return tmp_path / "tiny"


def test_loading_gives_back_what_was_written(folder: Path) -> None:
    model = load_linear_model(folder)
    made = LinearModel(MANIFEST, "", VOCABULARY, weights())
    text = "A SQL injection in the overflow handler"
    expected = made.scores(made.features([text]))
    np.testing.assert_array_equal(model.scores(model.features([text])), expected)
    assert model.labels == ("CWE-89", "CWE-787")


def test_score_by_hand() -> None:
    model = LinearModel(MANIFEST, "", VOCABULARY, weights())
    features = model.features(["overflow overflow SQL"])
    raw = np.array([(1 + math.log(2)) * 2.0, 1.0])
    np.testing.assert_allclose(features.values, raw / np.linalg.norm(raw), rtol=1e-6)
    assert [features.span(0, place) for place in features.places.tolist()] == [(0, 8), (18, 21)]
    assert (features.tokens.tolist(), features.known.tolist()) == ([3], [3])
    tf_overflow, tf_sql = raw / np.linalg.norm(raw)
    expected = np.array(
        [-127 * 0.02 * tf_overflow + 100 * 0.02 * tf_sql + 0.1, 127 * 0.01 * tf_overflow - 0.01 * 100 * tf_sql - 0.1]
    )
    (scores,) = model.scores(features)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    by_feature, bounds = model.contributions(features, None, np.array([0, 0]), np.array([0, 1]))
    assert bounds.tolist() == [0, 2, 4]
    np.testing.assert_allclose(by_feature.reshape(2, 2).sum(axis=1) + weights().intercept, expected, rtol=1e-5)
    odds = np.exp(expected / 0.5)
    np.testing.assert_allclose(model.probabilities(scores, "nvd"), odds / odds.sum(), rtol=1e-5)


def test_a_hidden_layer_adds_its_scores_and_its_contributions() -> None:
    plain, model = (LinearModel(MANIFEST, "", VOCABULARY, each) for each in (weights(), with_hidden_layer()))
    texts = ["overflow overflow SQL", "nothing that is known", "sql inject"]
    features, states = model.features(texts), model.score(texts, "nvd").states
    layer = with_hidden_layer().hidden
    assert layer is not None
    for text in range(3):
        own = features.of(text)
        dense = layer.values.astype(float) * layer.scale
        awake = np.maximum(features.values[own] @ dense[features.ids[own]] + layer.bias, 0)
        expected = plain.scores(features)[text] + awake @ layer.output
        np.testing.assert_allclose(model.scores(features)[text], expected, rtol=1e-5)
        biases = np.where(awake > 0, layer.bias, 0) @ layer.output
        for label in (0, 1):
            states = model.score(["overflow overflow SQL", "nothing that is known", "sql inject"], "nvd").states
            added = (
                model.contributions(features, states, np.array([text]), np.array([label]))[0].sum()
                + weights().intercept[label]
                + biases[label]
            )
            np.testing.assert_allclose(added, expected[label], rtol=1e-4, atol=1e-6)


def test_a_hidden_layer_is_written_and_loaded(tmp_path: Path) -> None:
    write_linear_model(tmp_path, MANIFEST, VOCABULARY, with_hidden_layer())
    model, made = load_linear_model(tmp_path), LinearModel(MANIFEST, "", VOCABULARY, with_hidden_layer())
    features = made.features(["A SQL injection in the overflow handler"])
    np.testing.assert_array_equal(model.scores(features), made.scores(features))


def test_calibration_moves_the_log_odds_and_keeps_the_order() -> None:
    scores = np.array([1.0, 0.2, -30.0], dtype=np.float32)
    plain = Calibration(0.5, 1.0, 0.0).probabilities(scores)
    moved = Calibration(0.5, 2.0, 1.0).probabilities(scores)
    np.testing.assert_allclose(plain.sum(), 1.0)
    np.testing.assert_allclose(np.log(moved / (1 - moved)), 2 * np.log(plain / (1 - plain)) + 1, rtol=1e-6)
    assert (np.diff(moved) < 0).all()


def test_calibration_survives_scores_without_any_doubt() -> None:
    probabilities = Calibration(1e-3, 3.0, 14.0).probabilities(np.array([900.0, -900.0], dtype=np.float32))
    assert np.isfinite(probabilities).all()
    assert probabilities[0] > 0.99
    assert probabilities[1] < 0.01


def test_a_shift_belongs_to_its_policy() -> None:
    model = LinearModel(MANIFEST | {"shift": {"nvd": [0.5, -0.25]}}, "", VOCABULARY, weights())
    features = model.features(["overflow SQL"])
    plain = model.scores(features)
    np.testing.assert_allclose(model.scores(features, "nvd") - plain, [[0.5, -0.25]], rtol=1e-5)
    np.testing.assert_array_equal(model.scores(features, "mitre"), plain)


def test_a_text_without_known_words_has_no_features() -> None:
    model = LinearModel(MANIFEST, "", VOCABULARY, weights())
    features = model.features(["nothing of this is known"])
    assert features.ids.size == 0
    np.testing.assert_array_equal(model.scores(features)[0], weights().intercept)


@given(st.lists(st.lists(st.sampled_from(["sql", "injection", "overflow", "other"]), max_size=6).map(" ".join), max_size=5))
def test_a_batch_gives_what_each_text_gives_alone(texts: list[str]) -> None:
    model = LinearModel(MANIFEST, "", VOCABULARY, weights())
    together = model.features(texts)
    scores = model.scores(together)
    for number, text in enumerate(texts):
        alone = model.features([text])
        np.testing.assert_array_equal(together.ids[together.of(number)], alone.ids)
        np.testing.assert_array_equal(together.places[together.of(number)], alone.places)
        np.testing.assert_allclose(together.values[together.of(number)], alone.values, rtol=1e-6)
        assert together.known[number] == alone.known[0]
        np.testing.assert_allclose(scores[number], model.scores(alone)[0], rtol=1e-5, atol=1e-6)


def test_writing_twice_gives_the_same_digest(tmp_path: Path) -> None:
    first = write_linear_model(tmp_path / "a", MANIFEST, VOCABULARY, weights())
    assert write_linear_model(tmp_path / "b", MANIFEST, VOCABULARY, weights()) == first
    assert load_linear_model(tmp_path / "a").digest == first


@pytest.mark.parametrize("name", ["weights.npz", "vocabulary.txt"])
def test_a_changed_file_is_refused(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ModelError, match=rf"{name}: SHA-256 differs"):
        load_linear_model(folder)


@pytest.mark.parametrize("name", ["weights.npz", "vocabulary.txt", "manifest.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        load_linear_model(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other/1"}', '{"format": "ctiforge-linear/1"}'])
def test_a_manifest_of_another_kind_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ModelError):
        load_linear_model(folder)


@pytest.mark.parametrize("key", ["labels", "name", "calibration", "max_n", "files"])
def test_a_manifest_that_lacks_something_is_refused(folder: Path, key: str) -> None:
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    del manifest[key]
    (folder / "manifest.json").write_bytes(orjson.dumps(manifest))
    with pytest.raises(ModelError, match="not a model manifest"):
        load_linear_model(folder)


def test_pickled_arrays_are_never_loaded(folder: Path) -> None:
    np.savez(folder / "weights.npz", indptr=np.array([object()], dtype=object), allow_pickle=True)
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    manifest["files"]["weights.npz"] = hashlib.sha256((folder / "weights.npz").read_bytes()).hexdigest()
    (folder / "manifest.json").write_bytes(orjson.dumps(manifest))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_linear_model(folder)


def test_what_speaks_most_for_a_label_is_found_at_its_place() -> None:
    text = "An overflow, then SQL: overflow"
    model = LinearModel(MANIFEST, "", VOCABULARY, with_hidden_layer())
    scored = model.score([text], "nvd")
    for label, found in enumerate(scored.contributions([(0, 0), (0, 1)], 10)):
        values = model.contributions(scored.features, scored.states, np.array([0]), np.array([label]))[0]
        assert found.total == pytest.approx(values[values > 0].sum())
        assert sorted(part.value for part in found.strongest) == pytest.approx(sorted(values[values > 0]))
        assert {text[part.start : part.end].lower() for part in found.strongest} <= {"overflow", "sql"}
        if len(found.strongest) > 1:
            (most,) = scored.contributions([(0, label)], 1)
            assert [part.value for part in most.strongest] == pytest.approx([values.max()])


def test_many_long_texts_are_explained_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LinearModel(MANIFEST, "", VOCABULARY, with_hidden_layer())
    scored = model.score(["sql inject", "An overflow, then SQL: overflow", "xyzzy"], "nvd")
    asked = [(text, label) for text in range(3) for label in range(2)]
    at_once = scored.contributions(asked, 6)
    assert any(each.strongest for each in at_once)
    monkeypatch.setattr("ctiforge.models.linear._MOST_CELLS", 1)
    assert scored.contributions(asked, 6) == at_once


def test_a_text_without_known_words_has_no_contributions() -> None:
    (found,) = LinearModel(MANIFEST, "", VOCABULARY, with_hidden_layer()).score(["xyzzy"], "nvd").contributions([(0, 0)], 6)
    assert found == (0.0, [])
