"""Energy, estimated: processor seconds that were measured, times a power that was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["WATTS_PER_CORE", "estimate_energy"]

WATTS_PER_CORE = 4.4
_ASSUMED = "280 W (TDP of a server processor with 64 cores) shared equally by its cores; memory, disks and cooling left out"


def estimate_energy(feed: dict[str, Any] | None, encoder: Path | None) -> dict[str, Any]:
    """Return watt-hours for 1,000 records, and for the encoder's training if its folder is at hand.

    Args:
        feed: the result of `speed.measure_feed`, with the processor seconds of all processes.
        encoder: folder that ``ctiforge train encoder`` wrote, with ``run/timing.json``.
    """
    found: dict[str, Any] = {"measured": False, "watts_per_core": WATTS_PER_CORE, "assumed": _ASSUMED}
    seconds = (feed or {}).get("cpu_seconds_all_processes")
    if feed is not None and seconds is not None:
        each = 1000 * seconds / feed["records"]
        found |= {
            "cpu_seconds_per_1000_records": round(each, 2),
            "watt_hours_per_1000_records": round(each * WATTS_PER_CORE / 3600, 4),
        }
    if encoder is not None and (encoder / "run" / "timing.json").is_file():
        found["training_of_the_encoder"] = _training(encoder)
    return found


def _training(encoder: Path) -> dict[str, Any]:
    """Return the time that the encoder's own fit took, and what that may have cost on a CPU; of a GPU nothing is assumed."""
    wall = sum(json.loads((encoder / "run" / "timing.json").read_bytes()).values())
    fit = json.loads((encoder / "manifest.json").read_bytes())["fit"]
    found = {"wall_hours": round(wall / 3600, 2), "device": fit["device"]}
    if fit["device"] != "cpu":
        return found
    hours = wall * fit["threads"] / 3600
    return found | {
        "threads": fit["threads"],
        "core_hours_at_most": round(hours, 2),
        "watt_hours": round(hours * WATTS_PER_CORE, 1),
    }
