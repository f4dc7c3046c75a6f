"""docs/training-lora.md names every recipe, every setting and every option."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctiforge.recipes.reading import bundled_recipes
from ctiforge.train import lora_recipe


@pytest.fixture(scope="module")
def table(repository: Path) -> str:
    page = (repository / "docs" / "training-lora.md").read_text("utf-8")
    return "".join(line for line in page.splitlines() if line.startswith("|"))


def test_every_recipe_is_listed(table: str) -> None:
    for name in bundled_recipes("lora"):
        assert f"`{name.removeprefix('lora-')}`" in table


def test_every_setting_is_explained(table: str) -> None:
    parts = (
        lora_recipe.LoraRecipe,
        lora_recipe.Base,
        lora_recipe.Lora,
        lora_recipe.Optimization,
        lora_recipe.Batches,
        lora_recipe.Evaluation,
        lora_recipe.Stage,
    )
    for part in parts:
        for name in part.model_fields:
            assert f"`{name}`" in table, f"{part.__name__}.{name}"
