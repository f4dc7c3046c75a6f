"""Seeded mutations of the golden inputs. CTIFORGE_FUZZ_SECONDS=600 runs longer, CTIFORGE_FUZZ_SEED=7 goes elsewhere."""

from __future__ import annotations

import gzip
import lzma
import os
import random
import time
from pathlib import Path

import orjson
import zstandard

from ctiforge.core.advisory import Advisory, Reject
from ctiforge.sources.read import FORMATS, ReadOptions, read_advisories
from ctiforge.sources.rejects import reject_row

INPUTS = sorted((Path(__file__).parent / "golden").glob("*.in.*"))
SECONDS = float(os.environ.get("CTIFORGE_FUZZ_SECONDS", "8"))
SEED = int(os.environ.get("CTIFORGE_FUZZ_SEED", "2099"))
TOKENS = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b",",
    b":",
    b"\n",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"null",
    b"1e999",
    b'"\\ud800"',
)
LONGEST_SECONDS = 5.0


def mutate(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((0, 1, 1, 4, 40, 400)))
        part = rng.choice((b"", rng.choice(TOKENS), rng.randbytes(rng.randrange(5)), data[start:end] * 2))
        if rng.random() < 0.1:
            other = rng.randrange(len(data) + 1)
            part = data[other : other + 200]
        data = data[:start] + part + data[end:]
    return data


def pack(data: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(12)
    if kind == 0:
        return mutate(gzip.compress(data), rng)
    if kind == 1:
        return mutate(lzma.compress(data), rng)
    if kind == 2:
        return mutate(zstandard.ZstdCompressor().compress(data), rng)
    return data.decode("utf-8", "replace").encode("utf-16") if kind == 3 else data


def test_mutated_inputs_are_read_without_an_exception(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    originals = [path.read_bytes() for path in INPUTS]
    path = tmp_path / "input"
    end = time.monotonic() + SECONDS
    runs = 0
    while time.monotonic() < end:
        data = pack(mutate(rng.choice(originals), rng), rng)
        path.write_bytes(data)
        options = ReadOptions(
            format=rng.choice((None, None, None, *FORMATS)),
            max_record_bytes=rng.choice((300, 2**20)),
            max_depth=rng.choice((6, 200)),
        )
        begun = time.monotonic()
        try:
            results = list(read_advisories([str(path)], options))
            rows = [reject_row(one) for one in results if isinstance(one, Reject)]
            orjson.dumps([*rows, *(one.description for one in results if isinstance(one, Advisory))])
        except Exception as error:
            kept = Path(os.environ.get("CTIFORGE_FUZZ_KEEP", str(tmp_path))) / f"crash-{SEED}-{runs}"
            kept.write_bytes(data)
            raise AssertionError(f"run {runs} with {options} failed on {kept}") from error
        assert time.monotonic() - begun < LONGEST_SECONDS
        assert results or b"CVE-" not in data, (runs, options, data[:200])
        runs += 1
    assert runs > 50
