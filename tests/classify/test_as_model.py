from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ctiforge.classify import Classifier
from ctiforge.classify.as_model import EmbeddedModel
from ctiforge.classify.classifier import bundled_model_path
from ctiforge.core.errors import SettingError
from ctiforge.models.generation import Generation, GenerationRequest, TextModel

needs_model = pytest.mark.skipif(
    not (bundled_model_path("fast") / "manifest.json").exists(), reason="the bundled model is not in this checkout"
)
TEXT = "SQL injection in the login form of an invented product lets attackers read the database."


def ask(model: EmbeddedModel, **metadata: Any) -> Generation:
    return asyncio.run(model.generate(GenerationRequest(metadata=metadata)))


@needs_model
def test_it_ranks_what_the_classifier_ranks() -> None:
    model = EmbeddedModel()
    assert isinstance(model, TextModel)
    answer = ask(model, question=TEXT)
    expected = Classifier(policy="nvd", threshold=0).classify_one(TEXT)
    assert answer.ranked == tuple(each.cwe_id for each in expected.suggestions)
    assert answer.text == answer.ranked[0] == "CWE-89"
    assert answer.confidence == pytest.approx(expected.suggestions[0].probability, abs=1e-6)
    assert answer.error is None


@needs_model
def test_it_says_what_it_is() -> None:
    info = asyncio.run(EmbeddedModel(policy="mitre").info())
    classifier = Classifier()
    assert (info.name, info.backend, info.digest) == ("ctiforge-fast", "embedded", classifier.model.digest)
    assert info.settings == {"policy": "mitre", "cwe_version": classifier.catalogue.version}


@needs_model
@pytest.mark.parametrize(
    "metadata", [{}, {"question": TEXT, "choices": ("A", "B")}, {"question": TEXT, "answer_kind": "actor"}]
)
def test_another_task_is_refused(metadata: dict[str, Any]) -> None:
    answer = ask(EmbeddedModel(), **metadata)
    assert answer.error is not None
    assert answer.error.kind == "refused"


@needs_model
def test_a_text_that_says_nothing_gets_no_answer() -> None:
    answer = ask(EmbeddedModel(), question="xqzvw wvzqx")
    assert (answer.ranked, answer.error) == ((), None)
    assert answer.text.startswith("no suggestion")


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(SettingError, match="unknown policy"):
        EmbeddedModel(policy="nist")
