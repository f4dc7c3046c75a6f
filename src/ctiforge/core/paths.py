"""Where the user's own data lives."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["user_data_dir"]


def user_data_dir() -> Path:
    """Return the folder for data that a user installs, such as a newer CWE catalogue; it need not exist yet.

    ``$CTIFORGE_HOME`` if set, else ``$XDG_DATA_HOME/ctiforge``, else ``~/.local/share/ctiforge``. A relative
    ``$XDG_DATA_HOME`` is ignored, as the XDG Base Directory Specification asks.
    """
    if home := os.environ.get("CTIFORGE_HOME"):
        return Path(home).expanduser()
    xdg = Path(os.environ.get("XDG_DATA_HOME", "")).expanduser()
    return (xdg if xdg.is_absolute() else Path("~/.local/share").expanduser()) / "ctiforge"
