"""The wheel as a user gets it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DATA_LIMIT = 40_000_000
CODE_SUFFIXES_THAT_RUN = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".so", ".dll")


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    # hatchling without pip: nothing is fetched, and the build sees what is in the checkout.
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_carries_what_the_licence_and_type_checkers_need(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "ctiforge/py.typed" in names
    for name in ("LICENSE", "NOTICE"):
        (path,) = [each for each in names if each.endswith(f".dist-info/licenses/{name}")]
        assert len(wheel.read(path)) > 500


def test_wheel_carries_every_data_file_of_the_package(wheel: zipfile.ZipFile, repository: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "src"], cwd=repository, capture_output=True, text=True, timeout=60, check=False
    )
    if tracked.returncode != 0 or not tracked.stdout:
        pytest.skip("not a git checkout, so there is no list to compare with")
    expected = {name.removeprefix("src/") for name in tracked.stdout.split("\0") if name and (repository / name).exists()}
    assert "ctiforge/classify/outputs/prediction.schema.json" in expected
    assert expected - set(wheel.namelist()) == set()


def test_wheel_carries_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"ctiforge"}
    assert [name for name in names if name.endswith((".part", ".pyc")) or "/tests/" in name] == []


def test_nothing_in_the_wheel_can_run_when_loaded(wheel: zipfile.ZipFile) -> None:
    """Models are arrays and JSON; a pickle is a program."""
    assert [name for name in wheel.namelist() if name.endswith(CODE_SUFFIXES_THAT_RUN)] == []


def test_package_data_stays_small(wheel: zipfile.ZipFile) -> None:
    """Both models, the catalogue and everything else that is not code have 40 MB at most."""
    sizes = {item.filename: item.file_size for item in wheel.infolist() if not item.filename.endswith(".py")}
    assert sum(sizes.values()) <= DATA_LIMIT, sorted(sizes.items(), key=lambda item: -item[1])[:5]


def test_metadata_declares_the_light_core_only(wheel: zipfile.ZipFile) -> None:
    (name,) = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
    lines = wheel.read(name).decode().splitlines()
    required = {
        line.removeprefix("Requires-Dist: ").split(">")[0].split(";")[0].strip()
        for line in lines
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    }
    assert required == {"numpy", "orjson", "pystemmer", "rich", "typer", "zstandard"}
    assert "License-Expression: Apache-2.0" in lines
    (entry_points,) = [each for each in wheel.namelist() if each.endswith("entry_points.txt")]
    assert "ctiforge = ctiforge.cli:main" in wheel.read(entry_points).decode()
