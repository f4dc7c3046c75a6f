from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ctiforge.cli.commands import app
from ctiforge.core.errors import InputError, RecipeError, SettingError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["corpus", *map(str, arguments)])


def output(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The folder of the tiny recipe that the tests of building use."""
    folder = tmp_path_factory.mktemp("data")
    runpy.run_path(str(repository / "tests" / "corpus" / "tiny_recipe.py"))["write_tiny"](folder)
    return folder


@pytest.fixture(scope="module")
def built(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("out") / "tiny"
    return run("build", data / "recipe.yaml", "--data", data, "--out", out), out


def test_ls_names_and_describes() -> None:
    listed = output("ls")
    assert re.search(r"^corpus-card-2021  CVE-to-CWE", listed, re.MULTILINE)
    assert "corpus-full" in listed
    assert "classifier" not in listed


def test_cp_keeps_the_comments_and_the_copy_is_valid(tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    assert f"ctiforge corpus validate {target}" in output("cp", "corpus-full", target)
    assert target.read_text("utf-8").startswith("# ")
    assert "valid recipe for 'full'" in output("validate", target)
    assert isinstance(run("cp", "corpus-full", target).exception, InputError)
    assert isinstance(run("cp", "classifier-fast", tmp_path / "other.yaml").exception, RecipeError)


def test_validate_shows_every_fault(tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    output("cp", "corpus-full", target)
    text = target.read_text("utf-8").replace("seed: 42", "sede: 42").replace("max_per_label: 4000", "max_per_label: 0")
    target.write_text(text, encoding="utf-8")
    result = run("validate", target)
    assert isinstance(result.exception, RecipeError)
    assert "3 fault(s)" in str(result.exception)


def test_build_says_what_it_made(built: tuple[Result, Path]) -> None:
    result, out = built
    assert result.exit_code == 0, result.output
    assert re.search(rf"{re.escape(str(out))}: \d+ records to train on, \d+ for development", result.stdout)
    assert "done again: 8 of 8 stages" in result.stdout
    assert f"ctiforge corpus audit {out / 'train.jsonl'} --against" in result.stdout
    steps = result.stderr.splitlines()
    assert all(re.match(r"\[ *\d+\.\d s\] ", step) for step in steps)
    assert steps[0].endswith("read-cves")


def test_a_second_build_says_what_it_skipped(built: tuple[Result, Path], data: Path) -> None:
    result = run("build", data / "recipe.yaml", "--data", data, "--out", built[1])
    assert "done again: 0 of 8 stages" in result.stdout
    assert "skipped, because nothing they depend on changed: read-cves, label-cves" in result.stdout
    assert "read-cves: skipped, nothing changed" in result.stderr


def test_the_audit_that_it_names_finds_nothing_forbidden(built: tuple[Result, Path], data: Path) -> None:
    levels = "exact_id,exact_text,near_duplicate"
    result = run("audit", built[1] / "train.jsonl", "--against", data / "bench.tsv", "--forbid", levels)
    assert result.exit_code == 0, result.output


def test_user_errors(data: Path, tmp_path: Path) -> None:
    missing = run("build", data / "recipe.yaml", "--data", tmp_path, "--out", tmp_path / "out")
    assert (missing.exit_code, type(missing.exception)) == (1, InputError)
    assert isinstance(run("build", "corpus-ful", "--data", data, "--out", tmp_path / "out").exception, RecipeError)
    url = "http://127.0.0.1:9/v1"
    asked = run("build", data / "recipe.yaml", "--data", data, "--out", tmp_path / "out", "--model", url)
    assert isinstance(asked.exception, SettingError)
    assert run("build", data / "recipe.yaml").exit_code == 2
    assert list(tmp_path.iterdir()) == []
