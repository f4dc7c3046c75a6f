from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.ask.terms import find_ids, search_terms


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Which mitigation fits t1548.002?", ["T1548.002"]),
        ("https://attack.mitre.org/techniques/T1548/002/", ["T1548.002"]),
        ("cwe 79 and CWE-079, CAPEC_66, cve-2024-23848", ["CWE-79", "CAPEC-66", "CVE-2024-23848"]),
        ("TA0005 DET0123 AN0456 DC0034 DS0009 G0007 S0154 C0011 M1040 A0001", [
            "TA0005", "DET0123", "AN0456", "DC0034", "DS0009", "G0007", "S0154", "C0011", "M1040", "A0001",
        ]),
        ("version T10551 xT1055 CWE-123456 none", []),
    ],
)  # fmt: skip
def test_identifiers_are_found_in_every_spelling(text: str, found: list[str]) -> None:
    assert find_ids(text) == found


def test_terms_keep_names_whole_and_stem_words() -> None:
    assert search_terms("The adversaries were using rundll32.exe on T1055.011") == [
        "adversari", "rundll32.exe", "rundll32", "exe", "t1055.011",
    ]  # fmt: skip
    assert search_terms("Cross-site scripting") == search_terms("cross site scripts")
    assert search_terms("CWE-79") == search_terms("cwe_079") == ["cwe-79"]
    assert search_terms("T1548/002") == ["t1548.002"]
    assert search_terms("of the and") == []


@given(st.text())
def test_any_text_has_terms_and_identifiers(text: str) -> None:
    assert all(term == term.casefold() and term for term in search_terms(text))
    assert find_ids(" ".join(find_ids(text))) == find_ids(text)
