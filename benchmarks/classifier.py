"""Measure the shipped classifiers: accuracy, calibration, drift, speed, memory, size. Writes a result file for each.

    .venv/bin/python benchmarks/classifier.py --data DIR [--model fast accurate] [--only PART ...]

DIR holds the files named in the models' recipes and ctibench/cti-rcm.tsv. CTI-Bench (CC BY-NC-SA 4.0) is read for this
evaluation only. Each part writes its section of benchmarks/results/classifier-MODEL.json; README.md is rendered from these
files by benchmarks/render_readme.py.
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

RESULTS = Path(__file__).parent / "results"

Part = Callable[[Path, str], dict[str, Any]]
PARTS: dict[str, Part] = {
    "cti_rcm": lambda data, model: measure_accuracy(data / "ctibench" / "cti-rcm.tsv", model),
    "dated": lambda data, model: measure_dated_splits(data, model, None if model == "fast" else "fast"),
    "feed": lambda data, model: measure_feed(data / "cve" / "vulnrichment.jsonl.xz", model, None if model == "fast" else 6000),
    "cold_start": lambda data, model: measure_cold_start(model),
    "install": lambda data, model: measure_install(None if model == "fast" else model),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", nargs="+", default=["fast", "accurate"], help="bundled models")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    for model in arguments.model:
        measure(model, arguments.data, arguments.only)


def measure(model: str, data: Path, parts: list[str]) -> None:
    """Measure some parts of a model and put them into its result file."""
    file = RESULTS / f"classifier-{model}.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    for part in parts:
        print(f"{model}: {part} ...", flush=True)
        results[part] = PARTS[part](data, model) | {
            "command": f"benchmarks/classifier.py --data DIR --model {model} --only {part}",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "ctiforge": __version__,
            "git_revision": git_revision(),
            "machine": describe_machine(),
        }
        print(json.dumps(results[part], indent=2), flush=True)
        results["packages"] = package_versions(["numpy", "onnxruntime", "orjson", "tokenizers"])
        write_json(file, results)


if __name__ == "__main__":
    main()
