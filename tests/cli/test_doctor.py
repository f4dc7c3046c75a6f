from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from ctiforge import __version__
from ctiforge.classify.classifier import BUNDLED_MODELS, bundled_model_path
from ctiforge.cli.commands import app
from ctiforge.cli.doctor import examine, render_findings
from ctiforge.core.errors import MissingExtraError
from ctiforge.core.paths import user_data_dir
from ctiforge.models.linear import QuantizedWeights, load_linear_model, write_linear_model
from ctiforge.sources.cwe import load_catalogue, shipped_table

DEVELOPMENT = {"from": "2099-07-01", "until": "2099-10-01", "n": 1234, "top1": 0.5, "top3": 0.75}


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments])


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small sound model in the place of the one that ships."""
    folder = tmp_path / "small"
    manifest: dict[str, Any] = {
        "name": "small",
        "labels": ["CWE-79", "CWE-89"],
        "max_n": 1,
        "calibration": {"mitre": {"temperature": 1.0, "slope": 1.0, "intercept": 0.0}},
        "threshold": {"mitre": 0.25, "nvd": 0.2},
        "cwe_version": "4.14",
        "development": {**DEVELOPMENT, "expected_calibration_error_15_bins": 0.0123},
    }
    ones = np.ones(2, np.float32)
    write_linear_model(folder, manifest, ["script", "sql"], QuantizedWeights(np.eye(2, dtype=np.int8), ones, ones, ones))
    monkeypatch.setattr("ctiforge.cli.doctor.BUNDLED_MODELS", ("small",))
    monkeypatch.setattr("ctiforge.cli.doctor.load_model", lambda name: load_linear_model(folder))
    return folder


def test_the_installation_under_test_is_well() -> None:
    missing = [name for name in BUNDLED_MODELS if not (bundled_model_path(name) / "manifest.json").exists()]
    if missing:
        pytest.skip(f"the package has no trained model yet: {', '.join(missing)}")
    result = doctor("--json")
    assert result.exit_code == 0, result.output
    findings = json.loads(result.stdout)
    assert findings["problems"] == []
    assert [each["name"] for each in findings["models"]] == list(BUNDLED_MODELS)
    for each in findings["models"]:
        assert len(each["digest"]) == 64
        assert each["labels"] > 100
        assert set(each["threshold"]) == {"mitre", "nvd"}
    assert "all well" in doctor().stdout


def test_findings_for_machines(model: Path) -> None:
    result = doctor("--json")
    assert result.exit_code == 0
    findings = json.loads(result.stdout)
    assert findings["ctiforge"] == __version__
    assert findings["packages"]["core"]["numpy"] == metadata.version("numpy")
    assert set(findings["packages"]) == {"core", "accurate", "train"}
    (found,) = findings["models"]
    assert (found["name"], found["labels"], found["trained_with_cwe"]) == ("small", 2, "4.14")
    assert found["development"]["n"] == 1234
    catalogue = load_catalogue(shipped_table())
    assert findings["cwe"] == {
        "version": "4.14",
        "date": catalogue.date,
        "digest": catalogue.digest,
        "path": str(shipped_table()),
    }
    assert findings["user_data"] == str(user_data_dir())
    assert findings["problems"] == []


def test_findings_for_people(model: Path) -> None:
    result = doctor()
    assert result.exit_code == 0
    for part in (
        f"ctiforge   {__version__}",
        "small: 2 CWEs, verified",
        "2099-07-01 to 2099-10-01, n=1,234: top-1 0.500, top-3 0.750",
        "calibration error 0.012 (15 bins)",
        "CWE        4.14",
    ):
        assert part in result.stdout
    assert result.stdout.rstrip().endswith("all well")
    assert "PROBLEM" not in result.stdout


@pytest.mark.parametrize("name", ["weights.npz", "vocabulary.txt"])
def test_a_changed_file_is_found(name: str, model: Path) -> None:
    damaged = bytearray((model / name).read_bytes())
    damaged[-1] ^= 1
    (model / name).write_bytes(damaged)
    result = doctor("--json")
    assert result.exit_code == 1
    findings = json.loads(result.stdout)
    assert findings["models"] == []
    (problem,) = findings["problems"]
    assert name in problem
    assert "SHA-256" in problem
    assert "fix:" in problem
    assert findings["cwe"]["version"] == "4.14"  # one problem does not hide the rest


def test_a_missing_model_is_found(model: Path) -> None:
    shutil.rmtree(model)
    result = doctor()
    assert result.exit_code == 1
    assert "PROBLEM" in result.stdout
    assert "manifest.json" in result.stdout
    assert "all well" not in result.stdout


def test_a_damaged_manifest_is_found(model: Path) -> None:
    (model / "manifest.json").write_text("{", encoding="utf-8")
    result = doctor("--json")
    assert result.exit_code == 1
    assert "manifest.json" in json.loads(result.stdout)["problems"][0]


def test_a_damaged_catalogue_is_found(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cwe.json").write_text("{", encoding="utf-8")
    monkeypatch.setenv("CTIFORGE_CWE", str(tmp_path / "cwe.json"))
    result = doctor("--json")
    assert result.exit_code == 1
    findings = json.loads(result.stdout)
    assert findings["cwe"] is None
    assert "cwe.json" in findings["problems"][0]
    assert [each["name"] for each in findings["models"]] == ["small"]
    assert "PROBLEM" in doctor().stdout


def test_a_package_that_is_not_installed_is_no_problem(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctiforge.cli.doctor._TRAIN", ("no-such-package-anywhere",))
    findings = examine()
    assert findings["packages"]["train"] == {"no-such-package-anywhere": None}
    assert findings["problems"] == []
    assert "no-such-package-anywhere missing" in render_findings(findings)


def test_a_model_whose_packages_are_not_installed_is_no_problem(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise MissingExtraError("onnxruntime", "accurate")

    monkeypatch.setattr("ctiforge.cli.doctor.load_model", missing)
    findings = examine()
    assert findings["problems"] == []
    assert findings["models"] == []
    assert findings["not_installed"] == {"small": "pip install 'ctiforge[accurate]'"}
    assert "model      small: pip install 'ctiforge[accurate]'" in render_findings(findings)
