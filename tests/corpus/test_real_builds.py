"""The bundled recipes on the real files, where they are: what the corpus promises, checked without the code that made it."""

from __future__ import annotations

import csv
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ctiforge.corpus.pipeline import BuildReport, run_build
from ctiforge.corpus.recipe import load_recipe

pytestmark = pytest.mark.slow

_WORD = re.compile(r"[a-z0-9]+")
_CVE = re.compile(r"CVE-\d{4}-\d{4,}")


def words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


@pytest.fixture(scope="module")
def built(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    return run_build(load_recipe("corpus-card-2021"), shared_data, tmp_path_factory.mktemp("card") / "out")


@pytest.fixture(scope="module")
def corpus(built: BuildReport) -> list[dict[str, Any]]:
    lines = [(built.folder / f"{split}.jsonl").read_text("utf-8").splitlines() for split in ("train", "development")]
    return [json.loads(line) for part in lines for line in part]


@pytest.fixture(scope="module")
def items(shared_data: Path) -> list[tuple[str, str]]:
    """All CVE IDs in the addresses, and the texts, of all six files, read with nothing of ours."""
    found = []
    for path in sorted((shared_data / "ctibench").glob("*.tsv")):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream, delimiter="\t"):
                text = row.get("Description") or row.get("Question") or row.get("Text") or ""
                options = " ".join(row.get(f"Option {letter}") or "" for letter in "ABCD")
                found += [(row.get("URL") or "", text), ("", f"{text} {options}")]
    return found


def test_the_cards_composition(corpus: list[dict[str, Any]]) -> None:
    counts = Counter(row["kind"] for row in corpus)
    assert 6700 <= counts["rcm"] <= 6900
    assert 5700 <= counts["qa"] <= 5900
    assert all(row["source_id"].startswith("CVE-2021-") for row in corpus if row["kind"] == "rcm")


def test_no_benchmark_cve_is_in_it(corpus: list[dict[str, Any]], items: list[tuple[str, str]]) -> None:
    benchmark = {cve_id for address, _ in items for cve_id in _CVE.findall(address)}
    assert len(benchmark) > 1900
    assert not [row["id"] for row in corpus if row["source_id"] in benchmark]


def test_no_benchmark_text_is_in_it_by_brute_force(corpus: list[dict[str, Any]], items: list[tuple[str, str]]) -> None:
    """A sample of records against every item: Jaccard index of the word sets of whole texts, no index, no filter."""
    rcm = load_recipe("corpus-card-2021").rcm
    assert rcm
    benchmark = [words(text) for _, text in items if text]
    assert len(benchmark) > 5000
    for row in random.Random(1).sample(corpus, 400):
        if row["kind"] == "rcm":
            before, after = rcm.instructions[row["metadata"]["instruction"]].text.strip().split("{description}")
            parts = [row["prompt"].removeprefix(before).removesuffix(after)]
        else:
            parts = [row["prompt"], *row["prompt"].split("\n\n")]
        for own in map(words, parts):
            assert max(len(own & other) / len(own | other) for other in benchmark) < 0.8, row["id"]


def test_completions_end_with_the_id_and_quote_the_text(corpus: list[dict[str, Any]]) -> None:
    for row in corpus:
        if row["kind"] == "rcm":
            assert row["completion"].splitlines()[-1] == row["label"]
            assert row["metadata"]["phrase"] in row["prompt"]


def test_gold_letters_are_even(corpus: list[dict[str, Any]]) -> None:
    letters = Counter(row["label"] for row in corpus if row["kind"] == "qa" and row["label"])
    assert set(letters) == set("ABCD")
    assert min(letters.values()) > 0.9 * max(letters.values())
