"""Rare candidates: apart from the suggestions, only where nothing is suggested, only what may be suggested."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctiforge.classify import Classifier
from ctiforge.core.errors import ModelError
from ctiforge.models.linear import load_linear_model
from ctiforge.models.rare import build_rare_vectors, write_rare_table

RARE = {"CWE-1021": "valid login attack", "CWE-20": "login attack", "CWE-79": "login attack", "CWE-1336": "overflow write"}
VAGUE = "the login valid in the attack"


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    linear = load_linear_model(folder)
    vectors = build_rare_vectors(linear, list(RARE.values()), list(RARE.values()))
    write_rare_table(folder, {"cwe_ids": list(RARE), "floor": 0.3, "ngrams_of": linear.digest}, vectors)
    return folder


def test_where_nothing_is_suggested_near_definitions_are_named_apart(model: Path, tiny_model: Path) -> None:
    answer = Classifier(model).classify_one(VAGUE)
    assert answer.reason in ("low_probability", "only_discouraged")
    # CWE-20 is Discouraged, CWE-79 a label of the model, CWE-1336 has other words.
    (candidate,) = answer.rare_candidates
    assert (candidate.cwe_id, candidate.usage) == ("CWE-1021", "Allowed")
    assert candidate.name == "Improper Restriction of Rendered UI Layers or Frames"
    assert 0.3 <= candidate.similarity <= 1
    plain = Classifier(tiny_model).classify_one(VAGUE)
    assert plain.rare_candidates == ()
    assert (answer.suggestions, answer.discouraged, answer.model_digest) == (
        plain.suggestions, plain.discouraged, plain.model_digest,
    )  # fmt: skip


def test_each_of_a_batch_gets_its_own(model: Path) -> None:
    texts = [VAGUE, "SQL inject in the login attack", VAGUE, "unspecified vulnerability in the login attack", "", VAGUE]
    answers = Classifier(model).classify(texts)
    assert [bool(each.rare_candidates) for each in answers] == [True, False, True, False, False, True]
    assert [each.reason for each in answers][1:5:2] == [None, "low_information"]


def test_who_always_wants_an_answer_gets_no_rare_ones(model: Path) -> None:
    assert Classifier(model, threshold=0).classify_one(VAGUE).rare_candidates == ()


def test_a_table_of_another_model_stops_the_classifier(model: Path, tiny_model: Path, tmp_path: Path) -> None:
    linear = load_linear_model(tiny_model)
    vectors = build_rare_vectors(linear, ["login"], ["login"])
    write_rare_table(model, {"cwe_ids": ["CWE-1021"], "floor": 0.3, "ngrams_of": "0" * 64}, vectors)
    with pytest.raises(ModelError, match="made for another model"):
        Classifier(model)
