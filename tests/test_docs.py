"""Documents that are made from something else must not drift from it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from ctiforge.classify.classifier import BUNDLED_MODELS, bundled_model_path
from ctiforge.core.files import file_sha256

needs_model = pytest.mark.skipif(
    not (bundled_model_path("fast") / "manifest.json").exists(), reason="the bundled model is not in this checkout"
)


def test_the_command_reference_is_the_commands_own_help(repository: Path) -> None:
    made = runpy.run_path(str(repository / "docs" / "render_cli.py"))["render_cli"]()
    assert (repository / "docs" / "cli.md").read_text("utf-8") == made, "run: .venv/bin/python docs/render_cli.py"


@needs_model
def test_readme_shows_the_result_files_and_the_models_that_ship(repository: Path) -> None:
    script = runpy.run_path(str(repository / "benchmarks" / "render_readme.py"))
    results = script["load_results"]()
    readme = (repository / "README.md").read_text("utf-8")
    assert readme == script["rendered_readme"](readme, results), "run: .venv/bin/python benchmarks/render_readme.py"
    for name in BUNDLED_MODELS:
        shipped = file_sha256(bundled_model_path(name) / "manifest.json")
        assert results[name]["cti_rcm"]["model_digest"] == results[name]["dated"]["model_digest"] == shipped


@needs_model
def test_the_model_cards_show_the_manifests_and_the_result_files(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(repository / "benchmarks")
    script = runpy.run_path(str(repository / "benchmarks" / "render_cards.py"))
    for name in BUNDLED_MODELS:
        for file, wanted in script["rendered"](script["load_subject"](name)).items():
            committed = (script["CARDS"] / file).read_text("utf-8")
            # Another matplotlib draws other bytes, but a picture's last line says what numbers it shows.
            same = committed == wanted if file.endswith(".md") else committed.splitlines()[-1] == wanted.splitlines()[-1]
            assert same, f"{file}: run: .venv/bin/python benchmarks/render_cards.py"


def test_the_leaderboard_and_the_pages_with_measurements_show_the_records(repository: Path) -> None:
    script = runpy.run_path(str(repository / "benchmarks" / "render_benchmarks.py"))
    for path, wanted in script["rendered"]().items():
        assert path.read_text("utf-8") == wanted, "run: .venv/bin/python benchmarks/render_benchmarks.py"


def test_links_between_documents_lead_somewhere(repository: Path) -> None:
    broken = []
    for document in [*repository.glob("*.md"), *(repository / "docs").rglob("*.md"), *(repository / "examples").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
            if "://" not in target and not target.startswith("mailto:") and not (document.parent / target).exists():
                broken.append(f"{document.relative_to(repository)}: {target}")
    assert not broken
