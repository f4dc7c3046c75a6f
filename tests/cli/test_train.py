from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ctiforge.classify.classifier import bundled_model_path
from ctiforge.cli.commands import app
from ctiforge.core.errors import InputError, RecipeError
from ctiforge.core.files import file_sha256


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def output(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The folder of the tiny corpus that the tests of training use."""
    module: dict[str, Any] = runpy.run_path(str(repository / "tests" / "train" / "tiny_corpus.py"))
    folder = tmp_path_factory.mktemp("corpus")
    module["write_tiny_corpus"](folder)
    return folder


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """What the command printed, and the folder it wrote."""
    out = tmp_path_factory.mktemp("out") / "tiny"
    return run("classifier", "--recipe", corpus / "recipe.yaml", "--data", corpus, "--out", out), out


class TestRecipes:
    def test_ls_names_and_describes(self) -> None:
        assert re.search(r"^classifier-fast  A linear model", output("ls"), re.MULTILINE)

    def test_cp_keeps_the_comments_and_the_copy_is_valid(self, tmp_path: Path) -> None:
        target = tmp_path / "mine.yaml"
        assert f"ctiforge train validate {target}" in output("cp", "classifier-fast", target)
        assert target.read_text("utf-8").startswith("# ")
        assert "valid recipe for 'fast'" in output("validate", target)

    def test_cp_overwrites_nothing(self, tmp_path: Path) -> None:
        target = tmp_path / "mine.yaml"
        target.write_text("my own", encoding="utf-8")
        result = run("cp", "classifier-fast", target)
        assert result.exit_code == 1
        assert isinstance(result.exception, InputError)
        assert f"{target}: exists already" in str(result.exception)
        assert target.read_text("utf-8") == "my own"

    def test_cp_into_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        result = run("cp", "classifier-fast", tmp_path / "gone" / "mine.yaml")
        assert isinstance(result.exception, InputError)
        assert "cannot write" in str(result.exception)

    def test_cp_takes_bundled_recipes_only(self, tmp_path: Path) -> None:
        (tmp_path / "mine.yaml").write_text("name: mine", encoding="utf-8")
        for name in ("clasifier-fast", tmp_path / "mine.yaml"):
            result = run("cp", name, tmp_path / "copy.yaml")
            assert isinstance(result.exception, RecipeError)
            assert "classifier-fast" in str(result.exception.fix)
        assert not (tmp_path / "copy.yaml").exists()

    def test_validate_shows_every_fault(self, tmp_path: Path) -> None:
        target = tmp_path / "mine.yaml"
        output("cp", "classifier-fast", target)
        target.write_text(target.read_text("utf-8").replace("max_n: 2", "max_n: 0").replace("seed:", "sede:"), encoding="utf-8")
        result = run("validate", target)
        assert isinstance(result.exception, RecipeError)
        for part in ("3 fault(s)", "max_n: ", "sede: unknown setting. did you mean 'seed'?", "seed: Field required"):
            assert part in str(result.exception)
        assert output("validate", "classifier-fast").startswith("classifier-fast: a valid recipe")


class TestClassifier:
    def test_it_says_what_it_made(self, trained: tuple[Result, Path]) -> None:
        result, out = trained
        assert result.exit_code == 0, result.output
        assert f"{out}: 4 labels" in result.stdout
        assert f"sha256 {file_sha256(out / 'manifest.json')}" in result.stdout
        development = json.loads((out / "manifest.json").read_bytes())["development"]
        assert f"n={development['n']}: top-1 {development['top1']:.4f}, top-3 {development['top3']:.4f}" in result.stdout
        assert f"ctiforge classify --model {out}" in result.stdout

    def test_progress_goes_to_stderr(self, trained: tuple[Result, Path]) -> None:
        steps = trained[0].stderr.splitlines()
        assert all(re.match(r"\[ *\d+\.\d s\] ", step) for step in steps)
        assert steps[0].endswith("reading the feeds")
        assert steps[-1].endswith("done")

    def test_the_command_it_ends_with_works(self, trained: tuple[Result, Path]) -> None:
        result, out = trained
        text = re.search(r"ctiforge classify --model \S+ '(.+)'", result.stdout)
        assert text
        answered = CliRunner().invoke(
            app, ["classify", "--model", str(out), "--threshold", "0", "-o", "jsonl", text[1] + " of Frobnicator"]
        )
        assert answered.exit_code == 0, answered.output
        answer = json.loads(answered.stdout)
        assert "CWE-89" in [each["cwe_id"] for each in answer["suggestions"][:2]]
        assert answer["model"] == "tiny"
        assert answer["model_digest"] in result.stdout

    def test_several_teachers_one_of_them_a_blend_with_a_shipped_part(
        self, corpus: Path, trained: tuple[Result, Path], repository: Path, tmp_path: Path
    ) -> None:
        pytest.importorskip("onnxruntime")
        module = runpy.run_path(str(repository / "tests" / "train" / "tiny_corpus.py"))
        data = shutil.copytree(corpus, tmp_path / "data")
        with (data / "feeds" / "records.jsonl").open("a") as file:
            for i in range(30):
                text = f"SQL injection in Frobnicator {i} lets attackers run database queries through the search box."
                file.write(json.dumps(module["record"](f"CVE-2099-{70_000 + i}", text, date(2099, 2, 1), None)) + "\n")
        (data / "recipe.yaml").write_text((data / "recipe.yaml").read_text() + "teacher: {since: 2099-01-01}\n")
        teachers = [trained[1], bundled_model_path("accurate")]
        named = [word for each in teachers for word in ("--teacher", each)]
        said = output("classifier", "--recipe", data / "recipe.yaml", "--data", data, "--out", tmp_path / "out", *named)
        assert "4 labels" in said
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
        assert [each["digest"] for each in manifest["teachers"]] == [file_sha256(each / "manifest.json") for each in teachers]
        assert manifest["examples"]["taught"] >= 30

    def test_user_errors(self, corpus: Path, tmp_path: Path) -> None:
        result = run("classifier", "--recipe", corpus / "recipe.yaml", "--data", tmp_path, "--out", tmp_path / "out")
        assert (result.exit_code, type(result.exception)) == (1, InputError)
        result = run("classifier", "--recipe", "nope", "--data", corpus, "--out", tmp_path / "out")
        assert (result.exit_code, type(result.exception)) == (1, RecipeError)
        assert run("classifier", "--data", corpus).exit_code == 2
        assert list(tmp_path.iterdir()) == []


def command_without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process in which `package` cannot be imported, as where the extra is not installed."""
    code = f"import sys; sys.modules[{package!r}] = None; from ctiforge.cli import main; main()"
    command = [sys.executable, "-c", code, "train", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("scipy", ("classifier", "--data", ".", "--out", "never")),
        ("yaml", ("ls",)),
        ("yaml", ("validate", "classifier-fast")),
        ("yaml", ("cp", "classifier-fast", "never.yaml")),
    ],
)
def test_a_missing_extra_is_named_with_the_command_that_installs_it(package: str, arguments: tuple[str, ...]) -> None:
    child = command_without(package, *arguments)
    assert child.returncode == 1
    assert child.stdout == ""
    assert child.stderr == (
        f"ctiforge: this command needs '{package}', which is not installed\n  fix: pip install 'ctiforge[train]'\n"
    )


def test_a_bug_in_an_import_of_ours_keeps_its_traceback() -> None:
    child = command_without("ctiforge.train.recipe", "ls")
    assert child.returncode == 1
    assert "Traceback" in child.stderr
    assert "pip install" not in child.stderr
