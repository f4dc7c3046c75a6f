"""An invented benchmark in the columns of published ones, and texts that have nothing to do with it.

Read with `runpy.run_path`, because test folders are no packages.
"""

from __future__ import annotations

import random
from pathlib import Path

PARTS = "parser scheduler uploader gateway decoder console daemon resolver importer renderer keystore broker".split()
FAULTS = "overflow traversal injection deserialization leak race bypass forgery confusion exhaustion".split()
WAYS = "crafted header;forged token;nested archive;long filename;stale session;malformed frame;relative link".split(";")
ENDS = "read secrets;run code;stop the service;change settings;skip the login;gain rights;poison the cache".split(";")
EXTRAS = "only when debugging is on;after a restart;on devices without a pin;if logs are remote;in shared folders".split(";")


def description(chance: random.Random, number: int) -> str:
    """One sentence or two that are like those of other items in shape, not in words."""
    name = "".join(chance.choice(["zor", "vex", "lum", "tra", "nid", "kop"]) for _ in range(3)).title()
    words = " ".join(chance.sample(PARTS, 3))
    return (
        f"{name} {number % 9}.{number % 7} has a {chance.choice(FAULTS)} in the {words} of module{number}. "
        f"A {chance.choice(WAYS)} lets remote users {chance.choice(ENDS)} {chance.choice(EXTRAS)}, as it trusts {words}."
    )


def descriptions(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [description(chance, seed * 10_000 + number) for number in range(count)]


def write_benchmark(folder: Path, count: int = 60) -> list[str]:
    """Write ``own-rcm.tsv`` and ``own-mcq.tsv``; return the descriptions of the first."""
    texts = descriptions(count, 1)
    ask = "Name the CWE of the text below, with a reason, then the ID on the last line. CVE Description: "
    rows = [
        f"https://cve.example.org/CVE-2098-{1000 + number}\t{text}\t{ask}{text} \tCWE-{20 + number}"
        for number, text in enumerate(texts)
    ]
    (folder / "own-rcm.tsv").write_text("\n".join(["URL\tDescription\tPrompt\tGT", *rows]) + "\n", "utf-8")
    chance = random.Random(5)
    lines = ["URL\tQuestion\tOption A\tOption B\tOption C\tOption D\tPrompt\tGT"]
    for number in range(20):
        about = f"a {chance.choice(FAULTS)} that comes by {chance.choice(WAYS)} {number}"
        question = f"Which {chance.choice(PARTS)} setting stops {about}?"
        options = [f"{chance.choice(ENDS)} {number}{letter}" for letter in "abcd"]
        url = f"https://attack.mitre.org/techniques/T{9000 + number}/00{number % 9 + 1}"
        lines.append("\t".join([url, question, *options, f"Choose. Question: {question}", "A"]))
    (folder / "own-mcq.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return texts
