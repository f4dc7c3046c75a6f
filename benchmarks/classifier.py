"""Measure the shipped classifiers: accuracy, calibration, drift, speed, memory, size. Writes a result file for each.

    .venv/bin/python benchmarks/classifier.py --data DIR [--model fast accurate] [--only PART ...] [--encoder DIR]

The data folder holds the files named in the models' recipes and ctibench/cti-rcm.tsv. CTI-Bench (CC BY-NC-SA 4.0) is read
for this evaluation only. Each part writes its section of benchmarks/results/classifier-MODEL.json; README.md and the model
cards are rendered from these files by benchmarks/render_readme.py and benchmarks/render_cards.py. Speed means nothing on a
busy machine: the load average stands beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accuracy import measure_accuracy
from dated import measure_dated_splits
from energy import estimate_energy
from int8 import measure_int8
from machine import describe_machine
from side_by_side import measure_side_by_side
from speed import measure_cold_start, measure_feed, measure_install

from ctiforge import __version__
from ctiforge.classify.classifier import BUNDLED_MODELS, load_model
from ctiforge.core.errors import CtiforgeError
from ctiforge.core.files import write_json
from ctiforge.core.manifest import git_revision, package_versions

RESULTS = Path(__file__).parent / "results"
_FEED_RECORDS_WITH_AN_ENCODER = 6000


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured, on what data.

    Attributes:
        model: a bundled model's name, or the path of a model folder.
        encoder: folder of the trained encoder, with its fp32 model; None if it is not at hand.
        results: what was measured of the model before, by part.
    """

    model: str
    data: Path
    encoder: Path | None
    results: dict[str, Any]

    @property
    def is_fast(self) -> bool:
        """Whether this is the model that others are compared with."""
        return self.model == "fast"

    @property
    def tsv(self) -> Path:
        """The benchmark's file."""
        return self.data / "ctibench" / "cti-rcm.tsv"

    @property
    def vulnrichment(self) -> Path:
        """A feed of whole CVE records."""
        return self.data / "cve" / "vulnrichment.jsonl.xz"


PARTS: dict[str, Callable[[Subject], dict[str, Any]]] = {
    "cti_rcm": lambda it: measure_accuracy(it.tsv, it.vulnrichment, it.model),
    "dated": lambda it: measure_dated_splits(it.data, it.model, None if it.is_fast else "fast"),
    "int8": lambda it: measure_int8(it.tsv, it.model, it.encoder),
    "feed": lambda it: (
        measure_feed(it.vulnrichment, it.model)
        if it.is_fast
        else measure_feed(it.vulnrichment, it.model, _FEED_RECORDS_WITH_AN_ENCODER, runs=1)
    ),
    "energy": lambda it: estimate_energy(it.results.get("feed"), it.encoder),
    "cold_start": lambda it: measure_cold_start(it.model),
    "side_by_side": lambda it: measure_side_by_side(it.data / "cve" / "trickest-cve-1999-2025.jsonl.xz", it.model),
    "install": lambda it: measure_install(None if it.is_fast else "accurate"),
}
WITH_AN_ENCODER_ONLY = ("int8", "side_by_side")


def parts_of(model: str) -> list[str]:
    """Return the parts that are measured of a model unless others are asked for, in order."""
    return [part for part in PARTS if model != "fast" or part not in WITH_AN_ENCODER_ONLY]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", nargs="+", default=list(BUNDLED_MODELS), help="bundled names or paths of model folders")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="default: all parts that a model has")
    parser.add_argument("--encoder", type=Path, help="folder of the trained encoder: its fp32 model and training time")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    revision = git_revision()  # before the first result file changes
    for model in arguments.model:
        encoder = None if model == "fast" else arguments.encoder
        try:
            measure(model, arguments.data, encoder, arguments.only or parts_of(model), arguments.out, revision)
        except CtiforgeError as error:
            sys.exit(str(error))


def measure(model: str, data: Path, encoder: Path | None, parts: list[str], out: Path, revision: str | None) -> None:
    """Measure some parts of a model and put them into its result file."""
    load_model(model)  # a missing or damaged model is told before the first part
    name = Path(model).name
    file = out / f"classifier-{name}.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for part in parts:
        print(f"{name}: {part} ...", flush=True)
        started = time.perf_counter()
        results[part] = PARTS[part](Subject(model, data, encoder, results)) | {
            "command": f"benchmarks/classifier.py --data DIR --model {name} --only {part}",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "part_took_s": round(time.perf_counter() - started, 1),
            "ctiforge": __version__,
            "git_revision": revision,
            "machine": describe_machine(),
        }
        print(json.dumps(results[part], indent=2), flush=True)
        results["packages"] = package_versions(["numpy", "onnxruntime", "orjson", "tokenizers"])
        write_json(file, results)


if __name__ == "__main__":
    main()
