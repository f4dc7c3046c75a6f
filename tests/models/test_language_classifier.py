"""A fine-tuned language model as a classifier: labels from its corpus, calibrated probabilities, files verified."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from ctiforge.classify.classifier import Classifier
from ctiforge.core.errors import ModelError
from ctiforge.models.tiny_random import write_tiny_random
from ctiforge.train.lora_recipe import load_lora_recipe

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

TINY = Path(__file__).parents[1] / "train" / "tiny_lora.py"


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ctiforge.export.merge import run_merge
    from ctiforge.train.lora import run_train_lora

    folder = tmp_path_factory.mktemp("language")
    corpus = runpy.run_path(str(TINY))["write_corpus"](folder / "corpus", 24, 60)
    base = write_tiny_random(folder / "base")
    recipe = load_lora_recipe("smoke")
    said: list[str] = []
    run_train_lora(recipe, base, corpus, folder / "run", device="cpu", report=said.append)
    assert any("labels: 2; development top-1" in line for line in said)
    first = (folder / "run" / "manifest.json").read_bytes()
    said.clear()
    run_train_lora(recipe, base, corpus, folder / "run", device="cpu", report=said.append)
    assert (folder / "run" / "manifest.json").read_bytes() == first
    assert not any("development top-1" in line for line in said), "measured once"
    return run_merge(folder / "run", base, folder / "merged", precision="fp32").folder


def test_it_ranks_the_labels_of_its_corpus(merged: Path) -> None:
    manifest = json.loads((merged / "manifest.json").read_text("utf-8"))
    assert manifest["labels"] == ["CWE-79", "CWE-89"]
    assert manifest["label_scoring"]["n"] == 24
    found = Classifier(merged, threshold=0.0, explain=True).classify_one("Product 7 has a SQL injection in the login form.")
    assert {each.cwe_id for each in found.suggestions} == {"CWE-79", "CWE-89"}
    assert all(0 <= each.probability <= 1 for each in found.suggestions)
    assert all(not each.evidence for each in found.suggestions)
    assert found.model == "merged"


def test_a_changed_file_is_refused(merged: Path, tmp_path: Path) -> None:
    import shutil

    from ctiforge.models.language_classifier import load_language_classifier

    copy = shutil.copytree(merged, tmp_path / "copy")
    (copy / "config.json").write_text((copy / "config.json").read_text("utf-8") + " ", "utf-8")
    with pytest.raises(ModelError, match="not those of its manifest"):
        load_language_classifier(copy)
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    (copy / "manifest.json").write_text(json.dumps(manifest | {"labels": []}), "utf-8")
    with pytest.raises(ModelError, match="learnt no CWE"):
        load_language_classifier(copy)
