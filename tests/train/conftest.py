"""One tiny corpus and one model trained on it, shared by the tests of training."""

from __future__ import annotations

import json
import random
import runpy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
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


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine take minutes for a second's work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


@pytest.fixture(scope="session")
def encoder(corpus: TinyCorpus, catalogue: CweCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT, fitted to the corpus."""
    from ctiforge.train.encoder import run_train_encoder
    from ctiforge.train.encoder_recipe import load_encoder_recipe

    module = runpy.run_path(str(Path(__file__).with_name("tiny_encoder.py")))
    rng = random.Random(1)
    texts = [corpus.module["sentence"](cwe_id, rng) for cwe_id in corpus.module["TEMPLATES"] for _ in range(200)]
    base = module["write_tiny_encoder"](tmp_path_factory.mktemp("base") / "bert", texts)
    recipe = module["write_tiny_recipe"](corpus.folder, corpus.module["RECIPE"], base, "blended.yaml")
    out = tmp_path_factory.mktemp("models") / "encoder"
    run_train_encoder(load_encoder_recipe(recipe), corpus.folder, out, catalogue=catalogue, device="cpu", threads=1)
    return out


@pytest.fixture(scope="session")
def windowed(
    encoder: Path, corpus: TinyCorpus, catalogue: CweCatalogue, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, Path]:
    """The encoder, a linear model cross-fitted on a window of 120 CVEs of NVD's that the encoder has not learnt, their data."""
    out = tmp_path_factory.mktemp("windowed")
    data = shutil.copytree(corpus.folder, out / "data")
    rng, golds = random.Random(5), ["CWE-22", "CWE-79", "CWE-89", "CWE-787"]
    told = [golds[i % 4] for i in range(120)]
    texts = [f"{corpus.module['sentence'](gold, rng)} Seen at unit {i}." for i, gold in enumerate(told)]
    records = [corpus.module["record"](f"CVE-2099-{40_000 + i}", text, date(2099, 5, 1), None) for i, text in enumerate(texts)]
    labels = ["CWE-79" if i % 3 == 0 and gold == "CWE-89" else gold for i, gold in enumerate(told)]
    pairs = [{"prompt": f"Text: {text}", "response": f"It is {label}"} for text, label in zip(texts, labels, strict=True)]
    for name, lines in (("window.jsonl", records), ("pairs.jsonl", pairs)):
        (data / name).write_text("".join(json.dumps(line) + "\n" for line in lines))

    def with_window(recipe: dict[str, Any]) -> dict[str, Any]:
        window = {"party": "nvd", "since": "2099-04-01", "until": "2099-06-01"}
        return recipe | {
            "sources": [*recipe["sources"], {"path": "window.jsonl", "licence": "CC0-1.0"}],
            "instructions": [{"path": "pairs.jsonl", "licence": "CC0-1.0", "party": "nvd", "text_after": "Text:"}],
            "party_order": ["cna", "adp", "nvd"],
            "split": recipe["split"] | {"windows": [window]},
        }

    recipe = type(corpus.recipe).model_validate(with_window(corpus.recipe.model_dump(mode="json")))
    linear = run_train_classifier(recipe, data, out / "linear", catalogue=catalogue).folder
    reader = shutil.copytree(encoder, out / "encoder")
    manifest = json.loads((reader / "manifest.json").read_bytes())
    manifest["recipe"] = with_window(manifest["recipe"]) | {"shift": {"fit": "window", "window_share": 1.0}}
    (reader / "manifest.json").write_text(json.dumps(manifest))
    return reader, linear, data
