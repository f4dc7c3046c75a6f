"""From words to entries: any spelling of a number, exact names, the wordings of CNAs, and what must never resolve."""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.core.ids import parse_cwe_id
from ctiforge.sources.cwe import load_catalogue, shipped_table
from ctiforge.sources.cwe_names import NamedEntry, NameIndex, words_of
from ctiforge.sources.cwe_wordings import REFUSED, WORDINGS

CATALOGUE = load_catalogue(shipped_table())
IDS = [weakness.cwe_id for weakness in CATALOGUE]
EVERY_ID = [*IDS, *CATALOGUE.categories, *CATALOGUE.views]

some_id = st.sampled_from(EVERY_ID)
separators = st.sampled_from(["-", "_", " ", "", ":", " - ", *"\u2010\u2011\u2013\u2014\u2212\uff0d", "-ID "])
prefixes = st.sampled_from(["CWE", "cwe", "Cwe"])
zeros = st.sampled_from(["", "0", "00"])
tails = st.sampled_from(["", ": Improper something", " (with words)", ".", "\n", " Remote Code Execution"])


@given(some_id, prefixes, separators, zeros, tails)
def test_any_spelling_of_any_identifier(cwe_id: str, prefix: str, separator: str, zero: str, tail: str) -> None:
    assert CATALOGUE.resolve(f"{prefix}{separator}{zero}{cwe_id[4:]}{tail}") == cwe_id


@given(some_id)
def test_bare_numbers(cwe_id: str) -> None:
    assert CATALOGUE.resolve(int(cwe_id[4:])) == cwe_id
    assert CATALOGUE.resolve(f" {cwe_id[4:]} ") == cwe_id


def test_every_exact_name_resolves_to_its_entry() -> None:
    for cwe_id in EVERY_ID:
        name = CATALOGUE[cwe_id].name
        for spelling in (name, name.upper(), f"  {name}", name.replace("'", "’")):
            assert CATALOGUE.resolve(spelling) == cwe_id, spelling


def test_every_name_without_its_last_bracket_still_resolves() -> None:
    """CNAs' records often lose the closing bracket."""
    for cwe_id in IDS:
        name = CATALOGUE[cwe_id].name
        if name.endswith(")") and CATALOGUE.is_weakness(cwe_id):
            assert CATALOGUE.resolve(name[:-1]) == cwe_id


@pytest.mark.parametrize(
    ("label", "cwe_id"),
    [
        ("Cross-site Scripting", "CWE-79"),
        ("Cross Site Scripting", "CWE-79"),
        ("XSS", "CWE-79"),
        ("Cross-site Scripting (Stored XSS", "CWE-79"),
        ("Authenticated Stored Cross-site Scripting (XSS)", "CWE-79"),
        ("Improper Neutralization of Input During Web Page Generation", "CWE-79"),
        ("Improper Neutralization of Input During Web Page Generation ('Cross-site Scripting'", "CWE-79"),
        ("Improper neutralization of input during web page generation (“cross-site scripting”)", "CWE-79"),
        ("SQL Injection (CWE-89)", "CWE-89"),
        ("Blind SQL Injection vulnerability", "CWE-89"),
        ("Stack-based Buffer Overflow", "CWE-121"),
        ("stack buffer overflow", "CWE-121"),
        ("Heap buffer overflow in WebAudio", "CWE-122"),
        ("Use after free", "CWE-416"),
        ("Use-After-Free Issue in Multi Mode Widgets", "CWE-416"),
        ("Improper Restriction of Operations within the Bounds of a Memory Buffer in WLAN", "CWE-119"),
        ("Cleartext storage of sensitive information in memory in Acme", "CWE-316"),
        ("Time-of-check Time-of-use (TOCTOU", "CWE-367"),
        ("CSRF", "CWE-352"),
        ("Cross-Site Request Forgery", "CWE-352"),
        ("SSRF", "CWE-918"),
        ("XXE", "CWE-611"),
        ("Path Traversal", "CWE-22"),
        ("Directory Traversal", "CWE-22"),
        ("Path Traversal: '.../...//'", "CWE-35"),
        ("Path Traversal: '...' (Triple Dot", "CWE-32"),
        ("OS Command Injection", "CWE-78"),
        ("Improper Access Controls", "CWE-284"),
        ("Improper Access Control - Generic", "CWE-284"),
        ("Unrestricted Upload", "CWE-434"),
        ("Type Confusion", "CWE-843"),
        ("Null pointer dereference", "CWE-476"),
        ("Hardcoded Credentials", "CWE-798"),
        ("Injection", "CWE-74"),
        ("Information Exposure Through Directory Listing", "CWE-548"),  # a former name
        ("Regular Expression Denial of Service (ReDoS)", "CWE-1333"),
        ("Permissions, Privileges, and Access Controls", "CWE-264"),  # a category, which the caller must refuse
    ],
)
def test_wordings_of_cnas(label: str, cwe_id: str) -> None:
    assert CATALOGUE.resolve(label) == cwe_id


