"""A store with each kind of decision in it, and the checks of each format."""

from __future__ import annotations

import runpy
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctiforge.classify.outputs import OutputOptions
from ctiforge.triage import QueueFilter, TriageRules, TriageStore, bulk_accept, rank, review

CHECKS = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("checks.py"))))
HOSTILE = 'SQL injection \x1b[2J in the login "><script>alert(1)</script> =cmd|calc'


@pytest.fixture
def checks() -> SimpleNamespace:
    """The names of `checks.py`."""
    return CHECKS


@pytest.fixture
def options() -> OutputOptions:
    return OutputOptions(generated_at=datetime(2099, 3, 2, tzinfo=UTC), version="0.1.0", adp_always=True)


@pytest.fixture
def filled(quick_store: TriageStore, feed: Any, invented: SimpleNamespace) -> TriageStore:
    feed(
        quick_store,
        invented.cve(10001, cna=("CWE-20",), score=9.8),
        invented.cve(10002, HOSTILE),
        invented.cve(10003, invented.VAGUE),
        invented.cve(10004, invented.OVERFLOW),
        {"id": "VENDOR-7", "description": "SQL injection in the login"},
        invented.cve(10006),
    )
    rank(quick_store, actor="lead", rules=TriageRules(bulk_min_probability=0.5))
    review(quick_store, "CVE-2099-10001", "accept", reviewer="Ada")
    review(quick_store, "CVE-2099-10002", "correct", reviewer="Ada", cwe_ids=["CWE-564", "CWE-79"])
    review(quick_store, "CVE-2099-10003", "reject", reviewer="Ada", reason="says nothing")
    review(quick_store, "VENDOR-7", "accept", reviewer="Ada")
    bulk_accept(quick_store, min_probability=0.5, reviewer="Ada", reason="sure", wanted=QueueFilter(cwe_id="CWE-787"))
    return quick_store
