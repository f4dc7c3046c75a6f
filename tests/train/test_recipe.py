from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import get_args

import pytest
import yaml

from ctiforge.core.advisory import Party
from ctiforge.core.errors import RecipeError
from ctiforge.recipes.reading import bundled_recipe_path, bundled_recipes
from ctiforge.train.recipe import ClassifierRecipe, load_recipe

GOOD = """\
name: mine
description: A recipe for tests.
sources: [{path: a.jsonl, licence: CC0-1.0}]
exclude: [{path: b.tsv}]
party_order: [cna]
min_examples: 1
split: {development_from: 2099-07-01, test_from: 2099-10-01, reserved: {CVE-2099-5000: 2099-06-01}}
max_n: 2
min_documents: 1
fits:
  - {loss: softmax, share: 1, learning_rate: 300, batch_size: 128, epochs: 5}
  - {loss: squared_hinge, share: 1, learning_rate: 10, batch_size: 32, epochs: 4}
prune: 0
target_precision: 0.8
seed: 7
"""


@pytest.fixture
def fault(tmp_path: Path) -> Callable[[str], str]:
    """Load a recipe that must be refused, and return what the user reads."""

    def load(text: str) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(RecipeError) as caught:
            load_recipe(path)
        assert str(path) in str(caught.value)
        assert caught.value.fix
        return str(caught.value)

    return load


def test_a_good_recipe_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD, encoding="utf-8")
    recipe = load_recipe(path)
    assert recipe.split.development_from == date(2099, 7, 1)
    assert recipe.split.reserved == {"CVE-2099-5000": date(2099, 6, 1)}
    assert recipe.exclude[0].text_column is None
    # What the manifest keeps is enough to train again.
    assert ClassifierRecipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_any_party_may_be_learnt_from(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("[cna]", f"[{', '.join(get_args(Party))}]"), encoding="utf-8")
    assert load_recipe(path).party_order == list(get_args(Party))


def test_bundled_recipes_are_valid_and_commented() -> None:
    assert "classifier-fast" in bundled_recipes("classifier")
    for name in bundled_recipes("classifier"):
        recipe = load_recipe(name)
        assert recipe.description
        assert all(source.licence for source in recipe.sources)
        assert bundled_recipe_path(name).read_text("utf-8").startswith("#")


def test_the_shipped_model_learns_from_no_benchmark_and_excludes_every_ctibench_file() -> None:
    recipe = load_recipe("classifier-fast")
    assert not [source.path for source in recipe.sources if "ctibench" in source.path]
    excluded = {Path(each.path).name for each in recipe.exclude}
    assert excluded == {f"cti-{task}.tsv" for task in ("rcm", "rcm-2021", "vsp", "mcq", "ate", "taa")}


def test_every_fault_is_in_one_message(fault: Callable[[str], str]) -> None:
    text = fault(
        GOOD.replace("seed: 7", "sed: 7")
        .replace("licence", "licens")
        .replace("[cna]", "[cna, cisa]")
        .replace("prune: 0", "prune: 2")
        .replace("learning_rate: 300", "learning_rate: .inf")
        .replace("2099-10-01", "2099-06-31")
        .replace("CVE-2099-5000", "CVE-99-5")
    )
    lines = text.splitlines()
    assert "9 fault(s)" in lines[0]
    places = [line.split(":")[0].strip() for line in lines[1:10]]
    assert sorted(places) == [
        "fits.0.learning_rate",
        "party_order.1",
        "prune",
        "sed",
        "seed",
        "sources.0.licence",
        "sources.0.licens",
        "split.reserved.CVE-99-5",
        "split.test_from",
    ]
    assert "sed: unknown setting. did you mean 'seed'?" in text
    assert "sources.0.licens: unknown setting. did you mean 'licence'?" in text
    assert "seed: Field required" in text


def test_a_wrong_split_shows_beside_other_faults(fault: Callable[[str], str]) -> None:
    text = fault(GOOD.replace("2099-10-01", "2099-07-01").replace("max_n: 2", "max_n: 9"))
    assert "split.test_from: must be after development_from" in text
    assert "max_n: Input should be less than or equal to 4" in text


def test_an_unknown_setting_is_compared_with_its_neighbours(fault: Callable[[str], str]) -> None:
    text = fault(GOOD.replace("split: {", "split: {development_form: 2099-01-01, "))
    assert "split.development_form: unknown setting. did you mean 'development_from'?" in text
    assert "sources" not in text


def test_a_setting_like_no_other_gets_no_guess(fault: Callable[[str], str]) -> None:
    assert "zzz: unknown setting.\n" in fault(f"{GOOD}zzz: 1\n")


def test_a_setting_that_stands_twice_is_refused(fault: Callable[[str], str]) -> None:
    text = fault(f"{GOOD}seed: 8\n")
    assert "'seed' is set twice" in text
    assert f"line {GOOD.count(chr(10)) + 1}" in text


@pytest.mark.parametrize("text", ["", "just words", "- a\n- list", "42"])
def test_a_recipe_is_a_mapping(text: str, fault: Callable[[str], str]) -> None:
    assert "mapping" in fault(text)


@pytest.mark.parametrize("text", ["name: [", "\tname: x", "name: !!python/object/apply:os.getcwd []", "? [a]\n: 1\n"])
def test_what_is_not_plain_yaml_is_refused(text: str, fault: Callable[[str], str]) -> None:
    assert "not YAML" in fault(text)


def test_keys_other_than_text_are_faults(fault: Callable[[str], str]) -> None:
    assert "7: " in fault(f"{GOOD}7: 1\n")


@pytest.mark.parametrize("name", ["Mine", "", "a b", "../x", "-x"])
def test_a_model_name_is_short_and_plain(name: str, fault: Callable[[str], str]) -> None:
    assert "name: " in fault(GOOD.replace("name: mine", f'name: "{name}"'))


@pytest.mark.parametrize("empty", ["sources", "party_order"])
def test_lists_that_must_not_be_empty(empty: str, fault: Callable[[str], str]) -> None:
    settings = yaml.safe_load(GOOD) | {empty: []}
    assert f"{empty}: " in fault(yaml.safe_dump(settings))


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(RecipeError, match="did you mean 'classifier-fast'"):
        load_recipe("clasifier-fast")
    with pytest.raises(RecipeError, match=r"bundled recipes: .*classifier-fast"):
        load_recipe("qqq")


def test_a_folder_or_binary_file_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no readable file"):
        load_recipe(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="no readable file"):
        load_recipe(tmp_path / "binary.yaml")


def test_yaml_with_merge_keys_still_loads(tmp_path: Path) -> None:
    text = GOOD.replace("[{path: a.jsonl, licence: CC0-1.0}]", "[&a {path: a.jsonl, licence: MIT}, {<<: *a, path: c.jsonl}]")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert [(each.path, each.licence) for each in load_recipe(tmp_path / "mine.yaml").sources] == [
        ("a.jsonl", "MIT"),
        ("c.jsonl", "MIT"),
    ]
