"""Invented feeds, a benchmark and a recipe: everything a build needs, in a second. All names and sentences are made up.

Read by tests with `runpy.run_path`, because test folders are no packages.
"""

from __future__ import annotations

import json
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

TEMPLATES = {
    "CWE-22": "Path traversal in {product} before {version} lets {who} read any file by dot dot sequences in {place}.",
    "CWE-79": "The {product} module before {version} does not escape a parameter, so {who} can inject script into {place}.",
    "CWE-89": "SQL injection in {product} before {version} lets {who} run database queries through {place}.",
    "CWE-787": "An out-of-bounds write in {product} before {version} corrupts memory when {who} send a long record to {place}.",
}
PRODUCTS = ["Frobnicator", "Widgetron", "Blorbmail", "Snarkshop", "Quuxdesk", "Plughd", "Zorptool", "Grault", "Wibblebase"]
PLACES = ["the login form", "the import task", "the search box", "the upload service", "the report viewer", "the cart page"]
WHO = ["remote attackers", "local users", "authenticated guests", "a peer on the same network", "plugin authors"]

RECIPE = """\
# A recipe for tests.
name: tiny
description: A corpus for tests.
seed: 7
sources:
  - {path: feeds/records.jsonl, licence: CC0-1.0}
  - {path: feeds/labels.jsonl, licence: MIT}
rcm:
  years: {first: 2098, last: 2099}
  labels: {prefer: [nvd, cna, adp], min_support: 3}
  min_characters: 30
  instructions:
    - {text: "Map this to a CWE: {description}", weight: 3}
    - {text: "{description} Which CWE is it?"}
  reasons:
    - {text: 'It says "{phrase}", which is {name}.'}
  reasons_without_phrase:
    - {text: 'The best fit is {name}.'}
deduplicate: {near_duplicate: 0.95}
decontaminate:
  against: [bench.tsv]
  remove: [exact_id, exact_text, near_duplicate]
split: {cve_development_from: 2099-10-01, object_development_from: 2099-10-01}
"""

BENCHMARK_CVE = "CVE-2099-40000"
BENCHMARK_TEXT = (
    "SQL injection in Benchling before 4.2 lets remote attackers run database queries through the wombat page of the shop."
)


def record(cve_id: str, text: str, day: date | None, cna: list[str], adp: list[str] | None = None) -> dict[str, Any]:
    """A CVE Record (JSON 5.1)."""

    def labels(cwe_ids: list[str]) -> list[dict[str, Any]]:
        return [{"descriptions": [{"type": "CWE", "lang": "en", "cweId": each, "description": each}]} for each in cwe_ids]

    published = {"datePublished": f"{day}T12:00:00.000Z"} if day else {}
    return {
        "dataType": "CVE_RECORD",
        "dataVersion": "5.1",
        "cveMetadata": {"cveId": cve_id, "state": "PUBLISHED", **published},
        "containers": {
            "cna": {"descriptions": [{"lang": "en", "value": text}], "problemTypes": labels(cna)},
            "adp": [{"title": "An invented publisher", "problemTypes": labels(adp)}] if adp else [],
        },
    }


def sentence(cwe_id: str, rng: random.Random, number: int) -> str:
    text = TEMPLATES[cwe_id].format(
        product=rng.choice(PRODUCTS),
        version=f"{rng.randint(1, 9)}.{rng.randint(0, 20)}",
        place=rng.choice(PLACES),
        who=rng.choice(WHO),
    )
    return f"{text} Component c{number} and setting s{number * 7} are affected."


def feed_records() -> list[dict[str, Any]]:
    rng = random.Random(5)
    cwe_ids = list(TEMPLATES)
    records = [
        record(
            f"CVE-2099-{10_000 + i}",
            sentence(cwe_ids[i % 4], rng, i),
            date(2099, 1, 1) + timedelta(days=i),
            [cwe_ids[i % 4]] if i % 3 else [],
            None if i % 3 else [cwe_ids[i % 4]],
        )
        for i in range(300)
    ]
    other = "A cross-site request forgery in Plughd before 2.0 lets visitors change the settings of an administrator."
    return [
        *records,
        record(BENCHMARK_CVE, sentence("CWE-22", rng, 900), date(2099, 2, 1), ["CWE-22"]),  # a benchmark's ID
        record("CVE-2099-40001", BENCHMARK_TEXT.upper(), date(2099, 2, 2), ["CWE-89"]),  # its text
        record("CVE-2099-40002", BENCHMARK_TEXT + " Really so now.", date(2099, 2, 3), ["CWE-89"]),  # nearly its text
        record("CVE-2099-40003", other, date(2099, 2, 4), ["CWE-352"]),  # one text with two labels, and one label too few
        record("CVE-2099-40004", other + "!", date(2099, 2, 5), ["CWE-352"]),
        record("CVE-2099-40005", other, date(2099, 2, 6), ["CWE-79"]),
        record("CVE-2099-40006", "Too short.", date(2099, 2, 7), ["CWE-79"]),
        record("CVE-2099-40007", sentence("CWE-79", rng, 907), date(2099, 2, 8), []),  # no label
        record("CVE-2099-40008", sentence("CWE-79", rng, 908), date(2099, 2, 9), ["CWE-16"]),  # a category
        record("CVE-2090-40009", sentence("CWE-79", rng, 909), date(2090, 2, 9), ["CWE-79"]),  # another year
    ]


def write_tiny(folder: Path) -> Path:
    """Write feeds, benchmark and recipe below `folder` and return the recipe's path."""
    (folder / "feeds").mkdir(parents=True)
    _write(folder / "feeds" / "records.jsonl", [json.dumps(each) for each in feed_records()] + ['{"broken": '])
    undated = {"cve_id": "CVE-2099-10001", "description": "A second text of a known CVE.", "problem_types": ["CWE-352"]}
    no_cve = {"cve_id": "GHSA-xxxx-yyyy-zzzz", "description": "Path traversal in Grault.", "problem_types": ["CWE-22"]}
    _write(folder / "feeds" / "labels.jsonl", [json.dumps(each) for each in (undated, no_cve)])
    rows = [
        "URL\tDescription\tPrompt\tGT",
        f"https://vulns.example/{BENCHMARK_CVE}\t{BENCHMARK_TEXT}\tMap it: {BENCHMARK_TEXT}\tCWE-89",
    ]
    for i, place in enumerate(PLACES):
        text = f"Use after free in Examplet {i}.{i + 3} when {place} is closed twice by a timer."
        rows.append(f"https://vulns.example/CVE-2097-{50_000 + i}\t{text}\tMap it: {text}\tCWE-416")
    _write(folder / "bench.tsv", rows)
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return folder / "recipe.yaml"


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
