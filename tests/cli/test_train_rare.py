from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from ctiforge.classify.classifier import bundled_model_path
from ctiforge.cli.commands import app
from ctiforge.core.errors import ModelError

pytest.importorskip("cwe2")
pytestmark = pytest.mark.skipif(
    not (bundled_model_path("fast") / "manifest.json").exists(), reason="the bundled model is not in this checkout"
)

AGING = "In Merlin Vault 1.2, Password aging is not enforced: passwords of service accounts never expire."


def test_a_model_gets_a_table_and_names_what_it_has_no_label_for(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(bundled_model_path("fast"), model)
    made = CliRunner().invoke(app, ["train", "rare", "--model", str(model)])
    assert made.exit_code == 0, made.output
    assert "entries of CWE 4.14" in made.stdout
    assert (model / "rare.npz").stat().st_size < 500_000
    records = []
    for each in ("fast", str(model)):
        shown = CliRunner().invoke(app, ["classify", AGING, "--model", each, "-q"])
        assert shown.exit_code == 0, shown.output
        records.append(orjson.loads(shown.stdout))
    plain, with_table = records
    assert plain["reason"] == "low_probability"
    assert "CWE-262" in [each["cwe_id"] for each in with_table.pop("rare_candidates")]
    assert with_table == plain


def test_a_higher_floor_names_fewer(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(bundled_model_path("fast"), model)
    made = CliRunner().invoke(app, ["train", "rare", "--model", str(model), "--floor", "0.99"])
    assert made.exit_code == 0, made.output
    shown = CliRunner().invoke(app, ["classify", AGING, "--model", str(model), "-q"])
    assert "rare_candidates" not in orjson.loads(shown.stdout)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "rare", "--model", str(tmp_path)])
    assert isinstance(result.exception, ModelError)
