"""The classify endpoint under load, beside the library's own batch throughput in the same run.

    python benchmarks/serve.py --data DIR [--seconds 60] [--clients 64] [--model fast] [--out FILE]

A real `ctiforge serve` on loopback. The clients live in this process; each sends one short text over a kept connection and
waits for the answer before the next, by a few lines of HTTP over asyncio, so that little of the two cores goes to them. The
library is measured before and after the load, one process and one thread, on the same texts in batches.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import lzma
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson
import uvloop
from machine import describe_machine

from ctiforge.classify import Classifier
from ctiforge.classify.classifier import load_model
from ctiforge.core.files import file_sha256, write_json
from ctiforge.core.processes import one_thread_each

FEED = "vulnrichment.jsonl.xz"
TEXTS, SHORT = 2000, 400
WARM_UP_SECONDS = 3.0


def short_texts(feed: Path, count: int) -> list[str]:
    """Return the first descriptions of a feed of CVE Records that have at most `SHORT` characters."""
    found: list[str] = []
    with lzma.open(feed) as lines:
        for line in lines:
            cna = orjson.loads(line).get("containers", {}).get("cna", {})
            texts = [each["value"] for each in cna.get("descriptions", ()) if each.get("lang", "").startswith("en")]
            found += [text for text in texts[:1] if 40 <= len(text) <= SHORT]
            if len(found) >= count:
                break
    return found[:count]


def library_rate(model: str, texts: Sequence[str], seconds: float = 10.0) -> float:
    """Return the texts that one thread of a new process classifies a second, all texts in one call."""
    with one_thread_each(), ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_library_rate, model, texts, seconds).result()


def _library_rate(model: str, texts: Sequence[str], seconds: float) -> float:
    classifier = Classifier(model)
    classifier.classify(texts[:200])
    done, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds:
        classifier.classify(texts)
        done += len(texts)
    return done / spent


@contextmanager
def server(model: str) -> Iterator[tuple[int, int]]:
    """Run `ctiforge serve`; give its port and process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "ctiforge",
            "serve",
            "--port",
            "0",
            "--classifier",
            model,
            "--db",
            f"{folder}/triage.db",
        ]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "CTIFORGE_HOME": folder})
        assert process.stderr is not None
        try:
            match = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
            assert match is not None, process.stderr.read()
            yield int(match[1]), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


class Load:
    """What the clients saw: seconds of each request after the warm-up, and statuses."""

    def __init__(self, port: int, texts: Sequence[str], seconds: float) -> None:
        self.seconds: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.requests = itertools.cycle([_request(text) for text in texts])
        self._port = port
        self._from = time.perf_counter() + WARM_UP_SECONDS
        self._until = self._from + seconds

    async def run(self, clients: int) -> None:
        """Let the clients run until the time is over."""
        await asyncio.gather(*(self._client() for _ in range(clients)))

    def count(self, begun: float, status: str) -> bool:
        """Count a request; return whether there is time for another."""
        ended = time.perf_counter()
        if begun >= self._from and ended <= self._until:
            self.seconds.append(ended - begun)
            self.statuses[status] += 1
        return ended < self._until

    async def _client(self) -> None:
        loop = asyncio.get_running_loop()
        while time.perf_counter() < self._until:  # once, unless the server closes the connection
            transport, client = await loop.create_connection(
                lambda: _Client(self, loop.create_future()), "127.0.0.1", self._port
            )
            await client.over
            transport.close()


class _Client(asyncio.Protocol):
    """Sends a request, waits for the whole answer, sends the next."""

    def __init__(self, load: Load, over: asyncio.Future[None]) -> None:
        self.over = over
        self._load, self._got, self._length = load, b"", 0
        self._begun = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._length:
            end = self._got.find(b"\r\n\r\n")
            found = re.search(rb"(?i)\r\ncontent-length: (\d+)", self._got) if end >= 0 else None
            if found is None:
                return
            self._length = end + 4 + int(found[1])
        if len(self._got) < self._length:
            return
        status = self._got[9:12].decode() if b'"predictions"' in self._got else "no prediction"
        self._got, self._length = b"", 0
        if self._load.count(self._begun, status):
            self._ask()
        else:
            self.over.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self._load.count(self._begun, "connection lost")
            self.over.set_result(None)

    def _ask(self) -> None:
        self._begun = time.perf_counter()
        self._transport.write(next(self._load.requests))


def _request(text: str) -> bytes:
    body = orjson.dumps({"text": text})
    return (
        b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (
            len(body),
            body,
        )
    )


async def wait_until_ready(port: int) -> None:
    """Wait for the first answer to a request."""
    for _ in range(600):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            if b" 200 " in answer[:20]:
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit("the server did not become ready")


def measure(feed: Path, model: str, clients: int, seconds: float) -> dict[str, Any]:
    """Return what a run showed."""
    texts = short_texts(feed, TEXTS)
    before = library_rate(model, texts)
    with server(model) as (port, _):
        load = uvloop.run(_under_load(port, texts, clients, seconds))
    after = library_rate(model, texts)
    library = statistics.mean((before, after))
    rate = len(load.seconds) / seconds
    ordered = sorted(load.seconds)
    quantile = {q: round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * q / 1000))], 2) for q in (500, 900, 990, 999)}
    return {
        "command": f"benchmarks/serve.py --data DIR --clients {clients} --seconds {seconds:g} --model {model}",
        "machine": describe_machine(),
        "load_average_after": os.getloadavg()[0],
        "data": feed.name,
        "data_sha256": file_sha256(feed),
        "texts": len(texts),
        "mean_characters": round(statistics.mean(map(len, texts)), 1),
        "model_digest": load_model(model).digest,
        "clients": clients,
        "seconds": seconds,
        "requests": len(load.seconds),
        "requests_per_second": round(rate, 1),
        "statuses": dict(load.statuses),
        "errors": sum(count for status, count in load.statuses.items() if status != "200"),
        "latency_ms": {"p50": quantile[500], "p90": quantile[900], "p99": quantile[990], "p99.9": quantile[999]},
        "library_texts_per_second": {"before": round(before, 1), "after": round(after, 1)},
        "share_of_library": round(rate / library, 3),
    }


async def _under_load(port: int, texts: Sequence[str], clients: int, seconds: float) -> Load:
    await wait_until_ready(port)
    load = Load(port, texts, seconds)
    await load.run(clients)
    return load


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with cve/")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "serve.json")
    options = parser.parse_args()
    found = measure(options.data / "cve" / FEED, options.model, options.clients, options.seconds)
    write_json(options.out, found)
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