@pytest.mark.parametrize(
    "label",
    [
        "",
        " ",
        "n/a",
        "Other",
        "NVD-CWE-noinfo",
        "Remote Code Execution",
        "Remote Code Execution (RCE",
        "Denial of Service",
        "Denial of Service (DoS",
        "denial of service in Acme Server",
        "Information Disclosure",
        "Information Disclosure Vulnerability",
        "Memory Corruption",
        "Elevation of Privilege",
        "Privilege Escalation (CAPEC-233)",
        "Buffer Overflow",
        "Out of bounds memory access",
        "Improper Error Handling",
        "Resource Leak",
        "Path Traversal (Remote Code Execution)",
        "SQL Injection (Cross-site Scripting)",
        "Path Traversal: '.../....//x'",
        "SQL injection and cross-site scripting",
        "Use after free, out-of-bounds write",
        "Improper input validation in Acme results in arbitrary command injection",
        "Improper Neutralization of Special Elements used in (",
        "CWE-99999",
        "CWE-99999: SQL Injection",
        "CVE-2099-10001",
        "CAPEC-63",
        "0",
        "An attacker may execute arbitrary code. " * 20,
    ],
)
def test_what_never_resolves(label: str) -> None:
    assert CATALOGUE.resolve(label) is None


def test_refused_phrases_are_refused_with_any_noise() -> None:
    for phrase in REFUSED:
        for label in (phrase, phrase.lower(), f"{phrase} vulnerability", f"{phrase} in Acme", f"Potential {phrase}"):
            assert CATALOGUE.resolve(label) is None, label


def test_wordings_point_at_entries_and_disagree_with_no_name() -> None:
    bare = NameIndex(CATALOGUE._named)
    for label, cwe_id in WORDINGS.items():
        assert cwe_id in CATALOGUE
        assert CATALOGUE.resolve(label) == cwe_id
        assert bare._full.get(words_of(label), cwe_id) == cwe_id
    assert not {words_of(label) for label in WORDINGS} & {words_of(phrase) for phrase in REFUSED}


@given(st.text(max_size=80))
def test_any_text_is_an_entry_or_nothing(text: str) -> None:
    assert (found := CATALOGUE.resolve(text)) is None or found in CATALOGUE


@given(st.text(alphabet="(['\"- inIN)]", max_size=450))
def test_brackets_and_quotes_alone_resolve_to_nothing(text: str) -> None:
    assert CATALOGUE.resolve(text) is None


def test_a_term_of_two_entries_is_ambiguous() -> None:
    index = NameIndex(
        [
            NamedEntry("CWE-9001", "Improper Frobnication", "weakness", terms=("Frob Flaw X",)),
            NamedEntry("CWE-9002", "Missing Frobnication", "weakness", terms=("Frob Flaw X",), former=("Old Frob Name",)),
            NamedEntry("CWE-9003", "DEPRECATED: Frob", "deprecated", former=("Old Frob Name Too",)),
        ]
    )
    assert index.resolve("Frob Flaw X") is None
    assert index.resolve("old frob name") == "CWE-9002"
    assert index.resolve("Old Frob Name Too") is None
    assert index.resolve("DEPRECATED: Frob") == "CWE-9003"


def test_suggestions_on_a_miss() -> None:
    assert CATALOGUE.suggest("Cros site scriptng")[0].cwe_id == "CWE-79"
    assert CATALOGUE.suggest("improper autentication")[0].cwe_id == "CWE-287"
    assert CATALOGUE.suggest("CWE-7999", limit=2)[0].cwe_id == "CWE-799"
    assert CATALOGUE.suggest("xyzzy") == []
    assert len(CATALOGUE.suggest("buffer", limit=3)) == 3
    assert CATALOGUE.suggest("buffer", limit=0) == []


def test_search_wants_every_word_and_puts_weaknesses_first() -> None:
    found = CATALOGUE.search("sql inj")
    assert [match.cwe_id for match in found] == ["CWE-89", "CWE-564"]
    assert CATALOGUE.search("xss")[0].cwe_id == "CWE-79"
    assert CATALOGUE.search("sql zebra") == []
    assert CATALOGUE.search("  ") == []
    scores = [match.score for match in CATALOGUE.search("buffer", limit=50)]
    assert scores == sorted(scores, reverse=True)


def test_words_beside_a_number_agree_with_it_on_real_labels(shared_data: Path) -> None:
    """Where CNAs wrote a number and words, the words alone must give that number or nothing, in 99.7 % or more."""
    agree = differ = 0
    for label, count in _labels(shared_data).items():
        number = parse_cwe_id(label)
        words = re.sub(r"[(\[]\s*[)\]]", "", _NUMBER.sub("", label)).strip(" :-–()[].")
        if number in CATALOGUE and len(_NUMBER.findall(label)) == 1 and (found := CATALOGUE.resolve(words)):
            agree += count if found == number else 0
            differ += count if found != number else 0
    assert agree > 40_000
    assert agree / (agree + differ) >= 0.997


_NUMBER = re.compile(r"\bCWE(?:[-\u2011\s_:#]|ID)*0*\d{1,5}", re.IGNORECASE)


def _labels(shared_data: Path) -> Counter[str]:
    labels: Counter[str] = Counter()
    with lzma.open(shared_data / "cve" / "trickest-cve-1999-2025.jsonl.xz", "rt", encoding="utf-8") as stream:
        for line in stream:
            labels.update(json.loads(line)["problem_types"])
    return labels


def test_share_of_real_free_text_labels_that_resolve(shared_data: Path) -> None:
    words = {label: count for label, count in _labels(shared_data).items() if parse_cwe_id(label) is None}
    resolved = sum(count for label, count in words.items() if CATALOGUE.resolve(label))
    assert resolved / sum(words.values()) >= 0.55
