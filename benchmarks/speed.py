"""Speed, memory and size of the command that users type, measured from outside its process."""

from __future__ import annotations

import json
import lzma
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from ctiforge.classify.classifier import BUNDLED_MODELS
from ctiforge.core.files import file_sha256

__all__ = ["classify_command", "first_records", "folder_size", "measure_cold_start", "measure_feed", "measure_install"]

_SAMPLE_SECONDS = 0.3
_TEXT = "A buffer is freed twice when the parser of Example CMS meets a short file"


def classify_command(*arguments: str) -> list[str]:
    """Return the command line of ``ctiforge classify`` with this Python."""
    return [sys.executable, "-m", "ctiforge", "classify", *arguments]


def first_records(feed: Path, limit: int, folder: Path) -> Path:
    """Write the first lines of a feed of JSON lines (xz) to a file of the same kind in `folder`."""
    target = folder / feed.name
    with lzma.open(feed) as lines, lzma.open(target, "wb", preset=1) as out:
        out.writelines(islice(lines, limit))
    return target


def measure_feed(feed: Path, model: str, limit: int | None = None, runs: int = 3) -> dict[str, Any]:
    """Run a feed, or its first records, to JSON Lines, several times; return the run of median duration.

    Counts what came out, and the memory of all the command's processes (Linux).
    """
    with tempfile.TemporaryDirectory() as folder:
        source = feed if limit is None else first_records(feed, limit, Path(folder))
        found = sorted((_run_feed(source, model, Path(folder)) for _ in range(runs)), key=lambda run: run["seconds"])
    return {
        "data": feed.name,
        "data_sha256": file_sha256(feed),
        "first_records_only": limit,
        "policy": "mitre",
        "runs": runs,
        "seconds_of_all_runs": [run["seconds"] for run in found],
        **found[len(found) // 2],
    }


def _run_feed(source: Path, model: str, folder: Path) -> dict[str, Any]:
    out, rejects = folder / "out.jsonl", folder / "rejects.jsonl"
    command = classify_command(str(source), "-o", "jsonl", "--to", str(out), "--rejects", str(rejects), "--model", model)
    load = os.getloadavg()[0]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _tree_rss(process.pid))
        time.sleep(_SAMPLE_SECONDS)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert process.stderr is not None
    with process.stderr:
        messages = process.stderr.read()
    assert process.returncode == 0, messages
    abstained = answered = 0
    with out.open("rb") as lines:
        for line in lines:
            if json.loads(line)["abstained"]:
                abstained += 1
            else:
                answered += 1
    rejected = rejects.read_bytes().count(b"\n") if rejects.exists() else 0
    records = answered + abstained + rejected
    return {
        "records": records,
        "answered": answered,
        "abstained": abstained,
        "rejected": rejected,
        "seconds": round(seconds, 1),
        "records_per_second": round(records / seconds),
        "cpu_seconds_all_processes": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "load_average_before": round(load, 2),
        "peak_rss_mb_all_processes": round(peak / 1e6),
        "summary": messages.strip().splitlines()[0],
    }


def measure_cold_start(model: str, runs: int = 7) -> dict[str, Any]:
    """Time one text in a new process, policy mitre, table output, the file cache warm after the first run."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(classify_command("--model", model, "-o", "table", _TEXT), check=True, capture_output=True)
        seconds.append(round(time.perf_counter() - started, 3))
    load = round(os.getloadavg()[0], 2)
    return {"runs": runs, "first_s": seconds[0], "median_s": statistics.median(seconds), "max_s": max(seconds)} | {
        "load_average_after": load,
        "policy": "mitre",
    }


def measure_install(extra: str | None) -> dict[str, Any]:
    """Install the light core, or the core with an extra, into a new virtual environment and measure it without pip itself."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        site = next((Path(folder) / "lib").glob("python*/site-packages"))
        before = folder_size(site)
        project = Path(__file__).parent.parent
        wanted = f"{project}[{extra}]" if extra else str(project)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", wanted], check=True)
        listing = subprocess.run([python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True).stdout
        packages = sorted(entry["name"] for entry in json.loads(listing) if entry["name"] not in ("pip", "setuptools"))
        own = site / "ctiforge"
        return {
            "extra": extra,
            "site_packages_mb": round((folder_size(site) - before) / 1e6, 1),
            "ctiforge_mb": round(folder_size(own) / 1e6, 1),
            "models_mb": {name: round(folder_size(own / "classify" / "data" / name) / 1e6, 1) for name in BUNDLED_MODELS},
            "packages": packages,
            "torch": "torch" in packages,
        }


def folder_size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _tree_rss(root: int) -> int:
    """Return the resident bytes of a process and its descendants; shared pages count once for each process."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            continue
        pid = int(status.parent.name)
        parents[pid] = int(fields["PPid"])
        resident[pid] = int(fields.get("VmRSS", "0 kB").split()[0]) * 1024
    family = {root}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(resident.get(pid, 0) for pid in family)
