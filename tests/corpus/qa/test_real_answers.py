"""Every multiple-choice record on MITRE's real files, its answer derived again by other means."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ctiforge.core.advisory import Advisory
from ctiforge.corpus.qa import DEFAULT_COUNTS, QaObjects, build_qa_report, build_settings, generate_qa
from ctiforge.corpus.qa.report import CHI_SQUARE_5_PERCENT
from ctiforge.sources.attack import load_attack
from ctiforge.sources.capec import load_capec
from ctiforge.sources.cwe import find_cwe2_xml
from ctiforge.sources.cwe_texts import load_cwe_texts
from ctiforge.sources.read import read_advisories


@pytest.mark.slow
def test_exactly_one_option_is_right_by_the_files(shared_data: Path, graph_checker: Callable[..., Any]) -> None:
    pytest.importorskip("cwe2")
    bundles = [shared_data / "attack" / f"{domain}-attack.json.xz" for domain in ("enterprise", "mobile", "ics")]
    capec = shared_data / "attack" / "capec.json.xz"
    feed = read_advisories([str(shared_data / "cve" / "vulnrichment.jsonl.xz")])
    advisories = list(islice((each for each in feed if isinstance(each, Advisory)), 6_000))
    objects = QaObjects(
        attack=load_attack(bundles, version="18.1"),
        capec=load_capec(capec),
        weaknesses=load_cwe_texts(),
        advisories=advisories,
        advisory_licence="CC0-1.0",
    )
    settings = build_settings(limit=12_000)
    started = time.monotonic()
    records = list(generate_qa(objects, settings, 2024))
    assert time.monotonic() - started < 120
    assert len(records) >= 11_000
    checker = graph_checker(bundles, capec, find_cwe2_xml(), advisories)
    wrong: list[str] = []
    checked: Counter[str] = Counter()
    for record in records:
        if record.metadata["form"] != "choice":
            continue
        checked[record.generator.partition("/")[2]] += 1
        shown = [re.sub(r"^\(?[ABCD][).] ", "", line) for line in record.text.split("\n")[-4:]]
        right = [
            letter
            for letter, value, text in zip("ABCD", record.metadata["options"], shown, strict=True)
            if checker.holds(record, value, text)
        ]
        if right != [record.label]:
            wrong.append(f"{record.id}: {right} instead of {record.label}\n{record.text}")
    assert not wrong, "\n\n".join(wrong[:5])
    assert set(checked) == {name for name, counts in DEFAULT_COUNTS.items() if counts.choice}
    report = build_qa_report(records, settings)
    assert report.chi_square <= CHI_SQUARE_5_PERCENT
