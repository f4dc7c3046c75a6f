"""Counts over real feeds. They are not part of the repository, so every test skips where they are absent."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from ctiforge.core.advisory import Advisory, Reject
from ctiforge.core.ids import parse_cve_id
from ctiforge.sources.read import FieldMap, ReadOptions, input_size, parse_record, read_advisories, read_raw_records


def counts(path: Path, options: ReadOptions | None = None) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in read_advisories([str(path)], options or ReadOptions()):
        found[one.reason if isinstance(one, Reject) else "read"] += 1
        if isinstance(one, Advisory):
            assert parse_cve_id(one.id) == one.id
    return found


@pytest.mark.slow
def test_vulnrichment(shared_data: Path) -> None:
    path = shared_data / "cve" / "vulnrichment.jsonl.xz"
    assert counts(path) == {"read": 44_026, "cve_rejected": 104}


@pytest.mark.slow
def test_trickest(shared_data: Path) -> None:
    assert counts(shared_data / "cve" / "trickest-cve-1999-2025.jsonl.xz") == {"read": 158_033}


@pytest.mark.slow
@pytest.mark.parametrize(("year", "read", "rejected"), [(2017, 14_369, 2_140), (2021, 11_459, 347)])
def test_large_nvd_feeds(shared_data: Path, year: int, read: int, rejected: int) -> None:
    assert counts(shared_data / "cve" / f"nvdcve-1.1-{year}.json.zip") == {"read": read, "cve_rejected": rejected}


def test_a_small_nvd_feed(shared_data: Path) -> None:
    path = shared_data / "cve" / "nvdcve-1.1-2002.json.zip"
    assert counts(path) == {"read": 6_671, "cve_rejected": 97}


def test_the_start_of_vulnrichment(shared_data: Path) -> None:
    path = str(shared_data / "cve" / "vulnrichment.jsonl.xz")
    taken = 0
    results = []
    for raw in islice(read_raw_records([path]), 4_000):
        assert not isinstance(raw, Reject)
        results += parse_record(raw)
        taken += 1
    advisories = [one for one in results if isinstance(one, Advisory)]
    assert taken == len(results) == 4_000
    assert len(advisories) > 3_900
    assert all(one.description and one.source.format == "cve5" for one in advisories)
    assert sum(one.ssvc is not None for one in advisories) > 3_900
    assert {weakness.party for one in advisories for weakness in one.weaknesses} == {"cna", "adp"}
    assert any(one.kev_date_added for one in advisories)


def test_kev(shared_data: Path) -> None:
    path = shared_data / "cve" / "known_exploited_vulnerabilities.csv"
    assert counts(path) == {"read": 1_196}


def test_cti_bench_with_a_map(shared_data: Path) -> None:
    options = ReadOptions(field_map=FieldMap.parse("id=URL,description=Description"))
    assert counts(shared_data / "ctibench" / "cti-rcm.tsv", options) == {"read": 1_000}


def test_bytes_read_add_up_to_the_size(shared_data: Path) -> None:
    paths = [str(shared_data / "cve" / name) for name in ("nvdcve-1.1-2002.json.zip", "known_exploited_vulnerabilities.csv")]
    seen: list[int] = []
    for _ in read_raw_records(paths, on_bytes=seen.append):
        pass
    assert sum(seen) == input_size(paths)
    assert len(seen) > 2
