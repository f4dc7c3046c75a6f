"""Invented vulnerability feeds, just large enough to train on in a second. Every product, CVE and sentence is made up.

Read by tests with `runpy.run_path`, because test folders are no packages.
"""

from __future__ import annotations

import json
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

TEMPLATES = {
    "CWE-22": "Path traversal in {product} before {version} lets attackers read any file by dot dot sequences in {place}.",
    "CWE-79": "Cross-site scripting in {product} before {version} lets attackers inject script into the page shown by {place}.",
    "CWE-89": "SQL injection in {product} before {version} lets attackers run database queries through {place}.",
    "CWE-787": "An out-of-bounds write in {product} before {version} corrupts heap memory when {place} parses a long record.",
}
PRODUCTS = ["Frobnicator", "Widgetron", "Blorbmail", "Snarkshop", "Quuxdesk", "Plughd"]
PLACES = ["the login form", "the import task", "the search box", "the upload service", "the report viewer"]

HELD_OUT_BY_ID = "quokkaform"
HELD_OUT_BY_TEXT = "wombatlet"
LEARNT = "numbatix"
"""Words that mark CVEs left out by ID, left out by text, and learnt; each in five CVEs of the training period."""

RECIPE = """\
name: tiny
description: A recipe for tests.
sources:
  - {path: feeds/records.jsonl, licence: CC0-1.0}
  - {path: feeds/labels.jsonl, licence: CC0-1.0}
exclude:
  - {path: benchmark.tsv, text_column: Description}
party_order: [cna, adp]
min_examples: 3
split:
  development_from: 2099-07-01
  test_from: 2099-10-01
  reserved:
    CVE-2099-5000: 2099-06-01
    CVE-2099-6000: 2099-09-01
max_n: 2
min_documents: 2
fits:
  - {loss: softmax, share: 1, learning_rate: 5, batch_size: 8, epochs: 20}
  - {loss: squared_hinge, share: 1, learning_rate: 1, batch_size: 8, epochs: 20}
prune: 0.02
target_precision: 0.8
seed: 7
"""


def sentence(cwe_id: str, rng: random.Random) -> str:
    version = f"{rng.randint(1, 9)}.{rng.randint(0, 20)}"
    return TEMPLATES[cwe_id].format(product=rng.choice(PRODUCTS), version=version, place=rng.choice(PLACES))


def record(
    cve_id: str, text: str, day: date, cna: str | None, adp: str | None = None, state: str = "PUBLISHED"
) -> dict[str, Any]:
    """A CVE Record (JSON 5.1) with what the trainer reads."""

    def labels(cwe_id: str | None) -> list[dict[str, Any]]:
        entry = {"type": "CWE", "lang": "en", "cweId": cwe_id, "description": cwe_id}
        return [{"descriptions": [entry]}] if cwe_id else []

    cna_part = {"descriptions": [{"lang": "en", "value": text}], "problemTypes": labels(cna)}
    return {
        "dataType": "CVE_RECORD",
        "dataVersion": "5.1",
        "cveMetadata": {"cveId": cve_id, "state": state, "datePublished": f"{day}T12:00:00.000Z"},
        "containers": {
            "cna": cna_part,
            "adp": [{"title": "An invented publisher", "problemTypes": labels(adp)}] if adp else [],
        },
    }


def write_tiny_corpus(folder: Path) -> Path:
    """Write the feeds, the benchmark file and the recipe below `folder` and return the recipe's path.

    Of 400 dated records one in ten carries another's label, so that there is something to calibrate.
    """
    rng = random.Random(3)
    cwe_ids = list(TEMPLATES)
    records: list[dict[str, Any]] = []
    benchmark = ["URL\tDescription"]
    for i in range(400):
        cwe_id = cwe_ids[i % 4]
        day = date(2099, 1, 1) + timedelta(days=(i * 364) // 400)
        given = rng.choice(cwe_ids) if i % 10 == 0 else cwe_id
        party = {"adp": given, "cna": None} if i % 7 == 0 else {"cna": given}
        records.append(record(f"CVE-2099-{10_000 + i}", sentence(cwe_id, rng), day, **party))
    for i in range(15):
        word = (HELD_OUT_BY_ID, HELD_OUT_BY_TEXT, LEARNT)[i % 3]
        text = f"{sentence('CWE-89', rng)} The {word} module number {i} is affected."
        records.append(record(f"CVE-2099-{20_000 + i}", text, date(2099, 2, 1), "CWE-89"))
        if word == HELD_OUT_BY_ID:
            benchmark.append(f"https://vulns.example/CVE-2099-{20_000 + i}\tAnother text altogether")
        elif word == HELD_OUT_BY_TEXT:
            benchmark.append(f"https://vulns.example/other\t{text.upper().replace(' ', '  ')}")
    early = date(2099, 3, 1)
    records += [
        record("CVE-2099-30001", sentence("CWE-22", rng), early, "CWE-36"),  # a label seen once
        record("CVE-2099-30002", sentence("CWE-22", rng), early, None),  # no label
        record("CVE-2099-30003", "Too short.", early, "CWE-79"),
        record("CVE-2099-30004", "", early, None, state="REJECTED"),
    ]
    undated = [
        {"cve_id": f"CVE-2099-{number}", "description": sentence("CWE-89", rng), "problem_types": ["SQL Injection"]}
        for number in (5001, 5100, 5900, 5999)
    ]
    undated.append({"cve_id": "CVE-2099-10001", "description": "A second text of a known CVE.", "problem_types": ["CWE-352"]})
    undated.append({"cve_id": "GHSA-xxxx-yyyy-zzzz", "description": sentence("CWE-22", rng), "problem_types": ["CWE-22"]})
    (folder / "feeds").mkdir(parents=True)
    _write_lines(folder / "feeds" / "records.jsonl", [json.dumps(each) for each in records] + ['{"broken": '])
    _write_lines(folder / "feeds" / "labels.jsonl", [json.dumps(each) for each in undated])
    _write_lines(folder / "benchmark.tsv", benchmark)
    _write_lines(folder / "recipe.yaml", RECIPE.splitlines())
    return folder / "recipe.yaml"


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
