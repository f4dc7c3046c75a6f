"""Markup of MITRE's texts: what is taken out, what stays, for any text."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctiforge.sources.markup import clean_markup, element_paragraphs


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("A frob.(Citation: Jane 2030)(Citation: Joe (of X) 2031) Next (Citation: Y).", "A frob. Next."),
        ("[Frob](https://example.org/a(b)c) and [Nob](/techniques/T1)", "Frob and Nob"),
        ("run <code>frob -x &lt;file&gt;</code> now", "run frob -x <file> now"),
        ("<xhtml:p>One.</xhtml:p>\n   <xhtml:p>Two.</xhtml:p>", "One.\nTwo."),
        ("inject <script>alert(1)</script> or <PID>", "inject <script>alert(1)</script> or <PID>"),
        ("see [REF-12] there", "see there"),
        ("an array [0] and (Citation without colon)", "an array [0] and (Citation without colon)"),
        ("two  spaces\u00a0and\r\n\r\nlines", "two spaces and\nlines"),
        ("", ""),
    ],
)
def test_markup_is_taken_out(raw: str, clean: str) -> None:
    assert clean_markup(raw) == clean


@given(st.text(alphabet=st.sampled_from("ab.()[]<>/&;: \n*Citation:https"), max_size=80))
def test_any_text_is_cleaned_and_stays_so(raw: str) -> None:
    clean = clean_markup(raw)
    assert "\n\n" not in clean
    assert "  " not in clean
    assert clean == clean.strip()


def test_elements_become_one_line_a_paragraph() -> None:
    element = fromstring(
        "<d>Intro\n  text <p>One <b>bold</b>\n word [REF-1].</p><ul><li>Two</li>\n<li>Three</li></ul> tail</d>"
    )
    assert element_paragraphs(element) == "Intro text\nOne bold word.\nTwo\nThree\ntail"
    assert element_paragraphs(None) == ""
