"""What the benchmark harness costs: 3,500 requests, 32 at a time, to a local stub that answers after 50 ms.

    python benchmarks/harness.py [--out FILE]

The ideal is requests x delay / concurrency. The run writes its folder as any other: completions, scores, record.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe_machine

from ctiforge.bench.protocol import customize, find_protocol
from ctiforge.bench.runner import run_benchmark
from ctiforge.bench.task import LoadedTask, Sample
from ctiforge.bench.tasks import TASKS
from ctiforge.core.files import write_json
from ctiforge.models.registry import open_model

REQUESTS, CONCURRENCY, DELAY_MS = 3500, 32, 50
STUB = Path(__file__).resolve().parents[1] / "tests" / "models" / "stub_server.py"


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "harness.json")
    out = parser.parse_args().out
    result = measure()
    write_json(out, result)
    print(json.dumps(result, indent=2))


def measure() -> dict[str, Any]:
    """Return the seconds of the run beside the ideal, and the peak memory of this process."""
    stub = subprocess.Popen(
        [sys.executable, str(STUB), "--port", "0", "--delay-ms", str(DELAY_MS)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert stub.stdout is not None
        url = stub.stdout.readline().split()[-1]
        with tempfile.TemporaryDirectory() as folder:
            seconds = asyncio.run(_run(url, folder))
    finally:
        stub.terminate()
        stub.wait()
    ideal = REQUESTS * DELAY_MS / 1000 / CONCURRENCY
    return {
        "requests": REQUESTS,
        "concurrency": CONCURRENCY,
        "delay_ms": DELAY_MS,
        "seconds": round(seconds, 3),
        "ideal_seconds": round(ideal, 3),
        "ratio": round(seconds / ideal, 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "machine": describe_machine(),
    }


async def _run(url: str, folder: str) -> float:
    text = "An invented flaw in an invented product lets people read what they should not. " * 4
    samples = [
        Sample(f"cti-mcq/{i:04}", f"{text} Item {i}. A) one B) two", "A", ("one", "two", "three", "four"))
        for i in range(REQUESTS)
    ]
    loaded = LoadedTask(TASKS["cti-mcq"], Path("invented.tsv"), "0" * 64, samples)
    protocol = customize(find_protocol("greedy"), {"concurrency": CONCURRENCY})
    model = open_model(url)
    try:
        await model.info()
        started = time.perf_counter()
        report = await run_benchmark(model, [loaded], protocol, folder)
        seconds = time.perf_counter() - started
    finally:
        await model.close()
    assert report.asked == REQUESTS
    assert report.record["complete"]
    return seconds


if __name__ == "__main__":
    main()
