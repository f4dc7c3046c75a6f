"""Recipes for LoRA: the bundled ones say what the model cards say, and every fault of one's own is found at once."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from ctiforge.core.errors import RecipeError
from ctiforge.recipes.reading import bundled_recipe_path, bundled_recipes
from ctiforge.train.lora_recipe import is_lora_recipe, load_lora_recipe

CARD_RECIPES = ("gemma4defense-2b", "gemma4defense-2b-stages", "cybersecqwen-4b")


@pytest.fixture(scope="module")
def tiny() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).with_name("tiny_lora.py")))


@pytest.mark.parametrize("name", bundled_recipes("lora"))
def test_a_bundled_recipe_is_found_by_its_short_name_and_by_its_file(name: str) -> None:
    short = name.removeprefix("lora-")
    assert load_lora_recipe(short) == load_lora_recipe(name) == load_lora_recipe(bundled_recipe_path(name))
    assert load_lora_recipe(short).name == short
    assert is_lora_recipe(short)
    assert is_lora_recipe(str(bundled_recipe_path(name)))


@pytest.mark.parametrize("name", CARD_RECIPES)
def test_the_settings_of_the_model_cards(name: str) -> None:
    recipe = load_lora_recipe(name)
    assert (recipe.lora.rank, recipe.lora.alpha, recipe.lora.dropout) == (64, 64, 0.05)
    assert recipe.lora.targets == ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    assert (recipe.optimization.learning_rate, recipe.optimization.schedule) == (5e-5, "cosine")
    assert (recipe.optimization.warmup_ratio, recipe.optimization.weight_decay) == (0.05, 0.01)
    assert (recipe.batches.size, recipe.batches.accumulation, recipe.batches.max_tokens) == (2, 8, 4096)
    assert (recipe.precision, recipe.attention, recipe.seed) == ("bf16", "sdpa", 42)
    epochs = [stage.epochs for stage in recipe.stages]
    assert epochs == ([5, 2, 3, 5] if name.endswith("stages") else [10])


def test_the_encoder_recipes_are_no_lora_recipes() -> None:
    assert not is_lora_recipe("encoder-accurate")
    assert not is_lora_recipe(str(bundled_recipe_path("encoder-accurate")))
    assert not is_lora_recipe("no-such-recipe")


def test_every_fault_is_named_at_once(tiny: dict[str, Any], tmp_path: Path) -> None:
    text = bundled_recipe_path("lora-smoke").read_text("utf-8").replace("warmup_ratio", "warm_up_ratio")
    file = tiny["write_recipe"](tmp_path / "mine.yaml", text, rank="0", precision="fp8")
    with pytest.raises(RecipeError) as error:
        load_lora_recipe(file)
    message = str(error.value)
    for part in ("lora.rank", "precision", "optimization.warm_up_ratio: unknown setting. did you mean 'warmup_ratio'"):
        assert part in message


def test_gemma_4_refuses_flash_attention_2(tiny: dict[str, Any], tmp_path: Path) -> None:
    text = bundled_recipe_path("lora-gemma4defense-2b").read_text("utf-8")
    with pytest.raises(RecipeError, match="heads of 256 and 512"):
        load_lora_recipe(tiny["write_recipe"](tmp_path / "mine.yaml", text, attention="flash_attention_2"))


def test_two_stages_of_one_name_are_refused(tmp_path: Path) -> None:
    text = bundled_recipe_path("lora-smoke").read_text("utf-8").replace("name: combined", "name: rcm")
    (tmp_path / "mine.yaml").write_text(text, "utf-8")
    with pytest.raises(RecipeError, match="two stages have the same name"):
        load_lora_recipe(tmp_path / "mine.yaml")
