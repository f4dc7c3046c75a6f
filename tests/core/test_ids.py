from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.ids import cwe_number, find_cve_id, parse_cve_id, parse_cwe_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CVE-2024-23848", "CVE-2024-23848"),
        ("https://nvd.nist.gov/vuln/detail/CVE-2024-23848", "CVE-2024-23848"),
        ("cve 2024 23848 is bad", "CVE-2024-23848"),
        ("CVE\u20112024\u201123848", "CVE-2024-23848"),
        ("CVE-2024-123", None),
        ("CVE-1024-12345", None),
        ("no identifier", None),
    ],
)
def test_find_cve_id(text: str, expected: str | None) -> None:
    assert find_cve_id(text) == expected


def test_parse_cve_id_takes_nothing_else() -> None:
    assert parse_cve_id(" cve-2099-0001 ") == "CVE-2099-0001"
    assert parse_cve_id("see CVE-2099-0001") is None


@pytest.mark.parametrize(
    "text",
    ["cwe 79", "CWE-79", "CWE_79", "CWE\u201179", "CWE-079: Improper ...", "79", "CWE79", "CWE-ID 79", "CWE: 79", "cwe#79"],
)
def test_parse_cwe_id_reads_any_spelling(text: str) -> None:
    assert parse_cwe_id(text) == "CWE-79"


@pytest.mark.parametrize("text", ["", "Cross-site Scripting", "CWE-", "CWE-0", "0", "version 79", "CWE-1234567"])
def test_parse_cwe_id_refuses_other_text(text: str) -> None:
    assert parse_cwe_id(text) is None


def test_parse_cwe_id_of_a_number() -> None:
    assert parse_cwe_id(79) == "CWE-79"
    assert parse_cwe_id(0) is None


@given(st.integers(1, 99_999), st.sampled_from("-\u2010\u2011\u2013 _:"))
def test_every_number_and_separator_comes_back(number: int, separator: str) -> None:
    cwe_id = parse_cwe_id(f"text before CWE{separator}{number} and after")
    assert cwe_id is not None
    assert cwe_number(cwe_id) == number
