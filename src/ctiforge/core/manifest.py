"""What every artefact folder says about itself: how it was made, from what, with which versions."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

__all__ = ["git_revision", "package_versions"]


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the installed version of each package, Python included; absent packages are left out."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_revision() -> str | None:
    """Return the git revision that this code runs from, with ``+changes`` if files differ, or None outside a checkout.

    A package installed below somebody else's checkout (in a virtual environment, say) is not that checkout's: None too.
    """
    file = Path(__file__)
    folder = file.parent
    try:
        _git(folder, "ls-files", "--error-unmatch", file.name)
        revision = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{revision}+changes" if changed else revision


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
