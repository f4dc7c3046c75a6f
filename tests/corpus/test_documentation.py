"""docs/corpus.md names every setting, stage, file and reason, and the example of its completion is one that is made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
import yaml

from ctiforge.corpus import recipe as recipes
from ctiforge.corpus.contamination.settings import LEVELS
from ctiforge.corpus.evidence import EvidenceKind
from ctiforge.corpus.recipe import CorpusRecipe, ModelQa


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "corpus.md").read_text("utf-8")


@pytest.fixture(scope="module")
def tables(page: str) -> str:
    return "".join(line for line in page.splitlines() if line.startswith("|"))


def test_every_setting_is_explained(tables: str) -> None:
    parts = [value for name in recipes.__all__ if hasattr(value := getattr(recipes, name), "model_fields")]
    assert CorpusRecipe in parts
    for part in parts:
        for name in part.model_fields:
            assert re.search(rf"[`.]{name}`", tables), f"{part.__name__}.{name}"


def test_every_stage_file_and_level_is_named(tables: str, tiny: Any) -> None:
    manifest = orjson.loads((tiny.report.folder / "manifest.json").read_bytes())
    files = {name if not name.startswith("plots/") else "plots/" for name in manifest["outputs"]}
    for name in [*files, *(stage["name"] for stage in manifest["stages"]), *LEVELS, *get_args(EvidenceKind)]:
        assert f"`{name}`" in tables


def test_every_reason_of_the_code_is_explained(tables: str, tiny: Any, repository: Path) -> None:
    folder = repository / "src" / "ctiforge" / "corpus"
    found = {reason for stage in tiny.report.stages for reason in stage.reasons}
    for name in ("labels", "model_qa"):
        found |= set(re.findall(r"(?:NoLabel|AnswerFault)\(\s*\"(\w+)\"", (folder / f"{name}.py").read_text("utf-8")))
    assert len(found) > 20
    for reason in found:
        assert f"`{reason}`" in tables


def test_the_example_of_model_qa_is_valid(page: str) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert ModelQa.model_validate(yaml.safe_load(block)["model_qa"]).records == 500
