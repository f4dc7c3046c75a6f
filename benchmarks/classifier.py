"""Measure the shipped classifier: accuracy, calibration, drift, speed, memory, size. Writes one result file.

    .venv/bin/python benchmarks/classifier.py --data DIR [--only PART ...]

DIR holds the files named in src/ctiforge/recipes/classifier-fast.yaml and ctibench/cti-rcm.tsv. CTI-Bench (CC BY-NC-SA 4.0)
is read for this evaluation only. Each part writes its section of benchmarks/results/classifier.json; README.md is rendered
from that file by benchmarks/render_readme.py.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accuracy import measure_accuracy, measure_dated_splits
from machine import describe_machine
from speed import measure_cold_start, measure_feed, measure_install

from ctiforge import __version__
from ctiforge.core.files import write_json
from ctiforge.core.manifest import git_revision, package_versions

RESULTS = Path(__file__).parent / "results" / "classifier.json"

PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "cti_rcm": lambda data: measure_accuracy(data / "ctibench" / "cti-rcm.tsv"),
    "dated": measure_dated_splits,
    "feed": lambda data: measure_feed(data / "cve" / "vulnrichment.jsonl.xz"),
    "cold_start": lambda data: measure_cold_start(),
    "install": lambda data: measure_install(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in arguments.only:
        print(f"{part} ...", flush=True)
        results[part] = PARTS[part](arguments.data) | {
            "command": f"benchmarks/classifier.py --data DIR --only {part}",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "ctiforge": __version__,
            "git_revision": git_revision(),
        }
        print(json.dumps(results[part], indent=2), flush=True)
        results["machine"] = describe_machine()
        results["packages"] = package_versions(["numpy", "orjson"])
        write_json(RESULTS, results)


if __name__ == "__main__":
    main()
