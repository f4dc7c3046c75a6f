"""One tiny corpus and one model trained on it, shared by the tests of training."""

from __future__ import annotations

import random
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from ctiforge.sources.cwe import CweCatalogue, load_catalogue, shipped_table
from ctiforge.train.classifier import TrainingReport, run_train_classifier
from ctiforge.train.recipe import ClassifierRecipe, load_recipe

if TYPE_CHECKING:
    from ctiforge.train.encoder_base import BaseModel


@dataclass(frozen=True)
class TinyCorpus:
    """A data folder, the recipe in it, and the names of `tiny_corpus.py`."""

    folder: Path
    recipe: ClassifierRecipe
    module: dict[str, Any]


@dataclass(frozen=True)
class TinyModel:
    report: TrainingReport
    manifest: dict[str, Any]
    messages: list[str]


@pytest.fixture(scope="session")
def catalogue() -> CweCatalogue:
    """The shipped catalogue, whatever the user has installed."""
    return load_catalogue(shipped_table())


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    module = runpy.run_path(str(Path(__file__).with_name("tiny_corpus.py")))
    folder = tmp_path_factory.mktemp("corpus")
    return TinyCorpus(folder, load_recipe(module["write_tiny_corpus"](folder)), module)


@pytest.fixture(scope="session")
def model(corpus: TinyCorpus, catalogue: CweCatalogue, tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    messages: list[str] = []
    out = tmp_path_factory.mktemp("models") / "new" / "tiny"
    report = run_train_classifier(corpus.recipe, corpus.folder, out, catalogue=catalogue, report=messages.append)
    return TinyModel(report, orjson.loads((out / "manifest.json").read_bytes()), messages)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    """A tiny BERT of three layers."""
    from ctiforge.train.encoder_base import find_base_model

    corpus = runpy.run_path(str(Path(__file__).with_name("tiny_corpus.py")))
    module = runpy.run_path(str(Path(__file__).with_name("tiny_encoder.py")))
    rng = random.Random(1)
    texts = [corpus["sentence"](cwe_id, rng) for cwe_id in corpus["TEMPLATES"]]
    return find_base_model(str(module["write_tiny_encoder"](tmp_path_factory.mktemp("base") / "bert", texts, layers=3)), 24)
