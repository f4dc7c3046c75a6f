from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from ctiforge.core.errors import RecipeError
from ctiforge.corpus.recipe import CorpusRecipe, load_recipe
from ctiforge.recipes.reading import bundled_recipe_path, bundled_recipes

GOOD: str = runpy.run_path(str(Path(__file__).with_name("tiny_recipe.py")))["RECIPE"]
CTIBENCH = {f"ctibench/cti-{task}.tsv" for task in ("rcm", "rcm-2021", "vsp", "mcq", "ate", "taa")}


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], CorpusRecipe]:
    def load(text: str) -> CorpusRecipe:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return load_recipe(path)

    return load


@pytest.fixture
def fault(load: Callable[[str], CorpusRecipe]) -> Callable[[str], str]:
    def fault(text: str) -> str:
        with pytest.raises(RecipeError) as caught:
            load(text)
        assert caught.value.fix
        return str(caught.value)

    return fault


def test_a_good_recipe_loads_and_survives_the_manifest(load: Callable[[str], CorpusRecipe]) -> None:
    recipe = load(GOOD)
    assert CorpusRecipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize("name", bundled_recipes("corpus"))
def test_bundled_recipes_are_commented_clean_and_say_the_task_in_six_ways(name: str) -> None:
    recipe = load_recipe(name)
    assert bundled_recipe_path(name).read_text("utf-8").startswith("#")
    assert set(recipe.decontaminate.against) == CTIBENCH
    assert {"exact_id", "exact_text", "near_duplicate"} <= set(recipe.decontaminate.remove)
    assert recipe.rcm is not None
    assert len({each.text for each in recipe.rcm.instructions}) >= 6
    assert all(source.licence for source in recipe.sources)
    assert not [source.path for source in recipe.sources if source.path.startswith(("ctibench/", "published/"))]


def test_all_recipes_are_bundled_and_kinds_do_not_mix() -> None:
    assert set(bundled_recipes("corpus")) == {"corpus-card-2021", "corpus-full", "corpus-nvd"}
    assert not set(bundled_recipes("corpus")) & set(bundled_recipes("classifier"))
    with pytest.raises(RecipeError, match="no recipe named"):
        load_recipe("classifier-fast")


def test_five_faults_are_five(fault: Callable[[str], str]) -> None:
    text = fault(
        GOOD.replace("seed: 7", "seed: x")
        .replace("first: 2098, last: 2099", "first: 2099, last: 2098")
        .replace("exact_text", "exact_txt")
        .replace("min_support", "min_suport")
        .replace("{description} Which CWE is it?", "Which CWE is it?")
    )
    assert text.splitlines()[0].endswith("5 fault(s)")
    places = sorted(line.split(":")[0].strip() for line in text.splitlines()[1:6])
    assert places == [
        "decontaminate.remove.1",
        "rcm.instructions.1.text",
        "rcm.labels.min_suport",
        "rcm.years.last",
        "seed",
    ]
    assert "unknown setting. did you mean 'min_support'?" in text
    assert "lacks {description}" in text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("bench.tsv", "feeds/records.jsonl", "nothing learns from a benchmark"),
        ("which is {name}", "which is it", "lacks {name}"),
        ("The best fit is {name}.", "The best {fit} is {name}.", "has {fit}"),
        ("The best fit is {name}.", "The best { is {name}.", "not a template"),
        ("remove: [exact_id, exact_text, near_duplicate]", "remove: []", "at least 1 item"),
        ("min_support: 3", "min_support: 3, view: 1003", "rcm.labels.view"),
        ("min_support: 3", "min_support: 3, view: View-1003x", "not a CWE view"),
        ("2099-10-01, object", "2099-13-01, object", "split.cve_development_from"),
        ("near_duplicate: 0.95", "near_duplicate: 0", "greater than 0"),
    ],
)
def test_a_fault_says_what_is_wrong(old: str, new: str, said: str, fault: Callable[[str], str]) -> None:
    assert GOOD.count(old) == 1
    assert said in fault(GOOD.replace(old, new))


def test_questions_are_checked_too(fault: Callable[[str], str]) -> None:
    qa = "qa:\n  sources: [{kind: capec, licence: x}]\n  generators: [weakness-definitio]\n"
    text = fault(GOOD + qa)
    assert "qa.sources.0.path: names no file" in text
    assert "did you mean 'weakness-definition' or" in text


def test_there_must_be_something_to_build(fault: Callable[[str], str]) -> None:
    start, rest = GOOD.split("rcm:\n")
    assert "nothing to build" in fault(start + rest[rest.index("deduplicate:") :])


def test_rcm_needs_sources(fault: Callable[[str], str]) -> None:
    lines = [line for line in GOOD.splitlines() if "feeds/" not in line and line != "sources:"]
    assert "rcm: needs sources" in fault("\n".join(lines))
