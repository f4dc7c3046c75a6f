from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ctiforge.classify.outputs import OUTPUTS, OutputOptions
from ctiforge.classify.outputs.snippet import cut_snippet
from ctiforge.classify.outputs.terminal import short_name
from ctiforge.classify.prediction import EvidenceSpan, Prediction

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def text_of(options: OutputOptions, *predictions: Prediction) -> str:
    renderer = OUTPUTS["table"].renderer(options)
    return renderer.begin() + "".join(map(renderer.render, predictions)) + renderer.end()


@pytest.mark.parametrize("width", [72, 80, 89, 90, 109, 110, 137, 160])
@pytest.mark.parametrize("explain", [False, True])
def test_no_line_is_wider_than_the_terminal(
    width: int, explain: bool, options: OutputOptions, batch: tuple[Prediction, ...], hostile: Prediction
) -> None:
    text = text_of(replace(options, width=width, explain=explain), *batch, hostile)
    assert max(cell_len(line) for line in text.splitlines()) == width


def test_wide_characters_stay_within_the_width(options: OutputOptions, xss: Prediction) -> None:
    text = text_of(replace(options, width=80), replace(xss, id="公告" * 30, text="漏洞 " * 200))
    assert max(cell_len(line) for line in text.splitlines()) == 80


def test_colour_changes_nothing_but_colour(options: OutputOptions, overflow: Prediction) -> None:
    coloured = text_of(replace(options, colour=True), replace(overflow, text=""))
    assert ANSI.search(coloured)
    assert ANSI.sub("", coloured) == text_of(options, replace(overflow, text=""))


def test_evidence_is_marked_with_and_without_colour(options: OutputOptions, xss: Prediction) -> None:
    assert "[cross-site scripting]" in text_of(options, xss)
    assert re.search(r"\x1b\[1;36mcross-site scripting\x1b", text_of(replace(options, colour=True), xss))


def test_agreement_is_in_words(options: OutputOptions, xss: Prediction, overflow: Prediction, abstention: Prediction) -> None:
    text = text_of(options, xss, overflow, abstention)
    assert "CNA CWE-79 ✓ agrees, ADP CWE-80 ≠ differs" in text
    assert "CNA “Memory corruption” no CWE number" in text
    assert "assigned by NVD CWE-200\n" in text


def test_abstention_says_why_in_a_sentence(options: OutputOptions, nothing_to_read: Prediction) -> None:
    assert "no suggestion — The record has no description to read." in text_of(options, nothing_to_read)


def test_what_is_hardly_probable_is_shown_on_request_only(options: OutputOptions, overflow: Prediction) -> None:
    rare = replace(overflow, discouraged=(replace(overflow.discouraged[0], probability=0.02),))
    assert "MITRE discourages" in text_of(options, overflow)
    assert "MITRE discourages" not in text_of(options, rare)
    assert "CWE-125" not in text_of(options, rare)
    explained = text_of(replace(options, explain=True), rare)
    assert "MITRE discourages" in explained
    assert "CWE-125" in explained


def test_names_take_two_lines_at_most(options: OutputOptions, xss: Prediction, hostile: Prediction) -> None:
    text = text_of(replace(options, width=60), xss, hostile)
    assert "CWE-79   Cross-site  " in text
    assert "Web Page Generation" not in text
    assert "Neutralization of …" in text


def test_ascii_only_writes_ascii(options: OutputOptions, batch: tuple[Prediction, ...]) -> None:
    assert text_of(replace(options, ascii_only=True), *batch).isascii()


def test_short_name_takes_mitres_alias_only_when_needed() -> None:
    name = "Improper Neutralization of Input During Web Page Generation ('Cross-site Scripting')"
    assert short_name(name, 40) == "Cross-site Scripting"
    assert short_name(name, 90) == name
    assert short_name("Deserialization of Untrusted Data", 5) == "Deserialization of Untrusted Data"


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, tuple[EvidenceSpan, ...]]:
    text = draw(st.text(st.sampled_from("ab  \n\u200b\u202e中"), max_size=150))
    bounds = st.integers(-3, len(text) + 3)
    pairs = draw(st.lists(st.tuples(bounds, bounds, st.floats(0, 1)), max_size=4))
    return text, tuple(EvidenceSpan(start, end, text[max(start, 0) : max(end, 0)], weight) for start, end, weight in pairs)


@given(texts_with_spans(), st.integers(10, 80))
def test_snippets_are_short_and_highlights_are_ordered(case: tuple[str, tuple[EvidenceSpan, ...]], width: int) -> None:
    snippet = cut_snippet(*case, width)
    assert len(snippet.text) <= width
    assert "\n" not in snippet.text
    at = 0
    for start, end in snippet.highlights:
        assert at <= start < end <= len(snippet.text)
        at = end


@given(st.integers(0, 400), st.integers(20, 80))
def test_snippet_shows_the_weightiest_evidence(place: int, width: int) -> None:
    text = ("word " * 100)[:place] + "NEEDLE" + (" word" * 100)
    snippet = cut_snippet(text, (EvidenceSpan(place, place + 6, "NEEDLE", 0.9), EvidenceSpan(0, 2, "xx", 0.1)), width)
    assert any("NEEDLE" in snippet.text[start:end] for start, end in snippet.highlights)
