from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.corpus.cwe_phrases import CwePhrases, TokenizedText, TokenSpan
from ctiforge.corpus.evidence import find_evidence, weakness_stems
from ctiforge.corpus.record import CorpusRecord
from ctiforge.corpus.telling_grams import TellingGrams
from ctiforge.sources.cwe import CweCatalogue, load_catalogue, shipped_table

Make = Callable[..., CorpusRecord]


@pytest.mark.parametrize(
    ("cwe_id", "text", "quoted"),
    [
        ("CWE-79", "A stored Cross-Site Scripting issue in Frobnicator.", "Cross-Site Scripting"),
        ("CWE-89", "Multiple SQL injections were found.", "SQL injections"),
        ("CWE-787", "An Out-of-Bounds   Write follows.", "Out-of-Bounds   Write"),
        ("CWE-352", "It has a cross-site request forgery (CSRF) hole.", "cross-site request forgery"),
        ("CWE-79", "Nothing of that kind.", None),
    ],
)
def test_names_and_terms_are_found_in_any_inflection(
    cwe_id: str, text: str, quoted: str | None, catalogue: CweCatalogue
) -> None:
    tokens = TokenizedText(text)
    span = CwePhrases(catalogue).named(tokens, cwe_id)
    assert (tokens.quote(span) if span else None) in {quoted, f"{quoted} (CSRF)"}


def test_words_of_the_name_must_be_close_and_in_one_sentence(catalogue: CweCatalogue) -> None:
    phrases = CwePhrases(catalogue)
    near = TokenizedText("Frobnicator deserializes data that nobody trusts: untrusted data deserialization.")
    assert phrases.shared_words(near, "CWE-502")
    apart = TokenizedText("The pointer is stored. Later a NULL byte arrives. Someone does a dereference.")
    assert phrases.shared_words(apart, "CWE-476") is None


def test_relatives_count_as_relatives(catalogue: CweCatalogue) -> None:
    text = TokenizedText("A stack-based buffer overflow in Frobnicator.")
    phrases = CwePhrases(catalogue)
    assert phrases.named(text, "CWE-787") is None
    span = phrases.relative_named(text, "CWE-787")
    assert span
    assert text.quote(span) == "stack-based buffer overflow"


def test_telling_grams_are_telling(catalogue: CweCatalogue) -> None:
    texts = [f"Frobnicator {i} misses the nonce check on page {i}." for i in range(30)]
    texts += [f"Frobnicator {i} prints the password on page {i}." for i in range(30)]
    labels = ["CWE-352"] * 30 + ["CWE-532"] * 30
    grams = TellingGrams([TokenizedText(text) for text in texts], labels, weakness_stems(catalogue) | {"nonc"})
    text = TokenizedText("Widgetron misses the nonce check everywhere.")
    span = grams.find(text, "CWE-352")
    assert span
    assert "nonce" in text.quote(span)
    assert grams.find(text, "CWE-532") is None  # other words, however frequent the label
    assert grams.find(TokenizedText("Frobnicator 7 on page 7."), "CWE-352") is None  # shared by both labels


@given(st.text(alphabet="ab .:()\n'\"-,SQLXsinjecto", max_size=80), st.sampled_from(["CWE-79", "CWE-89", "CWE-787"]))
def test_every_phrase_stands_in_the_text(text: str, cwe_id: str) -> None:
    tokens = TokenizedText(text)
    phrases = CwePhrases(load_catalogue(shipped_table()))
    spans: list[TokenSpan | None] = [phrases.named(tokens, cwe_id), phrases.relative_named(tokens, cwe_id)]
    if shared := phrases.shared_words(tokens, cwe_id):
        spans.append(shared[0])
        assert 0.5 <= shared[1] <= 1
    assert all(tokens.quote(span) in text for span in spans if span)
    assert tokens.part == sorted(tokens.part)


@pytest.fixture
def evidence(run_stage: Callable[..., Any], catalogue: CweCatalogue) -> Callable[..., Any]:
    def run(*records: CorpusRecord, without_phrase: Any = "keep") -> Any:
        work = lambda writer: find_evidence(writer, records, catalogue, "2099-06-01", without_phrase=without_phrase)  # noqa: E731
        return run_stage(work)

    return run


def test_each_record_gets_its_phrase_or_none(evidence: Callable[..., Any], make_record: Make) -> None:
    records = (
        make_record("a", "Frobnicator has an SQL injection in a form.", "CWE-89"),
        make_record("b", "Frobnicator is bad.", "CWE-89"),
        make_record("c", "There is no out-of-bounds write into the", "CWE-787"),
        make_record("q", "Which one is SQL injection?", "A", kind="qa"),
    )
    kept = {record.id: record for record in evidence(*records).records()}
    assert (kept["a"].metadata["phrase"], kept["a"].metadata["evidence"]) == ("SQL injection", "name")
    assert (kept["b"].metadata["phrase"], kept["b"].metadata["evidence"]) == ("", "none")
    assert kept["c"].metadata["phrase"] == "no out-of-bounds write"
    assert kept["a"].steps == ("evidence name",)
    assert kept["q"] == records[3]
    strict = evidence(*records, without_phrase="reject")
    assert [orjson.loads(line)["id"] for line in strict.reject_lines()] == ["b"]


def test_the_development_split_is_not_counted(evidence: Callable[..., Any], make_record: Make) -> None:
    late = [
        make_record(f"r{i}", f"Tool {i} misses the nonce forgery token on page {i}.", "CWE-1004", date="2099-07-01")
        for i in range(20)
    ]
    other = [make_record(f"s{i}", f"Tool {i} prints a line on page {i}.", "CWE-1007", date="2099-07-01") for i in range(20)]
    assert evidence(*late, *other).facts["telling_grams"] == 0
