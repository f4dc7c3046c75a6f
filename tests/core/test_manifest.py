from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from ctiforge.core import manifest
from ctiforge.core.manifest import git_revision, package_versions

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def test_package_versions() -> None:
    found = package_versions(["numpy", "no-such-package-anywhere"])
    assert found == {"python": platform.python_version(), "numpy": metadata.version("numpy")}


def git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=A", "-c", "user.email=a@vulns.example", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *settings, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that tracks `package/manifest.py`, from which the module believes to run."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "checkout"
    (folder / "package").mkdir(parents=True)
    file = folder / "package" / "manifest.py"
    file.write_text("one = 1\n", encoding="utf-8")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    monkeypatch.setattr(manifest, "__file__", str(file))
    return folder


@needs_git
def test_a_clean_checkout(checkout: Path) -> None:
    (checkout / "untracked.txt").write_text("notes", encoding="utf-8")
    assert git_revision() == git(checkout, "rev-parse", "HEAD")


@needs_git
def test_a_changed_checkout_says_so(checkout: Path) -> None:
    (checkout / "package" / "manifest.py").write_text("one = 2\n", encoding="utf-8")
    assert git_revision() == git(checkout, "rev-parse", "HEAD") + "+changes"


@needs_git
def test_an_installation_inside_another_checkout_is_not_of_it(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = checkout / ".venv" / "site-packages" / "manifest.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("one = 1\n", encoding="utf-8")
    monkeypatch.setattr(manifest, "__file__", str(installed))
    assert git_revision() is None


@needs_git
def test_outside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(manifest, "__file__", str(tmp_path / "manifest.py"))
    assert git_revision() is None


def test_without_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision() is None
