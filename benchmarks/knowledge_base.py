"""The knowledge base: build time, peak memory, latency of a search, and whether the right object is found.

    python benchmarks/knowledge_base.py --data DIR [--no-embeddings] [--kb DIR] [--out FILE]

DIR holds `attack/`, `cve/` and `ctibench/`. The retrieval figure is over CTI-MCQ: the page that an item's URL names is searched
for with the question and its options; found is where one of the first ten passages is about that object. Items without such a
page, and those whose object is not in the releases any more, are counted apart. Nothing was tuned on these items, and none of
their text is kept: the result has counts only.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from machine import describe_machine

from ctiforge.ask import KnowledgeBase
from ctiforge.core.files import file_sha256, write_json
from ctiforge.core.metrics import wilson_interval
from ctiforge.core.object_ids import object_of_url

CVE_FEEDS = ("nvdcve-1.1-2021.json.zip",)
"""Descriptions of CVEs in number enough to come to about 51,000 passages together."""

TOP_K = 10
LATENCY_QUERIES = 300


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with attack/, cve/ and ctibench/")
    parser.add_argument("--no-embeddings", action="store_true", help="BM25 only")
    parser.add_argument("--kb", type=Path, help="measure this knowledge base; built and kept, if it is not there")
    parser.add_argument("--threads", type=int, default=0, help="for embedding; 0: as many as there are cores")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "knowledge-base.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.kb or Path(scratch) / "kb"
        result: dict[str, Any] = {"machine": describe_machine()}
        if not (folder / "manifest.json").is_file():
            result["build"] = measure_build(arguments.data, folder, not arguments.no_embeddings, arguments.threads)
        base = KnowledgeBase.load(folder, embeddings=not arguments.no_embeddings, threads=arguments.threads)
        result["counts"] = dict(base.manifest.counts)
        result["sources"] = [{"name": each.name, "version": each.version, "sha256": each.sha256} for each in base.versions]
        result["embeddings"] = base.has_embeddings
        result["search"] = measure_search(base)
        result["retrieval"] = measure_retrieval(base, arguments.data / "ctibench" / "cti-mcq.tsv")
    write_json(arguments.out, result)
    print(json.dumps(result, indent=2))


def build_arguments(data: Path, folder: Path, embeddings: bool, threads: int) -> list[str]:
    """Return the command line of a build from all sources in `data`."""
    attack = data / "attack"
    command = ["kb", "build", "--out", str(folder), "--threads", str(threads), "--attack-version", "18.1", "--json"]
    for domain in ("enterprise", "mobile", "ics"):
        command += ["--attack", str(attack / f"{domain}-attack.json.xz")]
    command += ["--capec", str(attack / "capec.json.xz")]
    for feed in CVE_FEEDS:
        command += ["--cve", str(data / "cve" / feed)]
    return command if embeddings else [*command, "--no-embeddings"]


def measure_build(data: Path, folder: Path, embeddings: bool, threads: int) -> dict[str, Any]:
    """Build in a process of its own, then build again with nothing changed; seconds, peak memory, size on disk."""
    command = [sys.executable, "-m", "ctiforge", *build_arguments(data, folder, embeddings, threads)]
    started = time.perf_counter()
    made = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    started = time.perf_counter()
    again = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert again["unchanged"]
    return {
        "passages": made["counts"]["passages"],
        "embedded": made["newly_embedded"],
        "seconds": round(seconds, 1),
        "seconds_again_unchanged": round(time.perf_counter() - started, 1),
        "peak_memory_mb": round(peak),
        "disk_mb": round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6, 1),
    }


def measure_search(base: KnowledgeBase) -> dict[str, Any]:
    """Time questions about names of objects, one after the other, with the index loaded."""
    ids = [each for each in base.ids if not each.startswith("CVE-")]
    step = max(1, len(ids) // LATENCY_QUERIES)
    questions = [f"How is {base[each].name} used by adversaries, and what helps against it?" for each in ids[::step]]
    base.search(questions[0], TOP_K)
    seconds = []
    for question in questions:
        started = time.perf_counter()
        base.search(question, TOP_K)
        seconds.append(time.perf_counter() - started)
    ordered = sorted(seconds)
    return {
        "queries": len(questions),
        "median_ms": round(statistics.median(ordered) * 1000, 2),
        "p95_ms": round(ordered[int(0.95 * len(ordered))] * 1000, 2),
    }


def measure_retrieval(base: KnowledgeBase, file: Path) -> dict[str, Any]:
    """Search for each item's object; counts by catalogue."""
    counts: dict[str, Counter[str]] = {}
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            wanted = object_of_url(row["URL"]) or None
            source = "no page" if wanted is None else wanted.partition("-")[0] if "-" in wanted else "ATT&CK"
            count = counts.setdefault(source, Counter())
            count["items"] += 1
            if wanted is None or (current := base.get(wanted)) is None:
                count["no object"] += 1
                continue
            query = "\n".join([row["Question"], *(row[f"Option {letter}"] for letter in "ABCD")])
            found = [hit.passage for hit in base.search(query, TOP_K)]
            count["searched"] += 1
            count["about"] += any(current.id in passage.object_ids for passage in found)
            count["own page"] += any(current.id == passage.object_id for passage in found)
    total = sum(counts.values(), Counter())
    interval = wilson_interval(total["about"], total["searched"])
    return {
        "data": file.name,
        "data_sha256": file_sha256(file),
        "top_k": TOP_K,
        "n": total["searched"],
        "recall": round(total["about"] / total["searched"], 4),
        "interval_95": [round(interval.low, 4), round(interval.high, 4)],
        "recall_own_page": round(total["own page"] / total["searched"], 4),
        "by_source": {name: dict(count) for name, count in sorted(counts.items())},
    }


if __name__ == "__main__":
    main()
