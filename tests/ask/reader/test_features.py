"""Evidence and features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes

from ctiforge.ask import BuildInputs, ChoiceAnswerer, KnowledgeBase, build_knowledge_base
from ctiforge.ask.questions import build_thesaurus
from ctiforge.ask.reader.evidence import EvidenceFinder
from ctiforge.ask.reader.features import FEATURES, contrast, read_features
from ctiforge.ask.reader.fitting import FitSettings
from ctiforge.ask.reader.mentions import find_mentions
from ctiforge.ask.reader.model import load_reader
from ctiforge.ask.reader.training import TrainingSettings, train_reader


@pytest.fixture(scope="module")
def finder(base: KnowledgeBase) -> EvidenceFinder:
    return EvidenceFinder(base)


def test_objects_are_found_by_identifier_and_by_name(base: KnowledgeBase) -> None:
    technique = base["T9001"]
    assert find_mentions(base, "What is t9001?") == ("T9001",)
    assert "T9001" in find_mentions(base, f"How is {technique.name.upper()} done?")
    assert find_mentions(base, "") == ()


def test_a_relation_that_is_asked_for_shows(finder: EvidenceFinder, base: KnowledgeBase) -> None:
    (mitigation, *_) = base.neighbours("T9001", "mitigated-by")
    evidence = finder.find("Which mitigation helps against T9001?", [mitigation.other, "a purple umbrella"])
    features = read_features(evidence)
    for name in ("named_related", "named_asked", "about_own_of_named"):
        assert features[0, FEATURES.index(name)] > features[1, FEATURES.index(name)] == 0


def test_values_of_lists_show(finder: EvidenceFinder, base: KnowledgeBase) -> None:
    platform = base["T9001"].platforms[0]
    features = read_features(finder.find("On which platform is T9001 seen?", [platform, "Toaster"]))
    assert features[:, FEATURES.index("named_listed_asked")].tolist() == [1.0, 0.0]


def test_catch_alls_lie_between_the_others(finder: EvidenceFinder) -> None:
    features = read_features(finder.find("What is locked?", ["All of the above", "the drawer", "the lid of the jar"]))
    column = FEATURES.index("both")
    assert features[0, column] == pytest.approx(features[1:, column].mean())
    assert features[:, FEATURES.index("all_of_them")].tolist() == [1.0, 0.0, 0.0]


def test_words_that_nobody_knows_give_features_all_the_same(finder: EvidenceFinder) -> None:
    features = read_features(finder.find("xyzzy?", ["plugh", "frotz"]))
    assert np.isfinite(features).all()


def test_contrast_is_against_the_mean_and_the_best_other() -> None:
    features = np.array([[3.0], [1.0], [2.0]], dtype=np.float32)
    assert contrast(features).tolist() == [[3.0, 1.0, 1.0], [1.0, -1.0, -2.0], [2.0, 0.0, -1.0]]
    assert contrast(features[:1]).tolist() == [[3.0, 0.0, 0.0]]


@settings(deadline=None)
@given(shapes.arrays(np.float32, (4, 3), elements=st.floats(-5, 5, width=16)), st.permutations(range(4)))
def test_contrast_does_not_know_places(features: np.ndarray, order: list[int]) -> None:
    np.testing.assert_allclose(contrast(features)[order], contrast(features[order]), atol=1e-5)


def test_meaning_is_read_where_there_are_embeddings(tiny_encoder: Path, inputs: BuildInputs, tmp_path: Path) -> None:
    build_knowledge_base(inputs, tmp_path / "kb")
    base = KnowledgeBase.load(tmp_path / "kb", threads=1)
    finder = EvidenceFinder(base)
    options = ["a purple umbrella", "the lid of the jar"]
    features = read_features(finder.find("What do guests take off?", options))
    columns = [FEATURES.index(name) for name in FEATURES if name.startswith(("meaning_", "closest_"))]
    assert (features[:, columns] != 0).any(axis=0).sum() > len(columns) / 2
    again = EvidenceFinder(base)
    again.find("Where is the spoon?", ["in the drawer", "in the jar"])
    np.testing.assert_array_equal(read_features(again.find("What do guests take off?", options)), features)
    thesaurus = build_thesaurus(base)
    assert all(word not in others for word, others in thesaurus.items())
    report = train_reader(base, tmp_path / "reader", TrainingSettings(count=60, per_kind=3, fit=FitSettings(epochs=2, units=2)))
    assert {"words", "meaning"} <= report.manifest["held_out"].keys()
    reader = load_reader(tmp_path / "reader" / "reader.npz")
    assert ChoiceAnswerer(base, reader).answer("What do guests take off?", options).chosen is not None
    assert ChoiceAnswerer(base, reader).reads_meaning


def test_a_reader_that_learnt_without_embeddings_is_given_none(
    base: KnowledgeBase, tiny_encoder: Path, inputs: BuildInputs, tmp_path: Path
) -> None:
    build_knowledge_base(inputs, tmp_path / "kb")
    embedded = KnowledgeBase.load(tmp_path / "kb", threads=1)
    train_reader(base, tmp_path / "reader", TrainingSettings(count=60, per_kind=3, fit=FitSettings(epochs=2, units=2)))
    reader = load_reader(tmp_path / "reader" / "reader.npz")
    asked = ("What do guests take off?", ["a purple umbrella", "the lid of the jar"])
    answers = [ChoiceAnswerer(each, reader).answer(*asked) for each in (base, embedded)]
    assert embedded.has_embeddings
    assert answers[0].options == answers[1].options
