"""The machine that numbers were measured on."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from ctiforge.core.processes import default_workers

__all__ = ["describe_machine"]


def describe_machine() -> dict[str, Any]:
    """Return processor, cores and system, without names that identify the machine."""
    return {
        "processor": _processor(),
        "cores": default_workers(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
