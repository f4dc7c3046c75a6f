"""One tiny corpus, built once, shared by the tests of building."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ctiforge.corpus.pipeline import BuildReport, run_build
from ctiforge.corpus.recipe import CorpusRecipe, load_recipe
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.stages import StageEvent, StageStore, StageWriter
from ctiforge.sources.cwe import CweCatalogue, load_catalogue, shipped_table


@dataclass(frozen=True)
class TinyBuild:
    """A data folder, the recipe in it, what was built of it, and the names of `tiny_recipe.py`."""

    data: Path
    recipe: CorpusRecipe
    report: BuildReport
    events: list[StageEvent]
    module: dict[str, Any]


@pytest.fixture(scope="session")
def catalogue() -> CweCatalogue:
    """The shipped catalogue, whatever the user has installed."""
    return load_catalogue(shipped_table())


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, catalogue: CweCatalogue) -> TinyBuild:
    module = runpy.run_path(str(Path(__file__).with_name("tiny_recipe.py")))
    folder = tmp_path_factory.mktemp("data")
    recipe = load_recipe(module["write_tiny"](folder))
    events: list[StageEvent] = []
    out = tmp_path_factory.mktemp("corpus") / "out"
    report = run_build(recipe, folder, out, catalogue=catalogue, watch=events.append)
    return TinyBuild(folder, recipe, report, events, module)


@pytest.fixture
def make_record() -> Callable[..., CorpusRecord]:
    """Make a record with what the test cares about."""

    def make(record_id: str, text: str = "Some text.", label: str = "CWE-79", **fields: Any) -> CorpusRecord:
        given = {
            "kind": "rcm", "generator": "rcm", "prompt": "", "completion": "", "source_id": record_id.removeprefix("rcm/"),
            "source": "feed.jsonl", "source_sha256": "0" * 64, "licence": "CC0-1.0", "party": "cna", "date": "2099-01-01",
        }  # fmt: skip
        return CorpusRecord(id=record_id, text=text, label=label, **(given | fields))

    return make


@pytest.fixture
def run_stage(tmp_path: Path) -> Callable[[Callable[[StageWriter], None]], Any]:
    """Run a stage on its own, each time a new one, and return its result."""
    numbers = count()

    def run(work: Callable[[StageWriter], None]) -> Any:
        return StageStore(tmp_path / "stages").run("test", work, settings={}, inputs=[str(next(numbers))], code=())

    return run
