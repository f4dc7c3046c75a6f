"""docs/training.md names every setting, every reason and every part of the manifest, and its recipe is a valid one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ctiforge.train.recipe import ClassifierRecipe, Exclusion, InstructionSource, Source, Split, load_recipe


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "training.md").read_text("utf-8")


def test_the_recipe_in_the_page_is_valid_and_has_every_setting(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 1
    (tmp_path / "mine.yaml").write_text(blocks[0], encoding="utf-8")
    assert load_recipe(tmp_path / "mine.yaml").model_fields_set == set(ClassifierRecipe.model_fields)


def test_every_setting_is_explained(page: str) -> None:
    table = "".join(line for line in page.splitlines() if line.startswith("|"))
    for part in (ClassifierRecipe, Source, InstructionSource, Exclusion, Split):
        for name in part.model_fields:
            assert f"`{name}`" in table


def test_every_reason_and_every_part_of_the_manifest_is_explained(page: str, model: Any) -> None:
    table = "".join(line for line in page.splitlines() if line.startswith("|"))
    for name in [*model.manifest, *model.manifest["left_out"]]:
        assert f"`{name}`" in table
    assert set(re.findall(r"\| `(\w+)` \| CVEs", page)) <= {
        *model.manifest["left_out"],
        "benchmark_near_duplicate",
        "benchmark_shared_phrases",
    }
